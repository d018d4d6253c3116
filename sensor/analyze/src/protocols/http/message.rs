//! One message: its header fields, how its body is framed (RFC 9112 §6), and the files in the body.

use std::io::Write as _;

use super::transactions::Transactions;
use super::wire::Version;
use crate::files::{FileHandle, FileStart};
use crate::mime::{self, Entity};
use crate::{Direction, Output};

/// Bytes that one gzip or deflate body may become per byte of it: a bomb is cut there. zlib's own limit is 1032.
const MAX_RATIO: u64 = 1100;
/// Bytes of a content coding that are decoded at a time.
const DECODED_CHUNK: usize = 64 << 10;

/// Whether a body follows the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyExpected {
    /// Never (response to HEAD, 1xx, 204, 304).
    No,
    /// If its length is told (requests).
    Maybe,
    /// Until the connection ends, if no length is told (responses).
    Yes,
}

/// What the next bytes of the message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A line of the header, of a chunk, or of a body without a length.
    Line,
    /// So many bytes of body.
    Bytes(u64),
    /// Body until the connection ends.
    Rest,
    /// Nothing: the message is complete.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailer,
    Sized(u64),
    /// Lines of a multipart body; bytes left if its length was told.
    Parts(Option<u64>),
    Lines,
    Rest,
    End,
}

/// Content codings that are taken off.
enum Decoder {
    None,
    Gzip(Box<flate2::write::MultiGzDecoder<Vec<u8>>>),
    Zlib(Box<flate2::write::ZlibDecoder<Vec<u8>>>),
    Deflate(Box<flate2::write::DeflateDecoder<Vec<u8>>>),
    Brotli(Box<brotli_decompressor::DecompressorWriter<Vec<u8>>>),
    /// Damaged or a bomb: nothing more comes out.
    Broken,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    Identity,
    Gzip,
    Deflate,
    Brotli,
}

/// A message that is being read.
pub(super) struct Message {
    from: Direction,
    version: Version,
    is_206: bool,
    expected: BodyExpected,
    state: State,
    field: Vec<u8>,
    content_length: Option<u64>,
    range_length: Option<u64>,
    instance_length: Option<u64>,
    is_partial: bool,
    offset: u64,
    chunked: bool,
    has_length: bool,
    expects_continue: bool,
    coding: Coding,
    decoder: Decoder,
    encoded: u64,
    decoded: u64,
    content_type: Vec<u8>,
    parts: Option<Entity>,
    /// Bytes of the body, decoded; of bodies in lines each line end counts two, as Zeek counts.
    pub(super) body_length: u64,
    file: Option<FileHandle>,
    /// The file's type was told to the record.
    judged: bool,
    /// The file belongs to a resource that comes in parts on several connections, and stays open.
    is_shared: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: Option<Vec<u8>>,
    upgrades: bool,
}

/// Files of which parts come on several connections, by client and resource.
#[derive(Default)]
struct Shared {
    files: ahash::AHashMap<(std::net::IpAddr, Vec<u8>), FileHandle>,
}

/// Resources in parts that are remembered.
const MAX_SHARED: usize = 4096;
/// Bytes of a resource's name that tell it from others.
const MAX_RESOURCE: usize = 2048;

impl Message {
    pub(super) fn new(from: Direction, version: Version, code: u64, expected: BodyExpected) -> Self {
        Self {
            from,
            version,
            is_206: code == 206,
            expected,
            state: State::Header,
            field: Vec::new(),
            content_length: None,
            range_length: None,
            instance_length: None,
            is_partial: false,
            offset: 0,
            chunked: false,
            has_length: false,
            expects_continue: false,
            coding: Coding::Identity,
            decoder: Decoder::None,
            encoded: 0,
            decoded: 0,
            content_type: Vec::new(),
            parts: None,
            body_length: 0,
            file: None,
            judged: false,
            is_shared: false,
            close: false,
            keep_alive: false,
            upgrade: None,
            upgrades: false,
        }
    }

    /// A message of HTTP/0.9: a body and nothing else.
    pub(super) fn bare(from: Direction) -> Self {
        Self { state: State::Rest, ..Self::new(from, (0, 9), 0, BodyExpected::Yes) }
    }

    pub(super) const fn next(&self) -> Next {
        match self.state {
            State::Header | State::ChunkSize | State::ChunkEnd | State::Trailer | State::Lines | State::Parts(_) => Next::Line,
            State::ChunkData(left) | State::Sized(left) => Next::Bytes(left),
            State::Rest => Next::Rest,
            State::End => Next::End,
        }
    }

    /// Whether the header is still coming.
    pub(super) const fn is_in_header(&self) -> bool {
        matches!(self.state, State::Header)
    }

    /// Whether lines are those of a body.
    pub(super) const fn is_in_body(&self) -> bool {
        matches!(self.state, State::Lines | State::Parts(_))
    }

    /// Whether the message would be complete if it ended here.
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self.state, State::End | State::Lines | State::Rest | State::Parts(None | Some(0)))
    }

    /// The header field that `line` completes, as it does not go on with it.
    pub(super) fn field_before(&self, line: &[u8]) -> Option<Vec<u8>> {
        let goes_on = matches!(line.first(), Some(b' ' | b'\t'));
        (matches!(self.state, State::Header | State::Trailer) && !self.field.is_empty() && !goes_on).then(|| self.field.clone())
    }

    /// The connection's other end has agreed to another protocol.
    pub(super) const fn is_upgrade(&self) -> bool {
        self.upgrades && self.upgrade.is_some()
    }

    /// Whether a line that has not ended yet can be taken as it is: the told length ends within it.
    pub(super) fn ends_within(&self, available: usize) -> bool {
        matches!(self.state, State::Parts(Some(left)) if available as u64 >= left)
    }

    /// Bytes that are left of a body in parts.
    pub(super) const fn left(&self) -> Option<u64> {
        match self.state {
            State::Parts(left) => left,
            _ => None,
        }
    }

    /// The next line, without its end; `consumed` bytes with it.
    pub(super) fn line(&mut self, line: &[u8], consumed: usize, transactions: &mut Transactions, out: &mut Output<'_>) {
        match self.state {
            State::Header | State::Trailer => self.header_line(line, transactions, out),
            State::ChunkSize => match chunk_size(line) {
                Some(0) => self.state = State::Trailer,
                Some(size) => self.state = State::ChunkData(size),
                None => {
                    out.weird_detail("HTTP_bad_chunk_size", None, Some("HTTP"));
                    self.state = State::Trailer;
                }
            },
            State::ChunkEnd => self.state = State::ChunkSize,
            State::Lines => {
                let ended = line.len() < consumed;
                self.body_length += line.len() as u64 + if ended { 2 } else { 0 };
                self.file_data(line, transactions, out);
                if ended {
                    self.file_data(b"\r\n", transactions, out);
                }
            }
            State::Parts(left) => {
                // Zeek counts a line end even after the last line, whether there is one or not.
                self.body_length += line.len() as u64 + 2;
                if let Some(mut parts) = self.parts.take() {
                    parts.line(line, &mut PartSink { message: self, transactions, out });
                    self.parts = Some(parts);
                }
                if let Some(left) = left {
                    let left = left.saturating_sub(consumed as u64);
                    self.state = State::Parts(Some(left));
                    if left == 0 {
                        self.end(transactions, out);
                    }
                }
            }
            State::ChunkData(_) | State::Sized(_) | State::Rest | State::End => {}
        }
    }

    /// Bytes of the body, no more than [`Message::next`] allows.
    pub(super) fn bytes(&mut self, bytes: &[u8], transactions: &mut Transactions, out: &mut Output<'_>) {
        self.body(bytes, transactions, out);
        self.advance(bytes.len() as u64, transactions, out);
    }

    /// So many bytes are missing; whether the message goes on after them.
    pub(super) fn gap(&mut self, len: u64, transactions: &mut Transactions, out: &mut Output<'_>) -> bool {
        if self.body_length == 0 || matches!(self.state, State::Header | State::End) {
            return false;
        }
        let left = match self.state {
            State::ChunkData(left) | State::Sized(left) => left,
            // Where a body ends with the connection, nothing tells that the hole lies within it; so Zeek stops.
            _ => return false,
        };
        if len > left {
            return false;
        }
        if let Some(file) = self.file {
            out.file_gap(file, len);
        }
        if !matches!(self.decoder, Decoder::None) {
            self.decoder = Decoder::Broken;
        }
        self.body_length += len;
        self.offset += len;
        self.advance(len, transactions, out);
        true
    }

    /// The message ends here, whether it is complete or not.
    pub(super) fn end(&mut self, transactions: &mut Transactions, out: &mut Output<'_>) {
        if self.state == State::End {
            return;
        }
        if let Some(mut parts) = self.parts.take() {
            parts.finish(&mut PartSink { message: self, transactions, out });
        }
        self.finish_decoding(transactions, out);
        self.state = State::End;
        self.close_file(transactions, out);
        transactions.done(self.from, self.body_length, out);
    }

    fn advance(&mut self, len: u64, transactions: &mut Transactions, out: &mut Output<'_>) {
        match &mut self.state {
            State::ChunkData(left) => {
                *left = left.saturating_sub(len);
                if *left == 0 {
                    self.state = State::ChunkEnd;
                }
            }
            State::Sized(left) => {
                *left = left.saturating_sub(len);
                if *left == 0 {
                    self.end(transactions, out);
                }
            }
            _ => {}
        }
    }

    fn header_line(&mut self, line: &[u8], transactions: &mut Transactions, out: &mut Output<'_>) {
        let is_trailer = self.state == State::Trailer;
        if matches!(line.first(), Some(b' ' | b'\t')) && !self.field.is_empty() {
            self.field.push(b' ');
            self.field.extend_from_slice(line.trim_ascii());
            return;
        }
        let field = std::mem::replace(&mut self.field, line.to_vec());
        if !field.is_empty()
            && let Some((name, value)) = mime::split_field(&field)
        {
            transactions.field(self.from, name, value, true, out);
            if !is_trailer {
                self.take_field(name, value, out);
            }
        }
        if line.is_empty() {
            if is_trailer {
                self.end(transactions, out);
            } else {
                self.start_body(transactions, out);
            }
        }
    }

    fn take_field(&mut self, name: &[u8], value: &[u8], out: &mut Output<'_>) {
        let token = value.split(|b| matches!(b, b' ' | b'\t' | b',' | b';')).next().unwrap_or_default();
        match &*name.to_ascii_lowercase() {
            b"content-length" => self.take_length(token, out),
            b"content-range" if self.is_206 => self.take_range(value, out),
            // RFC 9112 §6.1: HTTP/1.0 knows no transfer codings.
            b"transfer-encoding" if token.eq_ignore_ascii_case(b"chunked") && self.version >= (1, 1) => {
                self.chunked = true;
                if self.has_length && self.from.is_orig() {
                    out.weird_detail("HTTP_content_length_and_chunked", None, Some("HTTP"));
                }
            }
            b"content-encoding" => {
                self.coding = match &*token.to_ascii_lowercase() {
                    b"gzip" | b"x-gzip" => Coding::Gzip,
                    b"deflate" => Coding::Deflate,
                    b"br" => Coding::Brotli,
                    _ => Coding::Identity,
                }
            }
            b"content-type" => self.content_type = value.to_vec(),
            b"connection" => {
                if token.eq_ignore_ascii_case(b"close") {
                    self.close = true;
                } else if token.eq_ignore_ascii_case(b"keep-alive") {
                    self.keep_alive = true;
                } else if token.eq_ignore_ascii_case(b"upgrade") {
                    self.upgrades = true;
                }
            }
            b"upgrade" => self.upgrade = Some(token.to_ascii_lowercase()),
            b"expect" => {
                self.expects_continue = token.eq_ignore_ascii_case(b"100-continue");
                self.check_continue(out);
            }
            _ => {}
        }
    }

    fn take_length(&mut self, token: &[u8], out: &mut Output<'_>) {
        if token.is_empty() {
            return;
        }
        self.has_length = true;
        if token.len() > 1 && token.starts_with(b"0") && token.iter().all(u8::is_ascii_digit) {
            out.weird_detail("HTTP_content_length_leading_zeros", Some(token), Some("HTTP"));
        }
        match std::str::from_utf8(token).ok().and_then(|text| text.parse::<u64>().ok()) {
            // More than a signed 64-bit number holds is no length.
            Some(n) if i64::try_from(n).is_ok() => {
                self.content_length = Some(n);
                if self.is_partial
                    && let Some(range) = self.range_length
                    && range != n
                {
                    out.weird_detail("HTTP_range_not_matching_len", None, Some("HTTP"));
                    self.content_length = Some(range.max(n));
                }
            }
            _ => {
                out.weird_detail("HTTP_bad_content_length", Some(token), Some("HTTP"));
                self.content_length = Some(0);
            }
        }
        if self.chunked && self.from.is_orig() {
            out.weird_detail("HTTP_content_length_and_chunked", None, Some("HTTP"));
        }
        self.check_continue(out);
    }

    fn check_continue(&self, out: &mut Output<'_>) {
        if self.expects_continue && self.content_length == Some(0) {
            out.weird_detail("HTTP_content_length_0_and_expect_100_cont", None, Some("HTTP"));
        }
    }

    /// RFC 9110 §14.4.
    fn take_range(&mut self, value: &[u8], out: &mut Output<'_>) {
        let Some(blank) = value.iter().position(u8::is_ascii_whitespace) else { return };
        let (unit, rest) = value.split_at_checked(blank).unwrap_or((value, &[]));
        if unit != b"bytes" {
            return out.weird_detail("HTTP_content_range_unknown_byte_unit", None, Some("HTTP"));
        }
        let rest: Vec<u8> = rest.iter().copied().filter(|b| *b != b' ').collect();
        let text = String::from_utf8_lossy(&rest).into_owned();
        let addl = Some(rest.as_slice());
        let Some((range, whole)) = text.split_once('/') else {
            return out.weird_detail("HTTP_content_range_cannot_parse", addl, Some("HTTP"));
        };
        let Some((first, last)) = range.split_once('-') else {
            return out.weird_detail("HTTP_content_range_cannot_parse", addl, Some("HTTP"));
        };
        let (Ok(first), Ok(last)) = (first.parse::<u64>(), last.parse::<u64>()) else {
            return out.weird_detail("HTTP_content_range_invalid", addl, Some("HTTP"));
        };
        if last < first {
            return out.weird_detail("HTTP_non_positive_content_range", addl, Some("HTTP"));
        }
        let len = last - first;
        if i64::try_from(len).map_or(true, |len| len == i64::MAX) {
            return out.weird_detail("HTTP_content_range_overflow", addl, Some("HTTP"));
        }
        let len = len + 1;
        self.instance_length = whole.parse().ok();
        self.is_partial = true;
        self.offset = first;
        self.range_length = Some(len);
        match self.content_length {
            Some(told) if told > 0 && told != len => {
                out.weird_detail("HTTP_range_not_matching_len", None, Some("HTTP"));
                self.content_length = Some(told.max(len));
            }
            Some(told) if told > 0 => {}
            _ => self.content_length = Some(len),
        }
    }

    /// The header is complete: how is the body framed?
    fn start_body(&mut self, transactions: &mut Transactions, out: &mut Output<'_>) {
        if self.expected == BodyExpected::No {
            return self.end(transactions, out);
        }
        let content_type = std::mem::take(&mut self.content_type);
        if let Some(parts) = Entity::body_of(&content_type, &mut PartSink { message: self, transactions, out }) {
            self.parts = Some(parts);
            self.state = State::Parts(self.content_length);
            if self.content_length == Some(0) {
                self.end(transactions, out);
            }
            return;
        }
        self.state = match self.content_length {
            _ if self.chunked => State::ChunkSize,
            Some(0) => return self.end(transactions, out),
            Some(length) => State::Sized(length),
            None if self.close || self.coding != Coding::Identity => State::Rest,
            None if self.expected == BodyExpected::Yes => State::Lines,
            None => return self.end(transactions, out),
        };
    }

    fn body(&mut self, bytes: &[u8], transactions: &mut Transactions, out: &mut Output<'_>) {
        if self.coding == Coding::Identity {
            self.body_length += bytes.len() as u64;
            return self.file_data(bytes, transactions, out);
        }
        self.encoded += bytes.len() as u64;
        if matches!(self.decoder, Decoder::None) {
            self.decoder = Decoder::new(self.coding, bytes);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at_checked(DECODED_CHUNK / 64).unwrap_or((rest, &[]));
            rest = later;
            let decoded = self.decoder.take(now);
            self.decoded_body(&decoded, transactions, out);
        }
    }

    fn decoded_body(&mut self, decoded: &[u8], transactions: &mut Transactions, out: &mut Output<'_>) {
        if decoded.is_empty() {
            return;
        }
        self.decoded += decoded.len() as u64;
        if self.decoded > self.encoded.saturating_mul(MAX_RATIO) {
            out.weird_detail("HTTP_decompression_bomb", None, Some("HTTP"));
            self.decoder = Decoder::Broken;
            return;
        }
        self.body_length += decoded.len() as u64;
        self.file_data(decoded, transactions, out);
    }

    fn finish_decoding(&mut self, transactions: &mut Transactions, out: &mut Output<'_>) {
        let rest = std::mem::replace(&mut self.decoder, Decoder::None).finish();
        self.decoded_body(&rest, transactions, out);
    }

    fn file_data(&mut self, bytes: &[u8], transactions: &mut Transactions, out: &mut Output<'_>) {
        if bytes.is_empty() {
            return;
        }
        let file = match self.file {
            Some(file) => file,
            None => self.open_file(transactions, out),
        };
        if self.is_partial {
            out.file_data_at(file, self.offset, bytes);
            self.offset += bytes.len() as u64;
        } else {
            out.file_data(file, bytes);
        }
        if !self.judged
            && let Some(summary) = out.file_summary(file)
            && summary.mime.is_some()
        {
            self.judged = true;
            transactions.file_judged(self.from, summary.mime, out);
        }
    }

    fn open_file(&mut self, transactions: &mut Transactions, out: &mut Output<'_>) -> FileHandle {
        let is_shared = !self.from.is_orig() && transactions.is_range();
        let key = is_shared.then(|| {
            let mut name = transactions.resource();
            name.truncate(MAX_RESOURCE);
            (out.id.orig.addr, name)
        });
        self.is_shared = is_shared && self.is_206;
        let known = key.as_ref().and_then(|key| out.state::<Shared>().files.get(key).copied());
        let known = known.filter(|file| out.file_summary(*file).is_some());
        let file = known.unwrap_or_else(|| {
            // A coding that we take off makes the told length meaningless.
            let told = if self.is_partial { self.instance_length } else { self.content_length };
            let total = if self.coding == Coding::Identity && self.parts.is_none() { told.filter(|n| *n > 0) } else { None };
            let start = FileStart {
                source: "HTTP",
                depth: 0,
                filename: transactions.file_name(self.from, out),
                claimed_mime: None,
                total,
                parent: None,
            };
            out.file_open(self.from, start)
        });
        if let Some(key) = key {
            let shared = out.state::<Shared>();
            if shared.files.len() >= MAX_SHARED {
                shared.files.clear();
            }
            shared.files.insert(key, file);
        }
        if let Some(summary) = out.file_summary(file) {
            self.judged = summary.mime.is_some();
            transactions.file_opened(self.from, summary.fuid, out);
        }
        self.file = Some(file);
        file
    }

    fn close_file(&mut self, transactions: &mut Transactions, out: &mut Output<'_>) {
        let Some(file) = self.file.take() else { return };
        if self.is_shared {
            return;
        }
        let summary = out.file_close(file);
        if !self.judged
            && let Some(summary) = summary
        {
            transactions.file_judged(self.from, summary.mime, out);
        }
        self.judged = false;
    }
}

impl Decoder {
    fn new(coding: Coding, first: &[u8]) -> Self {
        match coding {
            Coding::Identity => Self::None,
            Coding::Gzip => Self::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Vec::new()))),
            // RFC 9110 §8.4.1.2 means zlib; some servers send bare deflate. A zlib header is a multiple of 31.
            Coding::Deflate => match *first {
                [a, b, ..] if a & 15 == 8 && u16::from_be_bytes([a, b]).is_multiple_of(31) => {
                    Self::Zlib(Box::new(flate2::write::ZlibDecoder::new(Vec::new())))
                }
                _ => Self::Deflate(Box::new(flate2::write::DeflateDecoder::new(Vec::new()))),
            },
            Coding::Brotli => Self::Brotli(Box::new(brotli_decompressor::DecompressorWriter::new(Vec::new(), DECODED_CHUNK))),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let outcome = match self {
            Self::Gzip(decoder) => decoder.write_all(bytes).map(|()| std::mem::take(decoder.get_mut())),
            Self::Zlib(decoder) => decoder.write_all(bytes).map(|()| std::mem::take(decoder.get_mut())),
            Self::Deflate(decoder) => decoder.write_all(bytes).map(|()| std::mem::take(decoder.get_mut())),
            Self::Brotli(decoder) => decoder.write_all(bytes).map(|()| std::mem::take(decoder.get_mut())),
            Self::None | Self::Broken => return Vec::new(),
        };
        outcome.unwrap_or_else(|_| {
            *self = Self::Broken;
            Vec::new()
        })
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Gzip(mut decoder) => drop_error(decoder.try_finish(), || std::mem::take(decoder.get_mut())),
            Self::Zlib(mut decoder) => drop_error(decoder.try_finish(), || std::mem::take(decoder.get_mut())),
            Self::Deflate(mut decoder) => drop_error(decoder.try_finish(), || std::mem::take(decoder.get_mut())),
            Self::Brotli(mut decoder) => drop_error(decoder.close(), || std::mem::take(decoder.get_mut())),
            Self::None | Self::Broken => Vec::new(),
        }
    }
}

/// A stream that was cut short still gives what it held.
fn drop_error(outcome: std::io::Result<()>, rest: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    drop(outcome);
    rest()
}

/// RFC 9112 §7.1: hexadecimal digits, then extensions that nobody uses.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.trim_ascii_start().iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let text = line.trim_ascii_start().get(..digits)?;
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok().filter(|n| i64::try_from(*n).is_ok())
}

/// The parts of a multipart body are entities with files of their own.
struct PartSink<'m, 't, 'o, 's> {
    message: &'m mut Message,
    transactions: &'t mut Transactions,
    out: &'o mut Output<'s>,
}

impl mime::Sink for PartSink<'_, '_, '_, '_> {
    fn begin(&mut self) {
        self.transactions.entity(self.message.from, self.out);
    }

    fn header(&mut self, name: &[u8], value: &[u8]) {
        self.transactions.field(self.message.from, name, value, false, self.out);
    }

    fn body(&mut self, bytes: &[u8]) {
        self.message.file_data(bytes, self.transactions, self.out);
    }

    fn end(&mut self) {
        self.message.close_file(self.transactions, self.out);
    }

    fn too_deep(&mut self) {
        let limit = mime::MAX_DEPTH.to_string();
        self.out.weird_detail("exceeded_mime_max_depth", Some(limit.as_bytes()), Some("HTTP"));
        self.out.limit_exceeded();
    }
}
