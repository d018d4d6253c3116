//! MIME entities (RFC 2045, RFC 2046), line by line: headers, parts within parts, transfer encodings.
//!
//! Used for mail and for multipart bodies of HTTP. Nothing is kept but the header line at hand and the state of the
//! encodings.

/// Parts within parts. Zeek's `MIME::max_depth`.
pub(crate) const MAX_DEPTH: usize = 100;
/// Bytes of one folded header field that are kept.
const MAX_HEADER: usize = 64 << 10;

/// Takes what an entity consists of.
pub(crate) trait Sink {
    /// A part begins.
    fn begin(&mut self);
    /// A header field of the part that began last.
    fn header(&mut self, name: &[u8], value: &[u8]);
    /// The part's headers are complete.
    fn headers_done(&mut self) {}
    /// Decoded content of the innermost part.
    fn body(&mut self, bytes: &[u8]);
    /// The innermost part ends.
    fn end(&mut self);
    /// Parts were nested too deeply; the innermost are not opened.
    fn too_deep(&mut self);
}

/// How the content of a part is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Encoding {
    #[default]
    Identity,
    Base64,
    QuotedPrintable,
}

#[derive(Debug, Default)]
struct Part {
    in_header: bool,
    field: Vec<u8>,
    /// Delimiter of the parts within, without its two hyphens.
    boundary: Option<Vec<u8>>,
    /// The content is itself a message with headers.
    is_message: bool,
    /// The closing delimiter has come: what follows is no content.
    is_closed: bool,
    encoding: Encoding,
    /// A line end that belongs to the content unless a delimiter follows.
    pending_line_end: bool,
    base64: Base64,
}

/// An entity that is being read.
#[derive(Debug)]
pub(crate) struct Entity {
    /// Outermost first; the outermost is begun and ended by the user.
    parts: Vec<Part>,
}

impl Entity {
    /// The body of an entity of which the header fields are known, if `content_type` says that it has parts or is a
    /// message of its own.
    pub(crate) fn body_of(content_type: &[u8], sink: &mut impl Sink) -> Option<Self> {
        let mut part = Part::default();
        part.set_type(content_type);
        let (has_parts, is_message) = (part.boundary.is_some(), part.is_message);
        let mut entity = Self { parts: vec![part] };
        if is_message {
            entity.begin(sink);
        }
        (has_parts || is_message).then_some(entity)
    }

    /// The next line, without its line end.
    pub(crate) fn line(&mut self, line: &[u8], sink: &mut impl Sink) {
        if let Some((depth, closes)) = self.delimiter(line) {
            while self.parts.len() > depth + 1 {
                self.end_innermost(sink);
            }
            if let Some(part) = self.parts.get_mut(depth) {
                part.is_closed = closes;
                part.pending_line_end = false;
            }
            if !closes {
                self.begin(sink);
            }
            return;
        }
        let Some(part) = self.parts.last_mut() else { return };
        if part.in_header {
            if line.is_empty() {
                part.flush_field(sink);
                part.in_header = false;
                sink.headers_done();
                if part.is_message && part.boundary.is_none() {
                    self.begin(sink);
                }
            } else if matches!(line.first(), Some(b' ' | b'\t')) && !part.field.is_empty() {
                if part.field.len() < MAX_HEADER {
                    part.field.push(b' ');
                    part.field.extend_from_slice(line.trim_ascii_start());
                }
            } else {
                part.flush_field(sink);
                part.field.extend_from_slice(line.get(..line.len().min(MAX_HEADER)).unwrap_or_default());
            }
            return;
        }
        if part.boundary.is_some() || part.is_closed {
            // Preamble or epilogue.
            return;
        }
        part.content(line, sink);
    }

    /// Nothing more comes: ends all parts but the outermost.
    pub(crate) fn finish(&mut self, sink: &mut impl Sink) {
        while self.parts.len() > 1 {
            self.end_innermost(sink);
        }
        if let Some(part) = self.parts.last_mut() {
            if part.in_header {
                part.flush_field(sink);
                part.in_header = false;
            }
            part.base64.flush(sink);
        }
    }

    fn begin(&mut self, sink: &mut impl Sink) {
        if self.parts.len() >= MAX_DEPTH {
            return sink.too_deep();
        }
        self.parts.push(Part { in_header: true, ..Part::default() });
        sink.begin();
    }

    fn end_innermost(&mut self, sink: &mut impl Sink) {
        if let Some(mut part) = self.parts.pop() {
            if part.in_header {
                part.flush_field(sink);
            }
            part.base64.flush(sink);
            sink.end();
        }
    }

    /// Whether a line is a delimiter, of which part, and whether it closes it (RFC 2046 §5.1.1).
    fn delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        let rest = line.strip_prefix(b"--")?;
        self.parts.iter().enumerate().find_map(|(depth, part)| {
            if part.is_closed {
                return None;
            }
            let after = rest.strip_prefix(&**part.boundary.as_ref()?)?;
            let closes = after.starts_with(b"--");
            let padding = if closes { after.get(2..).unwrap_or_default() } else { after };
            padding.iter().all(u8::is_ascii_whitespace).then_some((depth, closes))
        })
    }
}

impl Part {
    fn flush_field(&mut self, sink: &mut impl Sink) {
        let field = std::mem::take(&mut self.field);
        let Some((name, value)) = split_field(&field) else { return };
        if name.eq_ignore_ascii_case(b"content-type") {
            self.set_type(value);
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            self.encoding = if value.eq_ignore_ascii_case(b"base64") {
                Encoding::Base64
            } else if value.eq_ignore_ascii_case(b"quoted-printable") {
                Encoding::QuotedPrintable
            } else {
                Encoding::Identity
            };
        }
        sink.header(name, value);
    }

    fn set_type(&mut self, value: &[u8]) {
        let kind = value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        if kind.starts_with(b"multipart/") {
            self.boundary = parameter(value, b"boundary");
        } else if kind == b"message/rfc822" {
            self.is_message = true;
        }
    }

    fn content(&mut self, line: &[u8], sink: &mut impl Sink) {
        match self.encoding {
            Encoding::Identity => {
                if self.pending_line_end {
                    sink.body(b"\r\n");
                }
                if !line.is_empty() {
                    sink.body(line);
                }
                self.pending_line_end = true;
            }
            Encoding::Base64 => self.base64.decode(line, sink),
            Encoding::QuotedPrintable => {
                if self.pending_line_end {
                    sink.body(b"\r\n");
                }
                let (decoded, goes_on) = quoted_printable(line);
                if !decoded.is_empty() {
                    sink.body(&decoded);
                }
                self.pending_line_end = !goes_on;
            }
        }
    }
}

/// Name and value of a header field, without the space around them.
pub(crate) fn split_field(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', field)?;
    let (name, value) = field.split_at_checked(colon)?;
    Some((name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii()))
}

/// A parameter of a structured field: `; name="value"` (RFC 2045 §5.1).
pub(crate) fn parameter(value: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    for part in value.split(|b| *b == b';').skip(1) {
        let Some(equals) = memchr::memchr(b'=', part) else { continue };
        let (key, rest) = part.split_at_checked(equals)?;
        if !key.trim_ascii().eq_ignore_ascii_case(name) {
            continue;
        }
        let rest = rest.get(1..).unwrap_or_default().trim_ascii();
        let text = match rest.strip_prefix(b"\"") {
            Some(quoted) => quoted.split(|b| *b == b'"').next().unwrap_or_default(),
            None => rest,
        };
        return Some(text.to_vec());
    }
    None
}

/// RFC 2045 §6.7; whether the line ends softly, so that the next one goes on.
fn quoted_printable(line: &[u8]) -> (Vec<u8>, bool) {
    let line = line.trim_ascii_end();
    let (line, goes_on) = line.strip_suffix(b"=").map_or((line, false), |line| (line, true));
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'='
            && let [high, low, tail @ ..] = rest
            && let (Some(high), Some(low)) = (char::from(*high).to_digit(16), char::from(*low).to_digit(16))
        {
            out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
            rest = tail;
        } else {
            out.push(*first);
        }
    }
    (out, goes_on)
}

/// RFC 4648 §4, over any division into lines; what is not of the alphabet is passed over (RFC 2045 §6.8).
#[derive(Debug, Default)]
pub(crate) struct Base64 {
    bits: u32,
    digits: u8,
}

impl Base64 {
    fn decode(&mut self, text: &[u8], sink: &mut impl Sink) {
        let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
        for &c in text {
            let Some(value) = base64_digit(c) else {
                if c == b'=' {
                    self.rest(&mut out);
                }
                continue;
            };
            self.bits = (self.bits << 6) | value;
            self.digits += 1;
            if self.digits == 4 {
                let [_, a, b, c] = self.bits.to_be_bytes();
                out.extend_from_slice(&[a, b, c]);
                (self.bits, self.digits) = (0, 0);
            }
        }
        if !out.is_empty() {
            sink.body(&out);
        }
    }

    fn flush(&mut self, sink: &mut impl Sink) {
        let mut out = Vec::new();
        self.rest(&mut out);
        if !out.is_empty() {
            sink.body(&out);
        }
    }

    fn rest(&mut self, out: &mut Vec<u8>) {
        let [_, a, b, _] = (self.bits << (6 * (4 - u32::from(self.digits.min(4))))).to_be_bytes();
        match self.digits {
            2 => out.push(a),
            3 => out.extend_from_slice(&[a, b]),
            _ => {}
        }
        (self.bits, self.digits) = (0, 0);
    }
}

const fn base64_digit(c: u8) -> Option<u32> {
    match c {
        b'A'..=b'Z' => Some((c - b'A') as u32),
        b'a'..=b'z' => Some((c - b'a') as u32 + 26),
        b'0'..=b'9' => Some((c - b'0') as u32 + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// Decodes a short base64 text; `Err` has what was decoded, and how many digits of the last group were missing.
pub(crate) fn decode_base64(text: &[u8]) -> Result<Vec<u8>, (Vec<u8>, u8)> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let mut state = Base64::default();
    for &c in text {
        if let Some(value) = base64_digit(c) {
            state.bits = (state.bits << 6) | value;
            state.digits += 1;
            if state.digits == 4 {
                let [_, a, b, c] = state.bits.to_be_bytes();
                out.extend_from_slice(&[a, b, c]);
                (state.bits, state.digits) = (0, 0);
            }
        } else if c == b'=' {
            state.rest(&mut out);
            return Ok(out);
        }
    }
    if state.digits == 0 {
        return Ok(out);
    }
    let missing = 4 - state.digits;
    state.rest(&mut out);
    Err((out, missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Collect {
        events: Vec<String>,
    }

    impl Sink for Collect {
        fn begin(&mut self) {
            self.events.push("begin".into());
        }
        fn header(&mut self, name: &[u8], value: &[u8]) {
            self.events.push(format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
        }
        fn body(&mut self, bytes: &[u8]) {
            self.events.push(format!("body {:?}", String::from_utf8_lossy(bytes)));
        }
        fn end(&mut self) {
            self.events.push("end".into());
        }
        fn too_deep(&mut self) {
            self.events.push("too deep".into());
        }
    }

    #[test]
    fn a_multipart_body_gives_its_parts_without_the_line_end_before_the_delimiter() {
        let mut entity = Entity::body_of(b"multipart/form-data; boundary=\"xyz\"", &mut Collect::default()).unwrap();
        let mut sink = Collect::default();
        for line in ["--xyz", "Content-Disposition: form-data;", " name=\"a\"", "", "one", "two", "--xyz--", "after"] {
            entity.line(line.as_bytes(), &mut sink);
        }
        entity.finish(&mut sink);
        assert_eq!(
            sink.events,
            ["begin", "Content-Disposition=form-data; name=\"a\"", "body \"one\"", "body \"\\r\\n\"", "body \"two\"", "end"]
        );
    }

    #[test]
    fn base64_goes_on_over_lines() {
        let mut entity = Entity { parts: vec![Part { in_header: true, ..Part::default() }] };
        let mut sink = Collect::default();
        for line in ["Content-Transfer-Encoding: base64", "", "aGVsb", "G8gd29ybGQ="] {
            entity.line(line.as_bytes(), &mut sink);
        }
        entity.finish(&mut sink);
        let text: String = sink.events.iter().filter_map(|e| e.strip_prefix("body ")).map(|b| b.trim_matches('"')).collect();
        assert_eq!(text, "hello world");
    }

    #[test]
    fn quoted_printable_decodes_and_joins() {
        assert_eq!(quoted_printable(b"a=3Db="), (b"a=b".to_vec(), true));
        assert_eq!(quoted_printable(b"100%=ZZ"), (b"100%=ZZ".to_vec(), false));
    }
}
