//! Request lines, status lines, and the request target (RFC 9112, and how the world departs from it).

/// Version of a message, major and minor.
pub(super) type Version = (u8, u8);

/// A request line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    /// `None` if no version follows: HTTP/0.9.
    pub(super) version: Option<Version>,
    /// A version follows, but not in the form `HTTP/d.d`.
    pub(super) bad_version: bool,
    /// The target is missing.
    pub(super) no_target: bool,
}

/// What is wrong with a line that should be a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotARequest {
    /// Nothing of it looks like a request.
    Bad,
    /// It has no method, but a version at its end.
    BadWithVersion,
}

/// Reads a request line. Like Zeek, takes what lies between the method and the last ` HTTP/` for the target, spaces
/// included.
pub(super) fn request_line(line: &[u8]) -> Result<RequestLine<'_>, NotARequest> {
    let method_len = line.iter().take_while(|b| is_token(**b)).count();
    let (method, rest) = line.split_at_checked(method_len).unwrap_or((line, &[]));
    if method.is_empty() {
        let tail = line.get(line.len().saturating_sub(9)..).unwrap_or_default();
        let has_version = line.len() >= 9 && tail.get(..6).is_some_and(|t| t.eq_ignore_ascii_case(b" HTTP/"));
        return Err(if has_version { NotARequest::BadWithVersion } else { NotARequest::Bad });
    }
    let target_and_version = trim_blank_start(rest);
    if target_and_version.len() == rest.len() {
        return Err(NotARequest::Bad);
    }
    let mut parsed = target(target_and_version);
    parsed.method = method;
    if parsed.version.is_none() && !parsed.bad_version && (method.len() < 3 || parsed.target.is_empty()) {
        return Err(NotARequest::Bad);
    }
    Ok(parsed)
}

fn target(text: &[u8]) -> RequestLine<'_> {
    let mut line = RequestLine { method: &[], target: text, version: None, bad_version: false, no_target: false };
    if text.starts_with(b"HTTP/") && !text.contains(&b' ') {
        line.no_target = true;
        line.target = &[];
        (line.version, line.bad_version) = version(text.get(5..).unwrap_or_default());
        return line;
    }
    // Where blanks are followed by a version, the target ends.
    let mut at = 0;
    while let Some(blank) = text.get(at..).and_then(|rest| rest.iter().position(|b| is_blank(*b))) {
        let blank = at + blank;
        let rest = trim_blank_start(text.get(blank..).unwrap_or_default());
        if rest.starts_with(b"HTTP/") {
            line.target = text.get(..blank).unwrap_or_default();
            if rest.len() >= 8 {
                (line.version, line.bad_version) = version(rest.get(5..).unwrap_or_default());
            } else {
                line.bad_version = true;
            }
            return line;
        }
        at = text.len().saturating_sub(rest.len());
        if rest.is_empty() {
            break;
        }
    }
    line.target = text.trim_ascii_end();
    line
}

/// Only digit, dot, digit is a version.
fn version(text: &[u8]) -> (Option<Version>, bool) {
    match *text {
        [major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9', ..] => (Some((major - b'0', minor - b'0')), false),
        _ => (None, true),
    }
}

/// A status line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StatusLine<'a> {
    pub(super) version: Version,
    pub(super) code: u64,
    pub(super) reason: Option<&'a [u8]>,
}

/// Reads a status line; `None` if it is none.
pub(super) fn status_line(line: &[u8]) -> Option<StatusLine<'_>> {
    let rest = line.strip_prefix(b"HTTP/")?;
    let version = version(rest).0.unwrap_or((0, 0));
    let blank = rest.iter().position(|b| is_blank(*b))?;
    let rest = trim_blank_start(rest.get(blank..)?);
    let code = rest.get(..3)?;
    let code = std::str::from_utf8(code).ok().and_then(|code| code.parse().ok()).unwrap_or(0);
    let rest = rest.get(3..)?;
    let reason = rest.iter().position(|b| is_blank(*b)).map(|blank| trim_blank_start(rest.get(blank..).unwrap_or_default()));
    Some(StatusLine { version, code, reason })
}

/// Takes the percent escapes out of a request target; names oddities.
pub(super) fn unescape(target: &[u8], weird: &mut dyn FnMut(&'static str)) -> Vec<u8> {
    let mut out = Vec::with_capacity(target.len());
    let mut rest = target;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        match *rest {
            [] => {
                out.push(b'%');
                weird("illegal_%_at_end_of_URI");
            }
            [c] => {
                out.extend_from_slice(&[b'%', c]);
                weird("partial_escape_at_end_of_URI");
                rest = &[];
            }
            [b'%', ..] => weird("double_%_in_URI"),
            [high, low, ref tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(high, low));
                rest = tail;
            }
            // %u00AE: no RFC has it, some scripts write it.
            [b'u', a, b, c, d, ref tail @ ..] if [a, b, c, d].iter().all(u8::is_ascii_hexdigit) => {
                if (a, b) != (b'0', b'0') {
                    out.push(hex(a, b));
                }
                out.push(hex(c, d));
                rest = tail;
            }
            [c, ref tail @ ..] => {
                weird("unescaped_%_in_URI");
                out.extend_from_slice(&[b'%', c]);
                rest = tail;
            }
        }
    }
    out
}

fn hex(high: u8, low: u8) -> u8 {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0);
    (digit(high) << 4) | digit(low)
}

fn is_token(c: u8) -> bool {
    (32..127).contains(&c) && !b" \t()<>@,;:\\\"/[]?={}".contains(&c)
}

const fn is_blank(c: u8) -> bool {
    matches!(c, b' ' | b'\t')
}

fn trim_blank_start(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|b| is_blank(**b)).count();
    text.get(blanks..).unwrap_or_default()
}

/// File name in `Content-Disposition` or `Content-Type` (RFC 6266, RFC 5987), as Zeek takes it out.
pub(super) fn filename(value: &[u8]) -> Option<Vec<u8>> {
    let lower = value.to_ascii_lowercase();
    let at = memchr::memmem::rfind(&lower, b"name")?;
    let rest = value.get(at + 4..)?;
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix(b"*").unwrap_or(rest).trim_ascii_start();
    let rest = rest.strip_prefix(b"=")?.trim_ascii();
    let text = match rest.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|b| *b == b'"').next().unwrap_or_default(),
        None => rest.split(|b| *b == b';').next().unwrap_or_default().trim_ascii(),
    };
    // RFC 5987: character set and language go before the text.
    if let Some(at) = memchr::memmem::find(text, b"''") {
        let encoded = text.get(at + 2..).unwrap_or_default();
        return Some(unescape(encoded, &mut |_| ()));
    }
    Some(text.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines_of_all_kinds() {
        let line = request_line(b"GET /a b HTTP/1.1").unwrap();
        assert_eq!((line.method, line.target, line.version), (&b"GET"[..], &b"/a b"[..], Some((1, 1))));
        let line = request_line(b"GET /").unwrap();
        assert_eq!((line.target, line.version), (&b"/"[..], None));
        assert!(request_line(b"GET HTTP/1.1").unwrap().no_target);
        assert_eq!(request_line(b"/ HTTP/1.1"), Err(NotARequest::BadWithVersion));
        assert_eq!(request_line(b"nonsense"), Err(NotARequest::Bad));
    }

    #[test]
    fn status_lines_with_and_without_reason() {
        assert_eq!(status_line(b"HTTP/1.0 200 OK"), Some(StatusLine { version: (1, 0), code: 200, reason: Some(b"OK") }));
        assert_eq!(status_line(b"HTTP/1.1 304").map(|s| (s.code, s.reason)), Some((304, None)));
        assert_eq!(status_line(b"<html>"), None);
    }

    #[test]
    fn escapes_are_taken_out() {
        let mut weirds = Vec::new();
        assert_eq!(unescape(b"/a%20b%zz%", &mut |w| weirds.push(w)), b"/a b%zz%");
        assert_eq!(weirds, ["unescaped_%_in_URI", "illegal_%_at_end_of_URI"]);
    }
}
