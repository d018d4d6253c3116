//! What the analyzers tell about a session: sets of values under Arkime's names.
//!
//! ```text
//! "http.host"   →  "http": {"host": ["a", "b"], "hostCnt": 2}
//! "user"        →  "user": ["a"], "userCnt": 1
//! ```

use crate::Time;
use crate::log::Json;

/// Values of one field. Arkime has no limit of its own but what fits into its session; a session with more different
/// values than this is a scan, of which the first ones tell enough.
const MAX_VALUES: usize = 4096;
/// Names under which one field counts: methods that somebody made up are no reason for a wider document.
const MAX_NAMES: usize = 32;
/// Objects (answers of DNS, certificates) of one session, likewise.
const MAX_OBJECTS: usize = 1024;

/// Fields that are told in all documents of a session written in parts (Arkime's `FLAG_LINKED_SESSIONS`), as are
/// protocols and tags.
const LASTING: [&str; 10] = [
    "user",
    "vni",
    "mysql.user",
    "mysql.version",
    "oracle.user",
    "oracle.host",
    "oracle.service",
    "postgresql.user",
    "postgresql.db",
    "postgresql.app",
];

/// Rows of Arkime's tables of objects.
const BUCKETS: u32 = 13;

/// The fields of one session beyond its packets.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// Time of the session's first packet.
    begun: Time,
    groups: Vec<(&'static str, Values)>,
    protocols: Vec<&'static str>,
    tags: Vec<String>,
}

#[derive(Clone, Debug)]
enum Values {
    /// A set of strings, with or without their count.
    Texts(Vec<Vec<u8>>, bool),
    /// A list of strings that may repeat, with or without their count.
    List(Vec<Vec<u8>>, bool),
    /// Numbers that are counted by a second part of the name (`http.method-GET`).
    Counts(Vec<(Vec<u8>, i64)>),
    /// A set of numbers, with or without their count.
    Numbers(Vec<i64>, bool),
    /// One string.
    Text(Vec<u8>),
    /// One number.
    Number(i64),
    /// Objects that are already JSON, with what they are known by, written with their count.
    Objects(Vec<Object>),
}

/// An object that is already JSON.
#[derive(Clone, Debug)]
struct Object {
    /// Where Arkime's table of them has it.
    bucket: u32,
    key: Vec<u8>,
    json: Vec<u8>,
}

impl Fields {
    /// None yet, of a session that began at `begun`.
    pub(super) fn new(begun: Time) -> Self {
        Self { begun, ..Self::default() }
    }

    /// The session goes on in another document: what Arkime writes into all of them stays.
    pub(super) fn go_on(&mut self) {
        self.groups.retain(|(path, _)| LASTING.contains(path));
    }

    /// Time of the session's first packet.
    pub const fn begun(&self) -> Time {
        self.begun
    }

    /// Whether there is anything in a field.
    pub fn has(&self, path: &str) -> bool {
        self.groups.iter().any(|(known, _)| *known == path)
    }

    /// The strings of a set.
    #[cfg(test)]
    pub(crate) fn texts(&self, path: &str) -> Vec<&str> {
        match self.groups.iter().find(|(known, _)| *known == path) {
            Some((_, Values::Texts(values, _))) => values.iter().map(|value| std::str::from_utf8(value).unwrap()).collect(),
            _ => Vec::new(),
        }
    }

    /// Adds a string to a set. Bytes that are not UTF-8 are taken for Latin-1, as Arkime does.
    pub fn text(&mut self, path: &'static str, value: &[u8]) {
        self.add_text(path, value, true);
    }

    /// Adds a string to a set that has no count.
    pub fn bare(&mut self, path: &'static str, value: &[u8]) {
        self.add_text(path, value, false);
    }

    fn add_text(&mut self, path: &'static str, value: &[u8], counted: bool) {
        let value = utf8(value);
        if let Values::Texts(values, _) = self.at(path, || Values::Texts(Vec::new(), counted))
            && values.len() < MAX_VALUES
            && !values.contains(&value)
        {
            values.push(value);
        }
    }

    /// Adds a string to a list, which may hold it already; all calls for one field say alike whether it is `counted`.
    pub fn item(&mut self, path: &'static str, value: &[u8], counted: bool) {
        let value = utf8(value);
        if let Values::List(values, _) = self.at(path, || Values::List(Vec::new(), counted))
            && values.len() < MAX_VALUES
        {
            values.push(value);
        }
    }

    /// Adds an address to a set.
    pub fn ip(&mut self, path: &'static str, addr: std::net::IpAddr) {
        self.text(path, addr.to_string().as_bytes());
    }

    /// Adds an address as somebody has written it, perhaps with leading zeros; what is none is left out.
    pub fn written_ip(&mut self, path: &'static str, text: &[u8]) {
        let Ok(text) = std::str::from_utf8(text) else { return };
        let text = text.trim();
        let short = |part| match str::trim_start_matches(part, '0') {
            "" => "0",
            part => part,
        };
        let short: Vec<_> = text.split('.').map(short).collect();
        if let Some(addr) = text.parse().ok().or_else(|| short.join(".").parse().ok()) {
            self.ip(path, addr);
        }
    }

    /// Counts one up in the field whose name ends in `name`.
    pub fn count_of(&mut self, path: &'static str, name: &[u8]) {
        let name = utf8(name);
        if let Values::Counts(counts) = self.at(path, || Values::Counts(Vec::new())) {
            let is_full = counts.len() >= MAX_NAMES;
            match counts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count = count.saturating_add(1),
                None if is_full => {}
                None => counts.push((name, 1)),
            }
        }
    }

    /// Adds a string in lower case.
    pub fn lower(&mut self, path: &'static str, value: &[u8]) {
        self.text(path, &value.to_ascii_lowercase());
    }

    /// Adds a string, if it is there.
    pub fn some(&mut self, path: &'static str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.text(path, value);
        }
    }

    /// Adds a number to a set that is written with its count.
    pub fn number(&mut self, path: &'static str, value: i64) {
        self.add(path, value, true);
    }

    /// Adds a number to a set that has no count.
    pub fn bare_number(&mut self, path: &'static str, value: i64) {
        self.add(path, value, false);
    }

    fn add(&mut self, path: &'static str, value: i64, counted: bool) {
        if let Values::Numbers(values, _) = self.at(path, || Values::Numbers(Vec::new(), counted))
            && values.len() < MAX_VALUES
            && !values.contains(&value)
        {
            values.push(value);
        }
    }

    /// Counts one up.
    pub fn count(&mut self, path: &'static str) {
        if let Values::Number(value) = self.at(path, || Values::Number(0)) {
            *value = value.saturating_add(1);
        }
    }

    /// Sets a field that has one string.
    pub fn set(&mut self, path: &'static str, value: &[u8]) {
        let value = utf8(value);
        if let Values::Text(slot) = self.at(path, || Values::Text(Vec::new())) {
            *slot = value;
        }
    }

    /// Sets a field that has one number.
    pub fn set_number(&mut self, path: &'static str, value: i64) {
        if let Values::Number(slot) = self.at(path, || Values::Number(0)) {
            *slot = value;
        }
    }

    /// Adds an object to a list, or puts it in the place of the one that has the same key. Arkime keeps its objects in
    /// a hash table and writes them in the order of that; `hash` is its hash of the object.
    pub fn object_as(&mut self, path: &'static str, hash: u32, key: &[u8], write: impl FnOnce(&mut Json<'_>)) {
        let mut json = Vec::new();
        Json::object(&mut json, write);
        let Values::Objects(objects) = self.at(path, || Values::Objects(Vec::new())) else { return };
        let is_full = objects.len() >= MAX_OBJECTS;
        match objects.iter_mut().find(|object| object.key == key) {
            Some(object) => object.json = json,
            None if is_full => {}
            None => objects.push(Object { bucket: hash % BUCKETS, key: key.to_vec(), json }),
        }
    }

    /// Names a protocol of the session.
    pub fn protocol(&mut self, name: &'static str) {
        if !self.protocols.contains(&name) {
            self.protocols.push(name);
        }
    }

    /// Takes back a protocol and all that was told of it.
    pub fn forget(&mut self, protocol: &str) {
        self.protocols.retain(|name| *name != protocol);
        self.groups.retain(|(path, _)| path.split_once('.').is_none_or(|(group, _)| group != protocol));
    }

    /// Tags the session.
    pub fn tag(&mut self, tag: &str) {
        if self.tags.len() < MAX_VALUES && !self.tags.iter().any(|known| known == tag) {
            self.tags.push(tag.to_owned());
        }
    }

    /// Writes all of it, in the order of the names.
    pub(super) fn write(&self, json: &mut Json<'_>) {
        let mut protocols = self.protocols.clone();
        protocols.sort_unstable();
        json.strings("protocol", protocols.iter().map(|name| name.as_bytes()));
        json.number("protocolCnt", protocols.len() as u64);
        if !self.tags.is_empty() {
            let mut tags = self.tags.clone();
            tags.sort_unstable();
            json.strings("tags", tags.iter().map(|tag| tag.as_bytes()));
            json.number("tagsCnt", tags.len() as u64);
        }
        let mut groups: Vec<_> = self.groups.iter().map(|(path, values)| (path.split_once('.'), *path, values)).collect();
        groups.sort_by_key(|(_, path, _)| *path);
        for (_, path, values) in groups.iter().filter(|(parts, ..)| parts.is_none()) {
            values.write(path, json);
        }
        let grouped: Vec<_> = groups.iter().filter_map(|(parts, _, values)| parts.map(|(group, name)| (group, name, *values))).collect();
        for group in grouped.chunk_by(|a, b| a.0 == b.0) {
            let Some((name, ..)) = group.first() else { continue };
            json.child(name, |json| group.iter().for_each(|(_, name, values)| values.write(name, json)));
        }
    }

    fn at(&mut self, path: &'static str, make: impl FnOnce() -> Values) -> &mut Values {
        let place = match self.groups.iter().position(|(known, _)| *known == path) {
            Some(place) => place,
            None => {
                self.groups.push((path, make()));
                self.groups.len() - 1
            }
        };
        let Some((_, values)) = self.groups.get_mut(place) else { unreachable!("the place was just found or made") };
        values
    }
}

impl Values {
    fn write(&self, name: &str, json: &mut Json<'_>) {
        let count = |json: &mut Json<'_>, n: usize| json.number(&format!("{name}Cnt"), n as u64);
        match self {
            Self::Texts(values, counted) => {
                let mut values: Vec<_> = values.iter().map(Vec::as_slice).collect();
                values.sort_unstable();
                let n = values.len();
                json.strings(name, values);
                if *counted {
                    count(json, n);
                }
            }
            Self::List(values, counted) => {
                json.strings(name, values.iter().map(Vec::as_slice));
                if *counted {
                    count(json, values.len());
                }
            }
            Self::Counts(counts) => {
                for (part, value) in counts {
                    // Keys are written as they are: only what needs no escape becomes part of one.
                    if part.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_') {
                        json.integer(&format!("{name}{}", String::from_utf8_lossy(part)), *value);
                    }
                }
            }
            Self::Numbers(values, counted) => {
                let mut sorted = values.clone();
                sorted.sort_unstable();
                json.integers(name, sorted);
                if *counted {
                    count(json, values.len());
                }
            }
            Self::Text(value) => json.bytes(name, value),
            Self::Number(value) => json.integer(name, *value),
            Self::Objects(objects) => {
                let mut sorted: Vec<_> = objects.iter().collect();
                sorted.sort_by_key(|object| object.bucket);
                json.ready(name, sorted.iter().map(|object| object.json.as_slice()));
                count(json, objects.len());
            }
        }
    }
}

/// Text of a value, which ends at a zero, as Arkime's strings do.
fn utf8(value: &[u8]) -> Vec<u8> {
    let value = value.split(|byte| *byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(value) {
        Ok(_) => value.to_vec(),
        Err(_) => value.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_grouped_counted_and_without_doubles() {
        let mut fields = Fields::default();
        fields.protocol("tcp");
        fields.protocol("http");
        fields.text("http.host", b"b");
        fields.text("http.host", b"a");
        fields.text("http.host", b"a");
        fields.count_of("http.method-", b"GET");
        fields.text("user", b"\xe9");
        fields.bare_number("icmp.type", 8);
        fields.object_as("cert", 0, b"01", |json| json.str("serial", "01"));
        let mut out = Vec::new();
        Json::object(&mut out, |json| fields.write(json));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"protocol":["http","tcp"],"protocolCnt":2,"cert":[{"serial":"01"}],"certCnt":1,"user":["é"],"userCnt":1,"#,
                r#""http":{"host":["a","b"],"hostCnt":2,"method-GET":1},"icmp":{"type":[8]}}"#
            )
        );
    }
}
