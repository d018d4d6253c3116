//! JSON objects written straight into a buffer: EVE events, Arkime sessions, Zeek rows.

use std::io::Write as _;

/// An object that is being written. Keys are ours and need no escaping.
pub struct Json<'o> {
    out: &'o mut Vec<u8>,
    any: bool,
}

impl<'o> Json<'o> {
    /// Writes one object, `{` to `}`.
    pub fn object(out: &'o mut Vec<u8>, write: impl FnOnce(&mut Json<'_>)) {
        out.push(b'{');
        let mut json = Json { out, any: false };
        write(&mut json);
        json.out.push(b'}');
    }

    /// A string that may hold any bytes; those that are not UTF-8 are written as `\xHH`.
    pub fn bytes(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        string(self.out, value);
    }

    /// A string.
    pub fn str(&mut self, key: &str, value: &str) {
        self.bytes(key, value.as_bytes());
    }

    /// A string, if it is there.
    pub fn some_bytes(&mut self, key: &str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.bytes(key, value);
        }
    }

    /// A string, if it is there.
    pub fn some_str(&mut self, key: &str, value: Option<&str>) {
        self.some_bytes(key, value.map(str::as_bytes));
    }

    /// A number.
    pub fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        // A vector never fails to take bytes.
        drop(write!(self.out, "{value}"));
    }

    /// A number, if it is there.
    pub fn some_number(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    /// A number that may be negative.
    pub fn integer(&mut self, key: &str, value: i64) {
        self.key(key);
        drop(write!(self.out, "{value}"));
    }

    /// A boolean.
    pub fn bool(&mut self, key: &str, value: bool) {
        self.key(key);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// An object within.
    pub fn child(&mut self, key: &str, write: impl FnOnce(&mut Json<'_>)) {
        self.key(key);
        Json::object(self.out, write);
    }

    /// An array of strings.
    pub fn strings<'v>(&mut self, key: &str, values: impl IntoIterator<Item = &'v [u8]>) {
        self.key(key);
        self.array(values, string);
    }

    /// An array of numbers.
    pub fn integers(&mut self, key: &str, values: impl IntoIterator<Item = i64>) {
        self.key(key);
        self.array(values, |out, value| drop(write!(out, "{value}")));
    }

    /// An array of objects, each written by `write`.
    pub fn objects<T>(&mut self, key: &str, values: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Json<'_>, T)) {
        self.key(key);
        self.array(values, |out, value| Json::object(out, |json| write(json, value)));
    }

    /// An array of objects that are JSON already.
    pub fn ready<'v>(&mut self, key: &str, objects: impl IntoIterator<Item = &'v [u8]>) {
        self.key(key);
        self.array(objects, |out, object| out.extend_from_slice(object));
    }

    fn key(&mut self, key: &str) {
        if self.any {
            self.out.push(b',');
        }
        self.any = true;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn array<T>(&mut self, values: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
        self.out.push(b'[');
        for (place, value) in values.into_iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            write(self.out, value);
        }
        self.out.push(b']');
    }
}

/// A JSON string; bytes that are not UTF-8 become `\\xHH`, as Zeek's JSON formatter writes them.
pub(super) fn string(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    if value.iter().all(|&b| (b' '..0x7f).contains(&b) && b != b'"' && b != b'\\') {
        out.extend_from_slice(value);
        return out.push(b'"');
    }
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                c if u32::from(c) < 0x20 || c == '\x7f' => drop(write!(out, "\\u{:04x}", u32::from(c))),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for &b in chunk.invalid() {
            out.push(b'\\');
            super::row::hex_escape(out, b);
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_nest_and_bytes_are_escaped() {
        let mut out = Vec::new();
        Json::object(&mut out, |json| {
            json.bytes("a", b"x\"\n\xff");
            json.child("b", |json| json.integers("c", [1, -2]));
            json.objects("d", [1u64, 2], |json, n| json.number("n", n));
        });
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":"x\"\n\\xff","b":{"c":[1,-2]},"d":[{"n":1},{"n":2}]}"#);
    }
}
