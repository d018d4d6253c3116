//! SIP messages (RFC 3261 §7).

use crate::Reader;

/// Headers of one message.
const MAX_HEADERS: usize = 500;

/// The first line of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// What stands before the method, the method and the URI.
    Request(&'a [u8], &'a [u8], &'a [u8]),
    /// Status and reason.
    Response(u64, &'a [u8]),
}

/// A message.
pub(super) struct Message<'a> {
    pub(super) line: Line<'a>,
    pub(super) headers: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Message<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let first = next_line(&mut reader)?;
        let line = if first.starts_with(b"SIP/") { response(first)? } else { request(first)? };
        let mut headers = Vec::new();
        while headers.len() < MAX_HEADERS {
            let Some(line) = next_line(&mut reader).filter(|line| !line.is_empty()) else { break };
            let colon = line.iter().position(|&b| b == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            headers.push((name.trim_ascii_end(), value.get(1..)?.trim_ascii_start()));
        }
        Some(Self { line, headers })
    }
}

/// A line, also if its end is missing.
fn next_line<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    if reader.is_empty() {
        return None;
    }
    Some(reader.line().unwrap_or_else(|| reader.take_up_to(usize::MAX)))
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'!' | b'%' | b'*' | b'+' | b'`' | b'\'' | b'~' | b'-')
}

fn request(line: &[u8]) -> Option<Line<'_>> {
    let start = line.iter().position(|&b| is_token(b))?;
    let (junk, line) = line.split_at_checked(start)?;
    let end = line.iter().position(|&b| !is_token(b))?;
    let (method, line) = line.split_at_checked(end)?;
    let line = line.trim_ascii_start();
    let end = line.iter().position(|b| !b.is_ascii_graphic())?;
    let (uri, version) = line.split_at_checked(end)?;
    (!uri.is_empty() && version.trim_ascii_start().starts_with(b"SIP/")).then_some(Line::Request(junk, method, uri))
}

fn response(line: &[u8]) -> Option<Line<'_>> {
    let end = line.iter().position(|&b| b == b' ' || b == b'\t')?;
    let rest = line.get(end..)?.trim_ascii_start();
    let (code, reason) = rest.split_at_checked(3)?;
    let code = std::str::from_utf8(code).ok()?.parse().ok()?;
    Some(Line::Response(code, reason.trim_ascii_start()))
}

/// A value without a parameter and what follows it.
pub(super) fn without<'a>(value: &'a [u8], parameter: &[u8]) -> &'a [u8] {
    let starts = |at: &usize| {
        let rest = value.get(at.saturating_add(1)..).unwrap_or_default();
        value.get(*at) == Some(&b';') && rest.strip_prefix(b" ").unwrap_or(rest).starts_with(parameter)
    };
    let end = (0..value.len()).find(starts).unwrap_or(value.len());
    value.get(..end).unwrap_or(value)
}

/// The number that a value starts with.
pub(super) fn number(value: &[u8]) -> u64 {
    let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
    value.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0)
}
