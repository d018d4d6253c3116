//! SSH before encryption (RFC 4253 §4, §6, §7; SSH 1 as in draft-ylonen-ssh-protocol-00).

use crate::Reader;

/// Messages of SSH 2 that are read. 30 to 49 belong to the key exchange that was agreed on.
pub(super) mod message {
    pub(crate) const KEXINIT: u8 = 20;
    pub(crate) const NEWKEYS: u8 = 21;
    /// The server's answer of Diffie-Hellman (RFC 4253 §8) and elliptic curves (RFC 5656 §4).
    pub(crate) const KEX_REPLY: u8 = 31;
    /// The server's answer of group exchange (RFC 4419 §3), and its host key in GSS-API (RFC 4462 §2.1).
    pub(crate) const GROUP_REPLY: u8 = 33;
}

/// Messages of SSH 1 that are read.
pub(super) mod message1 {
    pub(crate) const PUBLIC_KEY: u8 = 2;
    pub(crate) const SESSION_KEY: u8 = 3;
}

/// A packet of SSH 2: type, payload after it, and length of the whole.
pub(super) fn packet(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let mut reader = Reader::new(bytes);
    let len = reader.u32()? as usize;
    let mut body = reader.sub(len)?;
    let padding = usize::from(body.u8()?);
    let payload = body.take(body.remaining().saturating_sub(padding))?;
    let (&kind, rest) = payload.split_first()?;
    Some((kind, rest, reader.position()))
}

/// A packet of SSH 1: type, payload after it, and length of the whole.
pub(super) fn packet1(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let mut reader = Reader::new(bytes);
    let len = reader.u32()? as usize;
    reader.skip(8usize.saturating_sub(len % 8))?;
    let body = reader.take(len)?;
    let (&kind, rest) = body.split_first()?;
    // A checksum ends it.
    Some((kind, rest.get(..rest.len().saturating_sub(4))?, reader.position()))
}

/// A string with four bytes of length in front (RFC 4251 §5).
pub(super) fn string<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = reader.u32()? as usize;
    reader.take(len)
}

/// Name lists of a KEXINIT, in the order of the message.
#[derive(Clone, Debug, Default)]
pub(super) struct KexInit {
    pub(super) kex: Vec<u8>,
    pub(super) host_key: Vec<u8>,
    /// Client to server, server to client.
    pub(super) encryption: [Vec<u8>; 2],
    pub(super) mac: [Vec<u8>; 2],
    pub(super) compression: [Vec<u8>; 2],
}

impl KexInit {
    /// Reads the payload of the message.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        reader.skip(16)?;
        let mut list = || string(&mut reader).map(<[u8]>::to_vec);
        Some(Self {
            kex: list()?,
            host_key: list()?,
            encryption: [list()?, list()?],
            mac: [list()?, list()?],
            compression: [list()?, list()?],
        })
    }
}

/// The host key of SSH 1's public key message: modulus and exponent.
pub(super) fn host_key1(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader::new(payload);
    fn number<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
        let bits = usize::from(reader.u16()?);
        reader.take(bits.div_ceil(8))
    }
    reader.skip(8 + 4)?;
    number(&mut reader)?;
    number(&mut reader)?;
    reader.skip(4)?;
    let exponent = number(&mut reader)?;
    Some((number(&mut reader)?, exponent))
}
