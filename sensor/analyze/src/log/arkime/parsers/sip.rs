//! SIP (RFC 3261): who calls whom.

use super::{Frame, Parser, frames, pieces};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;

const METHODS: [&[u8]; 14] = [
    b"ACK",
    b"BYE",
    b"CANCEL",
    b"INVITE",
    b"INFO",
    b"MESSAGE",
    b"NOTIFY",
    b"OPTIONS",
    b"PRACK",
    b"PUBLISH",
    b"REGISTER",
    b"REFER",
    b"SUBSCRIBE",
    b"UPDATE",
];

pub(in super::super) fn sip_datagram(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        message(data, fields);
        true
    })
}

pub(in super::super) fn sip_stream(_: &Beginning<'_>) -> Box<dyn Parser> {
    frames(length, |_, data, fields| {
        message(data, fields);
        true
    })
}

/// Head and body of a message.
fn length(data: &[u8]) -> Frame {
    let Some(head) = memchr::memmem::find(data, b"\r\n\r\n") else { return Frame::Open };
    let body = lines(data.get(..head).unwrap_or_default()).filter_map(header).find_map(|(name, value)| {
        let is_length = name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l");
        is_length.then(|| std::str::from_utf8(value).ok()?.trim().parse::<usize>().ok()).flatten()
    });
    Frame::Whole((head + 4).saturating_add(body.unwrap_or(0)))
}

fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut r = Reader::new(data);
    std::iter::from_fn(move || r.line().or_else(|| Some(r.take_up_to(r.remaining())).filter(|rest| !rest.is_empty())))
}

fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':').filter(|colon| *colon > 0)?;
    let value = line.get(colon + 1..)?.trim_ascii_start();
    (!value.is_empty()).then_some((line.get(..colon)?, value))
}

fn message(data: &[u8], fields: &mut Fields) {
    let mut lines = lines(data).take_while(|line| !line.is_empty());
    let Some(first) = lines.next() else { return };
    if let Some(rest) = first.strip_prefix(b"SIP/2.0 ") {
        let code = rest.get(..3).and_then(|code| std::str::from_utf8(code).ok()?.parse::<i64>().ok());
        if let Some(code @ 100..700) = code {
            fields.number("sip.statuscode", code);
        }
    } else if let Some(method) = first.split(|byte| *byte == b' ').next()
        && METHODS.contains(&method)
        && memchr::memmem::find(first, b"SIP/2.0").is_some()
    {
        fields.text("sip.method", method);
    }
    for (name, value) in lines.filter_map(header) {
        let path = match name.to_ascii_lowercase().as_slice() {
            b"call-id" | b"i" => "sip.callid",
            b"from" | b"f" => "sip.from",
            b"to" | b"t" => "sip.to",
            b"user-agent" => "sip.useragent",
            b"via" | b"v" => "sip.via",
            b"contact" | b"m" => "sip.contact",
            b"authorization" => {
                if let Some(user) = after(value, b"username=\"").and_then(|rest| rest.split(|byte| *byte == b'"').next()) {
                    fields.text("sip.user", user);
                }
                continue;
            }
            _ => continue,
        };
        fields.text(path, value);
        if matches!(path, "sip.from" | "sip.to")
            && let Some(user) = user(value)
        {
            fields.text("sip.user", user);
        }
    }
}

/// What stands before the host in `sip:user@host`.
fn user(value: &[u8]) -> Option<&[u8]> {
    let uri = after(value, b"sip:").or_else(|| after(value, b"sips:"))?;
    let end = uri.iter().position(|byte| matches!(byte, b'@' | b'>' | b';' | b' '))?;
    (uri.get(end) == Some(&b'@') && end > 0).then(|| uri.get(..end)).flatten()
}

fn after<'a>(value: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    let place = value.windows(needle.len()).position(|window| window.eq_ignore_ascii_case(needle))?;
    value.get(place + needle.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Direction;

    #[test]
    fn messages_of_a_stream_are_read_with_bodies_between_them() {
        let mut parser = frames(length, |_, data, fields| {
            message(data, fields);
            true
        });
        let mut fields = Fields::default();
        let data = b"INVITE sip:b@x SIP/2.0\r\nFrom: <sip:alice@x>\r\nl: 4\r\n\r\nBYE BYE sip:b@x SIP/2.0\r\nt: <sip:bob@x>;tag=1\r\n\r\n";
        for piece in data.chunks(7) {
            assert!(parser.read(Direction::Originator, piece, &mut fields));
        }
        assert_eq!(fields.texts("sip.method"), ["INVITE", "BYE"]);
        assert_eq!(fields.texts("sip.user"), ["alice", "bob"]);
    }
}
