//! PostgreSQL's messages (Frontend/Backend Protocol 3.0): type (1), length (4) with itself, body.
//! What the client says first has no type.

use std::borrow::Cow;

use crate::Reader;

/// What stands where the version does when the client asks for TLS.
const SSL_REQUEST: u32 = 80_877_103;

/// Bytes of a message that are looked at. Rows with large columns are longer; they are skipped.
pub(super) const MAX_LOOKED_AT: usize = 1 << 19;

/// What the client says first.
pub(super) enum First<'a> {
    Ssl,
    Startup(Vec<(&'a [u8], &'a [u8])>),
}

/// Why nothing could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    NeedMore,
    Bad(&'static str),
}

pub(super) fn first(bytes: &[u8]) -> Result<(First<'_>, usize), Stop> {
    let mut reader = Reader::new(bytes);
    let (Some(len), Some(version)) = (reader.u32(), reader.u32()) else { return Err(Stop::NeedMore) };
    if len < 8 || len as usize > MAX_LOOKED_AT {
        return Err(Stop::Bad("malformed PostgreSQL startup"));
    }
    if len == 8 && version == SSL_REQUEST {
        return Ok((First::Ssl, 8));
    }
    if version >> 16 != 3 {
        return Err(Stop::Bad("unsupported PostgreSQL major version"));
    }
    let mut body = reader.sub((len as usize).saturating_sub(8)).ok_or(Stop::NeedMore)?;
    let mut parameters = Vec::new();
    while let (Some(name), Some(value)) = (text(&mut body).filter(|name| !name.is_empty()), text(&mut body)) {
        parameters.push((name, value));
    }
    Ok((First::Startup(parameters), reader.position()))
}

/// Bytes up to a zero.
pub(super) fn text<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let text = reader.until(0)?;
    Some(text.strip_suffix(&[0]).unwrap_or(text))
}

/// A message with a type.
pub(super) struct Message<'a> {
    pub(super) kind: u8,
    pub(super) body: &'a [u8],
    /// Bytes that it takes; the body may be shorter if it is too long to be looked at.
    pub(super) len: usize,
}

pub(super) fn message(bytes: &[u8]) -> Result<Message<'_>, Stop> {
    let mut reader = Reader::new(bytes);
    let (Some(kind), Some(len)) = (reader.u8(), reader.u32()) else { return Err(Stop::NeedMore) };
    let Some(body) = (len as usize).checked_sub(4) else { return Err(Stop::Bad("malformed PostgreSQL message")) };
    if !kind.is_ascii_graphic() {
        return Err(Stop::Bad("malformed PostgreSQL message"));
    }
    let whole = body.saturating_add(5);
    if body > MAX_LOOKED_AT {
        return Ok(Message { kind, body: &[], len: whole });
    }
    let body = reader.take(body).ok_or(Stop::NeedMore)?;
    Ok(Message { kind, body, len: whole })
}

/// Fields of an error or a notice, as `name=value` with commas between them.
pub(super) fn fields(body: &[u8]) -> Vec<u8> {
    let mut reader = Reader::new(body);
    let mut all = Vec::new();
    while let Some(code) = reader.u8().filter(|&code| code != 0) {
        let Some(value) = text(&mut reader) else { break };
        if !all.is_empty() {
            all.push(b',');
        }
        all.extend_from_slice(field(code).as_bytes());
        all.push(b'=');
        all.extend_from_slice(value);
    }
    all
}

fn field(code: u8) -> Cow<'static, str> {
    Cow::Borrowed(match code {
        b'S' => "SeverityLocalized",
        b'V' => "Severity",
        b'C' => "Code",
        b'M' => "Message",
        b'D' => "Detail",
        b'H' => "Hint",
        b'P' => "Position",
        b'p' => "InternalPosition",
        b'q' => "InternalQuery",
        b'W' => "Where",
        b's' => "Schema",
        b't' => "Table",
        b'c' => "Column",
        b'd' => "Data",
        b'n' => "Constraint",
        b'F' => "File",
        b'L' => "Line",
        b'R' => "Routine",
        _ => return Cow::Owned(format!("UnknownErrorId{}", char::from(code))),
    })
}

/// Name of a way to authenticate.
pub(super) fn authentication(number: u32) -> Cow<'static, str> {
    Cow::Borrowed(match number {
        2 => "KerberosV5",
        3 => "CleartextPassword",
        5 => "MD5Password",
        7 => "GSSAPI",
        8 => "GSSAPIContinue",
        9 => "SSPI",
        10 => "SASL",
        11 => "SASLContinue",
        12 => "SASLFinal",
        _ => return Cow::Owned(format!("UnknownAuthId{number}")),
    })
}
