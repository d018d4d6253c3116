//! RADIUS packets (RFC 2865 §3, §5): code, identifier, length (2), authenticator (16), attributes.

use crate::Reader;

/// Codes of packets.
pub(super) mod code {
    pub(crate) const REQUEST: u8 = 1;
    pub(crate) const ACCEPT: u8 = 2;
    pub(crate) const REJECT: u8 = 3;
    pub(crate) const CHALLENGE: u8 = 11;
}

/// Types of attributes.
pub(super) mod attribute {
    pub(crate) const USER_NAME: u8 = 1;
    pub(crate) const FRAMED_ADDRESS: u8 = 8;
    pub(crate) const REPLY_MESSAGE: u8 = 18;
    pub(crate) const CALLING_STATION: u8 = 31;
    pub(crate) const TUNNEL_CLIENT: u8 = 66;
    pub(crate) const CONNECT_INFO: u8 = 77;
}

/// A packet.
pub(super) struct Packet<'a> {
    pub(super) code: u8,
    attributes: &'a [u8],
}

impl<'a> Packet<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let code = reader.u8()?;
        reader.skip(1)?;
        let len = reader.u16()?;
        reader.skip(16)?;
        let attributes = bytes.get(reader.position()..usize::from(len))?;
        Some(Self { code, attributes })
    }

    /// The first attribute of a type.
    pub(super) fn first(&self, wanted: u8) -> Option<&'a [u8]> {
        let mut reader = Reader::new(self.attributes);
        loop {
            let kind = reader.u8()?;
            let len = reader.u8()?;
            let value = reader.take(usize::from(len).checked_sub(2)?)?;
            if kind == wanted {
                return Some(value);
            }
        }
    }
}

/// A hardware address in any spelling, as six or eight pairs of digits with colons; other text stays as it is.
pub(super) fn mac(text: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = text.iter().filter(|b| b.is_ascii_hexdigit()).map(u8::to_ascii_lowercase).collect();
    if !matches!(digits.len(), 12 | 16) {
        return text.to_vec();
    }
    digits.chunks(2).collect::<Vec<_>>().join(&b':')
}
