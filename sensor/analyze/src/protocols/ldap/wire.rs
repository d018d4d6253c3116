//! LDAP messages (RFC 4511), and what SASL wraps around them (RFC 4121 for Kerberos).

use crate::Reader;
use crate::protocols::der::{Element, Elements, Unreadable, tag};

/// Operations, by the number of their application tag (RFC 4511 §4.2 and on).
pub(super) mod operation {
    pub(crate) const BIND_REQUEST: u8 = 0;
    pub(crate) const BIND_RESPONSE: u8 = 1;
    pub(crate) const UNBIND_REQUEST: u8 = 2;
    pub(crate) const SEARCH_REQUEST: u8 = 3;
    pub(crate) const SEARCH_ENTRY: u8 = 4;
    pub(crate) const SEARCH_DONE: u8 = 5;
    pub(crate) const MODIFY_REQUEST: u8 = 6;
    pub(crate) const MODIFY_RESPONSE: u8 = 7;
    pub(crate) const ADD_RESPONSE: u8 = 9;
    pub(crate) const DELETE_REQUEST: u8 = 10;
    pub(crate) const DELETE_RESPONSE: u8 = 11;
    pub(crate) const MODIFY_DN_RESPONSE: u8 = 13;
    pub(crate) const COMPARE_RESPONSE: u8 = 15;
    pub(crate) const ABANDON_REQUEST: u8 = 16;
    pub(crate) const SEARCH_REFERENCE: u8 = 19;
    pub(crate) const EXTENDED_REQUEST: u8 = 23;
    pub(crate) const EXTENDED_RESPONSE: u8 = 24;
}

/// Filters within filters. Directory tools write a dozen at most.
const MAX_FILTER_DEPTH: usize = 64;

/// Bytes of a filter as text.
const MAX_FILTER: usize = 65_536;

/// One message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) id: i64,
    pub(super) operation: u8,
    pub(super) body: Elements<'a>,
    /// The operation's contents, for those that are primitive.
    pub(super) contents: &'a [u8],
    pub(super) len: usize,
}

impl<'a> Message<'a> {
    /// Reads the message at the start of `bytes`.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let outer = Element::read(bytes)?;
        if outer.tag != tag::SEQUENCE {
            return Err(Unreadable::Malformed);
        }
        let mut parts = outer.inside();
        let (Some(id), Some(operation)) = (parts.expect(tag::INTEGER), parts.next()) else { return Err(Unreadable::Malformed) };
        // Application class.
        if operation.tag & 0xc0 != 0x40 {
            return Err(Unreadable::Malformed);
        }
        let id = id.int().ok_or(Unreadable::Malformed)?;
        Ok(Self { id, operation: operation.tag & 0x1f, body: operation.inside(), contents: operation.body, len: outer.whole.len() })
    }
}

/// The result of an operation: code and diagnostic message.
pub(super) fn result<'a>(body: &mut Elements<'a>) -> (Option<u64>, &'a [u8]) {
    let code = body.next().and_then(Element::uint);
    body.next();
    (code, body.next().map_or(&[], |e| e.body))
}

/// A string as Zeek prints it: what is no printable ASCII is a question mark.
pub(super) fn text(value: &[u8]) -> Vec<u8> {
    value.iter().map(|&c| if c == b' ' || c.is_ascii_graphic() { c } else { b'?' }).collect()
}

/// The text of a search filter (RFC 4515, as Zeek prints it: sets are written in pairs).
pub(super) fn filter(filter: Element<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    write(filter, &mut text, 0);
    text
}

fn write(filter: Element<'_>, text: &mut Vec<u8>, depth: usize) {
    if depth > MAX_FILTER_DEPTH || text.len() > MAX_FILTER {
        return;
    }
    let mut inside = filter.inside();
    let kind = filter.tag & 0x1f;
    match kind {
        0 | 1 => {
            let mark = if kind == 0 { b'&' } else { b'|' };
            let parts: Vec<Element<'_>> = inside.collect();
            let opens = parts.len().saturating_sub(1).max(1);
            for _ in 0..opens {
                text.extend_from_slice(&[b'(', mark]);
            }
            for (i, part) in parts.into_iter().enumerate() {
                write(part, text, depth.saturating_add(1));
                if i > 0 || opens == 1 && filter.inside().count() == 1 {
                    text.push(b')');
                }
            }
        }
        2 => {
            text.extend_from_slice(b"(!");
            if let Some(part) = inside.next() {
                write(part, text, depth.saturating_add(1));
            }
            text.push(b')');
        }
        3 | 5 | 6 | 8 => {
            let (Some(name), Some(value)) = (inside.next(), inside.next()) else { return };
            text.push(b'(');
            text.extend_from_slice(name.body);
            text.extend_from_slice(match kind {
                3 => b"=",
                5 => b">=",
                6 => b"<=",
                _ => b"~=",
            });
            text.extend_from_slice(&assertion(name.body, value.body));
            text.push(b')');
        }
        4 => {
            let (Some(name), Some(parts)) = (inside.next(), inside.next()) else { return };
            let (mut initial, mut any, mut last) = (&[][..], Vec::new(), &[][..]);
            for part in parts.inside() {
                match part.tag & 0x1f {
                    0 => initial = part.body,
                    1 => any.push(part.body),
                    _ => last = part.body,
                }
            }
            text.push(b'(');
            text.extend_from_slice(name.body);
            text.push(b'=');
            text.extend_from_slice(initial);
            text.push(b'*');
            for part in any {
                text.extend_from_slice(part);
                text.push(b'*');
            }
            text.extend_from_slice(last);
            text.push(b')');
        }
        7 => {
            text.push(b'(');
            text.extend_from_slice(filter.body);
            text.extend_from_slice(b"=*)");
        }
        9 => {
            let part = |number: u8| filter.inside().find(|e| e.tag & 0x1f == number).map_or(&[][..], |e| e.body);
            text.push(b'(');
            text.extend_from_slice(part(2));
            text.push(b':');
            text.extend_from_slice(part(1));
            text.extend_from_slice(b":=");
            text.extend_from_slice(part(3));
            text.push(b')');
        }
        _ => text.extend_from_slice(b"FILTER_PARSING_ERROR"),
    }
}

/// A value; some attributes of Active Directory hold numbers (MS-ADTS §6.3.3).
fn assertion<'a>(name: &[u8], value: &'a [u8]) -> std::borrow::Cow<'a, [u8]> {
    let hexadecimal = |order: &[usize]| hex::encode(order.iter().filter_map(|&i| value.get(i).copied()).collect::<Vec<u8>>());
    let text = match (name, value.len()) {
        (b"DomainGuid", 16) => {
            let parts: [&[usize]; 5] = [&[3, 2, 1, 0], &[5, 4], &[7, 6], &[8, 9], &[10, 11, 12, 13, 14, 15]];
            parts.map(hexadecimal).join("-")
        }
        (b"DomainGuid", _) => "GUID_FORMAT_FAILED".to_owned(),
        (b"objectSid" | b"AAC", _) => value.iter().map(|&b| hex::encode([b])).collect::<Vec<_>>().join(":"),
        (b"DomainSid", 24) => security_id(value).unwrap_or_default(),
        (b"DomainSid", _) => "SID_FORMAT_FAILED".to_owned(),
        (b"NtVer", 4) => format!("0x{}", hexadecimal(&[3, 2, 1, 0])),
        (b"NtVer", _) => "HEX_FORMAT_FAILED".to_owned(),
        _ => return value.into(),
    };
    text.into_bytes().into()
}

/// `S-1-5-21-…` (MS-DTYP §2.4.2.1).
fn security_id(value: &[u8]) -> Option<String> {
    let mut reader = Reader::new(value);
    let revision = reader.u8()?;
    reader.skip(1)?;
    let high = reader.u16()?;
    let low = reader.u32()?;
    let authority = u64::from(high) << 32 | u64::from(low);
    let mut text = format!("S-{revision}-{authority}");
    while let Some(part) = reader.u32_le() {
        text.push_str(&format!("-{part}"));
    }
    Some(text)
}

/// What a Kerberos wrap token holds in the clear (RFC 4121 §4.2.6.2); nothing if it is sealed.
pub(super) fn unwrap(token: &[u8]) -> &[u8] {
    const SEALED: u8 = 2;
    let mut reader = Reader::new(token);
    let Some([5, 4, flags, 0xff]) = reader.array::<4>() else { return &[] };
    let (Some(extra), Some(rotation)) = (reader.u16(), reader.u16()) else { return &[] };
    if flags & SEALED != 0 || reader.skip(8).is_none() {
        return &[];
    }
    let extra = usize::from(extra);
    let rest = reader.rest();
    // The checksum comes first if it is rotated by its length, last otherwise.
    let payload = if usize::from(rotation) == extra { rest.get(extra..) } else { rest.get(..rest.len().saturating_sub(extra)) };
    payload.unwrap_or_default()
}

/// Whether a GSS-API token names Kerberos and carries a request of it, or a token of NTLM.
pub(super) fn mechanism(token: &[u8]) -> &'static [&'static str] {
    const SPNEGO: &[u8] = &[0x06, 0x06, 0x2b, 6, 1, 5, 5, 2];
    const AP_REQUEST: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 1, 0];
    if token.starts_with(b"NTLMSSP\0") {
        return &["ntlm"];
    }
    if token.first() != Some(&0x60) || memchr::memmem::find(token, SPNEGO).is_none() {
        return &[];
    }
    if memchr::memmem::find(token, AP_REQUEST).is_some() {
        &["krb", "gssapi"]
    } else if memchr::memmem::find(token, b"NTLMSSP\0").is_some() {
        &["ntlm", "gssapi"]
    } else {
        &["gssapi"]
    }
}

/// Whether the server's answer accepts Kerberos as Microsoft speaks it (RFC 4178 §4.2.2): from then on tokens wrap
/// the messages.
pub(super) fn accepts_kerberos(token: &[u8]) -> bool {
    const ACCEPTED: &[u8] = &[0xa0, 0x03, 0x0a, 0x01, 0x00];
    const MS_KRB5: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 1, 2, 2];
    token.first() == Some(&0xa1) && memchr::memmem::find(token, ACCEPTED).is_some() && memchr::memmem::find(token, MS_KRB5).is_some()
}
