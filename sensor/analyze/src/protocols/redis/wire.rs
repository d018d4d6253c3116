//! RESP, the protocol of Redis (redis.io/docs/reference/protocol-spec): commands as arrays of bulk strings or as a
//! line, replies as typed values.

use crate::Reader;

/// Bytes of one string and elements of one aggregate (Zeek's `RESP::MAX_SIZE`).
const MAX_SIZE: i64 = 1 << 20;

/// Aggregates within aggregates. Redis itself nests a handful.
const MAX_DEPTH: usize = 32;

/// Bytes of a command that is one line (Zeek's limit).
const MAX_INLINE: usize = 1024;

/// Why nothing was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// More bytes are needed.
    Incomplete,
    /// It is not RESP.
    Malformed,
}

/// The words of a command.
pub(super) fn command(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, Stop> {
    if reader.peek() != Some(b'*') {
        let Some(line) = line(reader) else {
            return Err(if reader.remaining() > MAX_INLINE { Stop::Malformed } else { Stop::Incomplete });
        };
        return if line.len() > MAX_INLINE { Err(Stop::Malformed) } else { Ok(words(line)) };
    }
    reader.skip(1).ok_or(Stop::Incomplete)?;
    let count = number(reader)?;
    let mut words = Vec::new();
    for _ in 0..count.max(0) {
        if reader.u8().ok_or(Stop::Incomplete)? != b'$' {
            return Err(Stop::Malformed);
        }
        words.push(bulk(reader)?.unwrap_or_default().to_vec());
    }
    Ok(words)
}

/// A line that ends in CR LF.
fn line<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let rest = reader.rest();
    let end = memchr::memmem::find(rest, b"\r\n")?;
    let line = reader.take(end)?;
    reader.skip(2)?;
    Some(line)
}

fn number(reader: &mut Reader<'_>) -> Result<i64, Stop> {
    const MAX_DIGITS: usize = 24;
    let Some(line) = line(reader) else {
        return Err(if reader.remaining() > MAX_DIGITS { Stop::Malformed } else { Stop::Incomplete });
    };
    let number = std::str::from_utf8(line).ok().and_then(|text| text.parse::<i64>().ok());
    number.filter(|n| (-1..=MAX_SIZE).contains(n)).ok_or(Stop::Malformed)
}

/// A string with its length in front; `None` is the null string.
fn bulk<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, Stop> {
    let Ok(len) = usize::try_from(number(reader)?) else { return Ok(None) };
    let text = reader.take(len).ok_or(Stop::Incomplete)?;
    if reader.array::<2>().ok_or(Stop::Incomplete)? != *b"\r\n" {
        return Err(Stop::Malformed);
    }
    Ok(Some(text))
}

/// Splits a line into words; quotes keep words together and stay.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let blank = |c: u8| matches!(c, 0 | b'\t' | b'\n' | b'\r' | b' ');
    let mut words = Vec::new();
    let mut word = Vec::new();
    let mut quote = None;
    let mut bytes = line.iter().copied().peekable();
    while let Some(c) = bytes.next() {
        match quote {
            None if blank(c) => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if c == b'"' || c == b'\'' => quote = Some(c),
            Some(open) if c == b'\\' && bytes.peek() == Some(&open) => {
                word.push(c);
                word.extend(bytes.next());
                continue;
            }
            Some(open) if c == open => quote = None,
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// What a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Reply,
    Error,
    Push,
}

/// A reply: what it is, its text, and whether it is of version 3 of the protocol.
pub(super) struct Reply {
    pub(super) kind: Kind,
    pub(super) text: Vec<u8>,
    pub(super) is_resp3: bool,
}

/// Reads one reply.
pub(super) fn reply(reader: &mut Reader<'_>) -> Result<Reply, Stop> {
    let first = reader.peek().ok_or(Stop::Incomplete)?;
    let mut text = Vec::new();
    value(reader, &mut text, 0)?;
    let kind = match first {
        b'-' | b'!' => Kind::Error,
        b'>' => Kind::Push,
        _ => Kind::Reply,
    };
    Ok(Reply { kind, text, is_resp3: !matches!(first, b'+' | b'-' | b':' | b'$' | b'*') })
}

fn value(reader: &mut Reader<'_>, text: &mut Vec<u8>, depth: usize) -> Result<(), Stop> {
    if depth > MAX_DEPTH {
        return Err(Stop::Malformed);
    }
    match reader.u8().ok_or(Stop::Incomplete)? {
        b'+' | b'-' | b':' | b',' | b'(' => {
            let Some(line) = line(reader) else {
                return Err(if reader.remaining() as i64 > MAX_SIZE { Stop::Malformed } else { Stop::Incomplete });
            };
            text.extend_from_slice(line);
        }
        b'$' | b'!' | b'=' => text.extend_from_slice(bulk(reader)?.unwrap_or_default()),
        b'_' => {
            line(reader).ok_or(Stop::Incomplete)?;
            text.extend_from_slice(b"null");
        }
        b'#' => {
            let line = line(reader).ok_or(Stop::Incomplete)?;
            text.push(if line == b"t" { b'T' } else { b'F' });
        }
        b'*' | b'>' | b'~' => {
            let count = number(reader)?;
            text.push(b'[');
            for i in 0..count.max(0) {
                if i > 0 {
                    text.extend_from_slice(b", ");
                }
                value(reader, text, depth.saturating_add(1))?;
            }
            text.push(b']');
        }
        b'%' => {
            let count = number(reader)?;
            text.push(b'{');
            for i in 0..count.max(0) {
                if i > 0 {
                    text.extend_from_slice(b", ");
                }
                value(reader, text, depth.saturating_add(1))?;
                text.extend_from_slice(b": ");
                value(reader, text, depth.saturating_add(1))?;
            }
            text.push(b'}');
        }
        _ => return Err(Stop::Malformed),
    }
    Ok(())
}
