//! A message as it is transferred (RFC 5322, RFC 2045): its headers go to the row, its bodies become files, decoded.
//!
//! Works line by line. Entities nest: those of a multipart are found by its boundary, that of `message/rfc822` begins
//! at once.

use super::record::Smtp;
use crate::files::{FileHandle, FileStart};
use crate::{Direction, Output};

/// Entities within entities (Zeek's `MIME::max_depth`).
const MAX_DEPTH: usize = 100;

/// Bytes of one header, all its lines together.
const MAX_HEADER: usize = 65_536;

/// A message that is being transferred.
#[derive(Default)]
pub(super) struct Mail {
    entities: Vec<Entity>,
    /// A line that a chunk (BDAT) cut in two.
    partial: Vec<u8>,
}

#[derive(Default)]
struct Entity {
    in_body: bool,
    ended: bool,
    kind: Kind,
    encoding: Encoding,
    header: Vec<u8>,
    filename: Option<Vec<u8>>,
    /// A line end that belongs to the body only if the body goes on.
    pending_line_end: bool,
    base64: Base64,
    file: Option<FileHandle>,
}

#[derive(Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Leaf,
    Message,
    Multipart(Vec<u8>),
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Encoding {
    #[default]
    Plain,
    QuotedPrintable,
    Base64,
}

/// Where the parts of a message go.
pub(super) struct Target<'r, 'o> {
    pub(super) row: &'r mut Smtp,
    pub(super) from: Direction,
    /// Entities of this connection so far; Zeek's `mime_depth`.
    pub(super) depth: &'r mut u64,
    pub(super) out: &'r mut Output<'o>,
}

impl Mail {
    /// The message begins.
    pub(super) fn begin(target: &mut Target<'_, '_>) -> Self {
        let mut mail = Self::default();
        mail.open(target);
        mail
    }

    /// A line without its end. `ended` is whether it had one.
    pub(super) fn line(&mut self, line: &[u8], ended: bool, target: &mut Target<'_, '_>) {
        let mut level = 0;
        while let Some(entity) = self.entities.get_mut(level) {
            if !entity.in_body {
                return self.header_line(level, line, target);
            }
            if let Kind::Multipart(boundary) = &entity.kind
                && let Some(closes) = delimits(line, boundary)
            {
                let is_over = entity.ended;
                self.close_above(level, target);
                if closes {
                    if let Some(entity) = self.entities.get_mut(level) {
                        entity.ended = true;
                    }
                } else if !is_over {
                    self.open(target);
                }
                return;
            }
            if entity.kind == Kind::Leaf {
                let in_multipart =
                    level.checked_sub(1).and_then(|up| self.entities.get(up)).is_some_and(|e| matches!(e.kind, Kind::Multipart(_)));
                return self.body_line(level, line, ended, in_multipart, target);
            }
            level = level.saturating_add(1);
        }
    }

    /// Bytes of a chunk: lines, of which the last may go on in the next chunk.
    pub(super) fn chunk(&mut self, bytes: &[u8], target: &mut Target<'_, '_>) {
        let mut rest = bytes;
        while let Some(n) = memchr::memchr(b'\n', rest) {
            let (line, tail) = rest.split_at_checked(n.saturating_add(1)).unwrap_or((rest, &[]));
            rest = tail;
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(line);
            let line = whole.strip_suffix(b"\n").unwrap_or(&whole);
            let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
            self.line(&line, true, target);
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() > MAX_HEADER {
            let part = std::mem::take(&mut self.partial);
            self.line(&part, false, target);
        }
    }

    /// So many bytes of the message are missing.
    pub(super) fn gap(&mut self, len: u64, out: &mut Output<'_>) {
        if let Some(file) = self.entities.last().and_then(|entity| entity.file) {
            out.file_gap(file, len);
        }
    }

    /// The message has ended.
    pub(super) fn end(mut self, target: &mut Target<'_, '_>) {
        if !self.partial.is_empty() {
            let part = std::mem::take(&mut self.partial);
            self.line(&part, false, target);
        }
        while !self.entities.is_empty() {
            self.close(target);
        }
    }

    fn open(&mut self, target: &mut Target<'_, '_>) {
        if self.entities.len() > MAX_DEPTH {
            let addl = MAX_DEPTH.to_string();
            return target.out.weird_detail("exceeded_mime_max_depth", Some(addl.as_bytes()), Some("SMTP"));
        }
        let encoding = self.entities.last().map_or(Encoding::Plain, |entity| entity.encoding);
        self.entities.push(Entity { encoding, ..Entity::default() });
        target.row.entities = target.row.entities.saturating_add(1);
        *target.depth = target.depth.saturating_add(1);
    }

    fn close_above(&mut self, level: usize, target: &mut Target<'_, '_>) {
        while self.entities.len() > level.saturating_add(1) {
            self.close(target);
        }
    }

    fn close(&mut self, target: &mut Target<'_, '_>) {
        let Some(mut entity) = self.entities.pop() else { return };
        if !entity.in_body {
            entity.finish_header(target);
        }
        if let Some(file) = entity.file {
            target.out.file_close(file);
        }
    }

    fn header_line(&mut self, level: usize, line: &[u8], target: &mut Target<'_, '_>) {
        let Some(entity) = self.entities.get_mut(level) else { return };
        match line.first() {
            None | Some(0) => {
                entity.finish_header(target);
                entity.in_body = true;
                if entity.kind == Kind::Message {
                    self.open(target);
                }
            }
            Some(b' ' | b'\t') if !entity.header.is_empty() => {
                if entity.header.len() >= MAX_HEADER {
                    let addl = entity.header.len().to_string();
                    return target.out.weird_detail("exceeded_mime_max_header_bytes", Some(addl.as_bytes()), Some("SMTP"));
                }
                entity.header.extend_from_slice(line);
            }
            Some(_) => {
                entity.finish_header(target);
                entity.header.extend_from_slice(line.trim_ascii_start());
            }
        }
    }

    fn body_line(&mut self, level: usize, line: &[u8], ended: bool, in_multipart: bool, target: &mut Target<'_, '_>) {
        let Some(entity) = self.entities.get_mut(level) else { return };
        let mut decoded = Vec::with_capacity(line.len().saturating_add(4));
        match entity.encoding {
            Encoding::Base64 => entity.base64.decode(line, &mut decoded),
            Encoding::QuotedPrintable => quoted_printable(line, &mut decoded),
            Encoding::Plain => {
                if std::mem::take(&mut entity.pending_line_end) {
                    decoded.extend_from_slice(b"\r\n");
                }
                decoded.extend_from_slice(line);
                if ended && in_multipart {
                    // The end of the last line belongs to the boundary (RFC 2046 §5.1.1).
                    entity.pending_line_end = true;
                } else if ended {
                    decoded.extend_from_slice(b"\r\n");
                }
            }
        }
        if decoded.is_empty() {
            return;
        }
        let file = match entity.file {
            Some(file) => file,
            None => {
                let start = FileStart { source: "SMTP", depth: *target.depth, filename: entity.filename.take(), ..FileStart::default() };
                let file = target.out.file_open(target.from, start);
                target.row.fuids.extend(target.out.file_summary(file).map(|summary| summary.fuid));
                *entity.file.insert(file)
            }
        };
        target.out.file_data(file, &decoded);
    }
}

impl Entity {
    fn finish_header(&mut self, target: &mut Target<'_, '_>) {
        let header = std::mem::take(&mut self.header);
        let Some(colon) = memchr::memchr(b':', &header) else { return };
        let name = header.get(..colon).unwrap_or_default().trim_ascii();
        let value = header.get(colon.saturating_add(1)..).unwrap_or_default().trim_ascii_start();
        if name.is_empty() || name.iter().any(|c| !c.is_ascii_graphic()) {
            return;
        }
        if name.eq_ignore_ascii_case(b"content-type") {
            self.content_type(value);
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            self.encoding = match value.to_ascii_lowercase().as_slice() {
                v if v.starts_with(b"base64") => Encoding::Base64,
                v if v.starts_with(b"quoted-printable") => Encoding::QuotedPrintable,
                _ => Encoding::Plain,
            };
        } else if name.eq_ignore_ascii_case(b"content-disposition") {
            self.filename = parameter(value, b"filename").or(self.filename.take());
        }
        if let Some(odd) = target.row.header(name, value) {
            target.out.weird(odd);
        }
    }

    fn content_type(&mut self, value: &[u8]) {
        let lower = value.to_ascii_lowercase();
        if lower.starts_with(b"multipart/") {
            if let Some(boundary) = parameter(value, b"boundary").filter(|b| !b.is_empty()) {
                self.kind = Kind::Multipart(boundary);
            }
        } else if lower.starts_with(b"message/") {
            self.kind = Kind::Message;
        }
        self.filename = parameter(value, b"name").or(self.filename.take());
    }
}

/// The value of a parameter of a structured header (RFC 2045 §5.1), unquoted.
fn parameter(value: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let lower = value.to_ascii_lowercase();
    for at in memchr::memmem::find_iter(&lower, name) {
        let before = at.checked_sub(1).and_then(|i| lower.get(i));
        if !matches!(before, None | Some(b';' | b' ' | b'\t')) {
            continue;
        }
        let rest = value.get(at.saturating_add(name.len())..)?.trim_ascii_start();
        let rest = rest.strip_prefix(b"*").unwrap_or(rest);
        let Some(rest) = rest.strip_prefix(b"=") else { continue };
        let rest = rest.trim_ascii_start();
        return Some(match rest.strip_prefix(b"\"") {
            Some(quoted) => quoted.get(..memchr::memchr(b'"', quoted).unwrap_or(quoted.len())).unwrap_or_default().to_vec(),
            None => rest.split(|&c| matches!(c, b';' | b' ' | b'\t')).next().unwrap_or_default().to_vec(),
        });
    }
    None
}

/// Whether a line is a delimiter of `boundary`, and whether it is the last one.
fn delimits(line: &[u8], boundary: &[u8]) -> Option<bool> {
    Some(line.strip_prefix(b"--")?.strip_prefix(boundary)?.starts_with(b"--"))
}

/// RFC 2045 §6.7; what is not well-formed is taken as it stands.
fn quoted_printable(line: &[u8], out: &mut Vec<u8>) {
    let line = line.trim_ascii_end();
    let mut rest = line;
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'=' {
            out.push(first);
            rest = tail;
            continue;
        }
        if tail.is_empty() {
            return;
        }
        let hex = |c: &u8| char::from(*c).to_digit(16);
        match (tail.first().and_then(hex), tail.get(1).and_then(hex)) {
            (Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Base64 over lines (RFC 2045 §6.8): what is no digit is passed over, padding ends it.
#[derive(Default)]
struct Base64 {
    bits: u32,
    digits: u8,
    ended: bool,
}

impl Base64 {
    fn decode(&mut self, line: &[u8], out: &mut Vec<u8>) {
        for &c in line {
            let value = match c {
                b'A'..=b'Z' => c - b'A',
                b'a'..=b'z' => c - b'a' + 26,
                b'0'..=b'9' => c - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                b'=' if !self.ended => {
                    self.ended = true;
                    match self.digits {
                        2 => out.push((self.bits >> 4) as u8),
                        3 => out.extend_from_slice(&[(self.bits >> 10) as u8, (self.bits >> 2) as u8]),
                        _ => {}
                    }
                    continue;
                }
                _ => continue,
            };
            if self.ended {
                continue;
            }
            self.bits = self.bits << 6 | u32::from(value);
            self.digits += 1;
            if self.digits == 4 {
                let [_, a, b, c] = self.bits.to_be_bytes();
                out.extend_from_slice(&[a, b, c]);
                (self.bits, self.digits) = (0, 0);
            }
        }
    }
}
