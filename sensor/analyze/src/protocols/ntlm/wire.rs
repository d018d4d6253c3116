//! NTLM messages (MS-NLMP §2.2), and SPNEGO around them (RFC 4178).

use crate::Reader;
use crate::protocols::der::{Element, Elements, tag};

/// What NTLM messages start with.
pub(super) const SIGNATURE: &[u8] = b"NTLMSSP\0";

/// Strings are UTF-16.
const UNICODE: u32 = 1;
/// A challenge describes its server.
const TARGET_INFO: u32 = 0x0080_0000;

/// SPNEGO (1.3.6.1.5.5.2).
const SPNEGO: &[u8] = &[0x2b, 6, 1, 5, 5, 2];

/// A token of GSS-API, unwrapped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// Whether it is in one of the forms that are known.
    pub(super) is_gssapi: bool,
    /// How the negotiation stands (RFC 4178 §4.2.2): 0 is success, 1 is unfinished.
    pub(super) result: Option<u64>,
    /// The mechanism's own token.
    pub(super) inner: Option<&'a [u8]>,
    pub(super) is_kerberos: bool,
}

/// Unwraps a token.
pub(super) fn token(bytes: &[u8]) -> Token<'_> {
    if bytes.starts_with(SIGNATURE) {
        return Token { inner: Some(bytes), ..Token::default() };
    }
    let Ok(outer) = Element::read(bytes) else { return Token::default() };
    match outer.tag {
        0x60 => {
            let mut parts = outer.inside();
            match parts.expect(tag::OID) {
                Some(oid) if oid.body == SPNEGO => {
                    let inner = parts.next().and_then(|start| octets(start.inside().expect(tag::SEQUENCE)?.inside()));
                    let is_kerberos = inner.is_some_and(|inner| inner.first() == Some(&0x60));
                    Token { is_gssapi: true, result: None, inner, is_kerberos }
                }
                Some(_) => Token { is_gssapi: true, is_kerberos: true, ..Token::default() },
                None => Token::default(),
            }
        }
        0xa1 => {
            let Some(sequence) = outer.inside().expect(tag::SEQUENCE) else { return Token::default() };
            let state = sequence.inside().find(|part| part.tag == 0xa0).and_then(|part| part.inside().next()?.uint());
            let inner = octets(sequence.inside());
            let is_kerberos = inner.is_some_and(|inner| inner.first() == Some(&0x60));
            Token { is_gssapi: true, result: state, inner, is_kerberos }
        }
        _ => Token::default(),
    }
}

/// The mechanism's token within a negotiation: part 2, an octet string.
fn octets(mut parts: Elements<'_>) -> Option<&[u8]> {
    Some(parts.find(|part| part.tag == 0xa2)?.inside().expect(tag::OCTET_STRING)?.body)
}

/// A message of NTLM.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Negotiate,
    Challenge(Server),
    Authenticate { domain: Option<Vec<u8>>, user: Option<Vec<u8>>, host: Option<Vec<u8>> },
}

/// What a challenge says of its server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) netbios_name: Option<Vec<u8>>,
    pub(super) dns_name: Option<Vec<u8>>,
    pub(super) tree: Option<Vec<u8>>,
}

impl Message {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes.strip_prefix(SIGNATURE)?);
        match reader.u32_le()? {
            1 => Some(Self::Negotiate),
            2 => {
                let flags = number(bytes, 20)?;
                let info = if flags & TARGET_INFO != 0 { field(bytes, 40)? } else { &[] };
                Some(Self::Challenge(server(info)))
            }
            3 => {
                let is_unicode = number(bytes, 60).unwrap_or(UNICODE) & UNICODE != 0;
                let text = |at| {
                    let bytes = field(bytes, at).filter(|bytes| !bytes.is_empty())?;
                    Some(if is_unicode { utf16(bytes) } else { bytes.to_vec() })
                };
                Some(Self::Authenticate { domain: text(28), user: text(36), host: text(44) })
            }
            _ => None,
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Reader::new(bytes.get(at..)?).u32_le()
}

/// Bytes that a length, a limit and an offset describe; fewer if the message is cut.
fn field(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let mut reader = Reader::new(bytes.get(at..)?);
    let len = reader.u16_le()?;
    reader.skip(2)?;
    let start = reader.u32_le()? as usize;
    let end = start.checked_add(usize::from(len))?;
    bytes.get(start..end.min(bytes.len()))
}

/// Attributes and values (MS-NLMP §2.2.2.1).
fn server(info: &[u8]) -> Server {
    let mut reader = Reader::new(info);
    let mut server = Server::default();
    while let (Some(id), Some(len)) = (reader.u16_le(), reader.u16_le()) {
        let Some(value) = reader.take(usize::from(len)) else { break };
        match id {
            0 => break,
            1 => server.netbios_name = Some(utf16(value)),
            3 => server.dns_name = Some(utf16(value)),
            5 => server.tree = Some(utf16(value)),
            _ => {}
        }
    }
    server
}

/// UTF-16, low byte first, as UTF-8.
pub(crate) fn utf16(bytes: &[u8]) -> Vec<u8> {
    let units = bytes.chunks_exact(2).filter_map(|pair| pair.first_chunk().copied()).map(u16::from_le_bytes);
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>().into_bytes()
}
