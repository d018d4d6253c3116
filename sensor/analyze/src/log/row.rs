//! One row, as Zeek's ASCII writer or its JSON writer would print it.
//!
//! ```text
//! TSV    unset "-", empty container and empty string "(empty)", set separator ",", bytes that are not
//!        printable UTF-8 as \xHH
//! JSON   unset columns left out, times and intervals as numbers of seconds
//! ```

use std::io::Write as _;
use std::net::IpAddr;

use super::{Column, Log, Profile, json};
use crate::{FlowId, Interval, Time, Uid};

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Tab-separated, with a header.
    Tsv,
    /// One JSON object a line.
    Json,
}

/// Writes the values of one row. Each value method stands for exactly one column.
pub struct Row<'o> {
    out: &'o mut Vec<u8>,
    format: Format,
    profile: Profile,
    columns: &'static [Column],
    next: usize,
    any: bool,
}

impl<'o> Row<'o> {
    /// Appends `record` and a line feed to `out`.
    pub fn write(record: &dyn super::Record, format: Format, profile: Profile, out: &'o mut Vec<u8>) {
        let columns = record.log().columns;
        if format == Format::Json {
            out.push(b'{');
        }
        let mut row = Row { out, format, profile, columns, next: 0, any: false };
        record.zeek(&mut row);
        debug_assert_eq!(row.next, columns.len(), "{} writes every column once", record.log().path);
        if format == Format::Json {
            row.out.push(b'}');
        }
        row.out.push(b'\n');
    }

    /// `ts`, `uid` and the four `id.` columns, with which most logs start.
    pub fn flow(&mut self, at: Time, id: &FlowId) {
        self.time(Some(at));
        self.uid(Some(id.uid));
        self.tuple(Some(id));
    }

    /// The four `id.` columns.
    pub fn tuple(&mut self, id: Option<&FlowId>) {
        self.addr(id.map(|id| id.orig.addr));
        self.count(id.map(|id| u64::from(id.orig.port)));
        self.addr(id.map(|id| id.resp.addr));
        self.count(id.map(|id| u64::from(id.resp.port)));
    }

    /// A `time` column.
    pub fn time(&mut self, value: Option<Time>) {
        self.micros(value.map(Time::micros));
    }

    /// An `interval` column.
    pub fn interval(&mut self, value: Option<Interval>) {
        self.micros(value.map(|i| i.0));
    }

    /// A `string` column whose value may hold any bytes.
    pub fn bytes(&mut self, value: Option<&[u8]>) {
        self.one(value, |out, format, v| match format {
            Format::Tsv => tsv_string(out, v, false),
            Format::Json => json::string(out, v),
        });
    }

    /// A `string` or `enum` column.
    pub fn string(&mut self, value: Option<&str>) {
        self.bytes(value.map(str::as_bytes));
    }

    /// An `enum` column, or a `string` of which we know that it needs no escaping.
    pub fn symbol(&mut self, value: Option<&str>) {
        self.one(value, |out, format, v| match format {
            Format::Tsv => out.extend_from_slice(v.as_bytes()),
            Format::Json => json::string(out, v.as_bytes()),
        });
    }

    /// A `count` or `port` column.
    pub fn count(&mut self, value: Option<u64>) {
        self.one(value, |out, _, v| decimal(out, v));
    }

    /// An `int` column.
    pub fn int(&mut self, value: Option<i64>) {
        self.one(value, |out, _, v| {
            if v < 0 {
                out.push(b'-');
            }
            decimal(out, v.unsigned_abs());
        });
    }

    /// A `double` column.
    pub fn double(&mut self, value: Option<f64>) {
        // A vector never fails to take bytes.
        self.one(value, |out, _, v| drop(write!(out, "{v:.6}")));
    }

    /// A `bool` column.
    pub fn bool(&mut self, value: Option<bool>) {
        self.one(value, |out, format, v| {
            out.extend_from_slice(match (format, v) {
                (Format::Tsv, true) => b"T",
                (Format::Tsv, false) => b"F",
                (Format::Json, true) => b"true",
                (Format::Json, false) => b"false",
            });
        });
    }

    /// An `addr` column.
    pub fn addr(&mut self, value: Option<IpAddr>) {
        self.one(value, address);
    }

    /// A `string` column that holds a uid or file uid.
    pub fn uid(&mut self, value: Option<Uid>) {
        self.one(value, |out, format, v| quoted(out, format, |out| out.extend_from_slice(&v.text())));
    }

    /// A `set[string]`, `vector[string]` or `set[enum]` column; `None` is unset, no items is `(empty)`.
    pub fn strings<'v, I>(&mut self, values: Option<I>)
    where
        I: IntoIterator<Item = &'v [u8]>,
    {
        self.many(values, |out, format, v| match format {
            Format::Tsv => tsv_string(out, v, true),
            Format::Json => json::string(out, v),
        });
    }

    /// As [`Row::strings`], where single items may be unset.
    pub fn optional_strings<'v, I>(&mut self, values: Option<I>)
    where
        I: IntoIterator<Item = Option<&'v [u8]>>,
    {
        self.many(values, |out, format, v| match (format, v) {
            (Format::Tsv, Some(v)) => tsv_string(out, v, true),
            (Format::Tsv, None) => out.push(b'-'),
            (Format::Json, Some(v)) => json::string(out, v),
            (Format::Json, None) => out.extend_from_slice(b"null"),
        });
    }

    /// A `set[string]` or `vector[string]` of uids.
    pub fn uids<I: IntoIterator<Item = Uid>>(&mut self, values: Option<I>) {
        self.many(values, |out, format, v| quoted(out, format, |out| out.extend_from_slice(&v.text())));
    }

    /// A `vector[count]` or `set[count]` column.
    pub fn counts<I: IntoIterator<Item = u64>>(&mut self, values: Option<I>) {
        self.many(values, |out, _, v| decimal(out, v));
    }

    /// A `vector[interval]` column.
    pub fn intervals<I: IntoIterator<Item = Interval>>(&mut self, values: Option<I>) {
        self.many(values, |out, format, v| micros(out, format, v.0));
    }

    /// A `vector[addr]` or `set[addr]` column.
    pub fn addrs<I: IntoIterator<Item = IpAddr>>(&mut self, values: Option<I>) {
        self.many(values, address);
    }

    fn micros(&mut self, value: Option<i64>) {
        self.one(value, micros);
    }

    fn one<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, Format, T)) {
        if !self.begin(value.is_some()) {
            return;
        }
        match value {
            Some(value) => write(self.out, self.format, value),
            None => self.out.push(b'-'),
        }
    }

    fn many<T, I: IntoIterator<Item = T>>(&mut self, values: Option<I>, write: impl Fn(&mut Vec<u8>, Format, T)) {
        if !self.begin(values.is_some()) {
            return;
        }
        let Some(values) = values else { return self.out.push(b'-') };
        if self.format == Format::Json {
            self.out.push(b'[');
        }
        let mut first = true;
        for value in values {
            if !first {
                self.out.push(b',');
            }
            first = false;
            write(self.out, self.format, value);
        }
        match self.format {
            Format::Json => self.out.push(b']'),
            Format::Tsv if first => self.out.extend_from_slice(b"(empty)"),
            Format::Tsv => {}
        }
    }

    /// Starts the next column: separator and key. False if nothing is to be written for it.
    fn begin(&mut self, is_set: bool) -> bool {
        let Some(column) = self.columns.get(self.next) else {
            debug_assert!(false, "a record wrote more values than its log has columns");
            return false;
        };
        self.next = self.next.saturating_add(1);
        if column.profile == Profile::Malcolm && self.profile == Profile::Stock {
            return false;
        }
        match self.format {
            Format::Tsv => {
                if self.any {
                    self.out.push(b'\t');
                }
            }
            Format::Json => {
                if !is_set {
                    return false;
                }
                if self.any {
                    self.out.push(b',');
                }
                self.out.push(b'"');
                self.out.extend_from_slice(column.name.as_bytes());
                self.out.extend_from_slice(b"\":");
            }
        }
        self.any = true;
        true
    }
}

/// The header that Zeek's ASCII writer puts before the rows; `opened` is local time as `YYYY-MM-DD-hh-mm-ss`.
pub fn header(log: &Log, profile: Profile, opened: &str) -> String {
    let columns = || log.columns.iter().filter(|c| profile == Profile::Malcolm || c.profile == Profile::Stock);
    let join = |pick: fn(&Column) -> &'static str| columns().map(pick).collect::<Vec<_>>().join("\t");
    format!(
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t{}\n#open\t{opened}\n#fields\t{}\n#types\t{}\n",
        log.path,
        join(|c| c.name),
        join(|c| c.kind)
    )
}

fn quoted(out: &mut Vec<u8>, format: Format, write: impl FnOnce(&mut Vec<u8>)) {
    if format == Format::Json {
        out.push(b'"');
    }
    write(out);
    if format == Format::Json {
        out.push(b'"');
    }
}

fn address(out: &mut Vec<u8>, format: Format, value: IpAddr) {
    quoted(out, format, |out| match value {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            decimal(out, u64::from(a));
            for octet in [b, c, d] {
                out.push(b'.');
                decimal(out, u64::from(octet));
            }
        }
        // Rust, as inet_ntop, follows RFC 5952 here, mapped addresses in dotted form included.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    });
}

fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut n = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0'.wrapping_add((value % 10) as u8);
        value /= 10;
        n += 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - n..).unwrap_or_default());
}

fn micros(out: &mut Vec<u8>, format: Format, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    let value = value.unsigned_abs();
    decimal(out, value / 1_000_000);
    out.push(b'.');
    let mut fraction = value % 1_000_000;
    let mut digits = [b'0'; 6];
    for slot in digits.iter_mut().rev() {
        *slot = b'0'.wrapping_add((fraction % 10) as u8);
        fraction /= 10;
    }
    let mut kept = &digits[..];
    if format == Format::Json {
        while let [rest @ .., b'0'] = kept
            && !rest.is_empty()
        {
            kept = rest;
        }
    }
    out.extend_from_slice(kept);
}

/// Escapes as Zeek's ASCII writer: a value that could be read as "unset" or "empty" loses its first byte to an escape.
fn tsv_string(out: &mut Vec<u8>, value: &[u8], in_set: bool) {
    if value.is_empty() {
        return out.extend_from_slice(if in_set { b"" } else { b"(empty)" });
    }
    if value == b"-" {
        return out.extend_from_slice(b"\\x2d");
    }
    if value == b"(empty)" {
        return out.extend_from_slice(b"\\x28empty)");
    }
    let plain = |b: u8| (b' '..0x7f).contains(&b) && b != b'\\' && !(in_set && b == b',');
    if value.iter().all(|&b| plain(b)) {
        return out.extend_from_slice(value);
    }
    for chunk in value.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.extend_from_slice(b"\\\\"),
                ',' if in_set => out.extend_from_slice(b"\\x2c"),
                c if c.is_ascii_control() => hex_escape(out, c as u8),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for &b in chunk.invalid() {
            hex_escape(out, b);
        }
    }
}

pub(super) fn hex_escape(out: &mut Vec<u8>, b: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| DIGITS.get(usize::from(n)).copied().unwrap_or(b'0');
    out.extend_from_slice(&[b'\\', b'x', digit(b >> 4), digit(b & 15)]);
}
