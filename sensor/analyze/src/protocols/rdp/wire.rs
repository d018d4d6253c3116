//! RDP's opening (MS-RDPBCGR §2.2.1): TPKT (RFC 1006), X.224, T.125 and T.124 around blocks of Microsoft's.
//!
//! ```text
//! TPKT    03 00, length (2)
//! X.224   length, kind: e0 request, d0 confirm, f0 data
//! data    T.125 and T.124 … "Duca" (client) or "McDn" (server), length, blocks: kind (2), length (2), …
//! ```
//!
//! What stands before the blocks is not decoded: Microsoft's key within it tells where they start.

use crate::Reader;

/// What stands at the start of bytes.
pub(super) enum Read<'a> {
    NeedMore,
    Bad,
    Packet(Packet<'a>, usize),
}

/// An X.224 packet.
pub(super) enum Packet<'a> {
    /// The client's wish, with its cookie.
    Request(Option<&'a [u8]>),
    /// The server's choice of security, if it makes one.
    Confirm(Option<Choice>),
    Data(&'a [u8]),
    Other,
}

/// What the server says to the client's wish (MS-RDPBCGR §2.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Protocol(u32),
    Failure(u32),
}

pub(super) fn packet(bytes: &[u8]) -> Read<'_> {
    let mut reader = Reader::new(bytes);
    let head = (reader.u8(), reader.u8(), reader.u16());
    let (Some(version), Some(_), Some(len)) = head else {
        return if bytes.first().is_none_or(|&b| b == 3) { Read::NeedMore } else { Read::Bad };
    };
    if version != 3 || len < 7 {
        return Read::Bad;
    }
    let Some(body) = bytes.get(4..usize::from(len)) else { return Read::NeedMore };
    x224(body).map_or(Read::Bad, |packet| Read::Packet(packet, usize::from(len)))
}

fn x224(body: &[u8]) -> Option<Packet<'_>> {
    let mut reader = Reader::new(body);
    reader.skip(1)?;
    match reader.u8()? {
        0xe0 => {
            // References and class.
            reader.skip(5)?;
            let rest = reader.rest();
            let cookie = rest.strip_prefix(b"Cookie: mstshash=");
            Some(Packet::Request(cookie.map(|cookie| cookie.split(|&b| b == b'\r').next().unwrap_or_default())))
        }
        0xd0 => {
            reader.skip(5)?;
            let kind = reader.u8();
            // Flags and length.
            reader.skip(3);
            let value = reader.u32_le();
            Some(Packet::Confirm(match (kind, value) {
                (Some(2), Some(value)) => Some(Choice::Protocol(value)),
                (Some(3), Some(value)) => Some(Choice::Failure(value)),
                _ => None,
            }))
        }
        0xf0 => {
            reader.skip(1)?;
            Some(Packet::Data(reader.rest()))
        }
        _ => Some(Packet::Other),
    }
}

/// The first data of the client (T.125's connect-initial).
pub(super) fn is_client(data: &[u8]) -> bool {
    data.starts_with(b"\x7f\x65")
}

/// The first data of the server (T.125's connect-response).
pub(super) fn is_server(data: &[u8]) -> bool {
    data.starts_with(b"\x7f\x66")
}

/// Where Microsoft's blocks start, and what stands before its key.
fn after_key<'a>(data: &'a [u8], key: &[u8; 4]) -> Option<(&'a [u8], &'a [u8])> {
    let at = data.windows(4).position(|part| part == key)?;
    let mut reader = Reader::new(data.get(at.saturating_add(4)..)?);
    // A length of one byte or, if its highest bit is set, of two.
    if reader.u8()? & 0x80 != 0 {
        reader.skip(1)?;
    }
    Some((data.get(..at)?, reader.rest()))
}

/// A block: its kind and what it holds.
pub(super) struct Blocks<'a>(Reader<'a>);

impl<'a> Blocks<'a> {
    pub(super) fn of_client(data: &'a [u8]) -> Option<Self> {
        after_key(data, b"Duca").map(|(_, blocks)| Self(Reader::new(blocks)))
    }

    /// The blocks, and the result of the conference that they are for (T.124).
    pub(super) fn of_server(data: &'a [u8]) -> Option<(u8, Self)> {
        let (before, blocks) = after_key(data, b"McDn")?;
        // Between the result and the key: number of sets, presence, length of the key.
        let result = before.len().checked_sub(4).and_then(|at| before.get(at))?;
        Some((*result, Self(Reader::new(blocks))))
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.0.u16_le()?;
        let len = self.0.u16_le()?;
        Some((kind, self.0.take(usize::from(len).checked_sub(4)?)?))
    }
}

/// What a client says of itself (MS-RDPBCGR §2.2.1.3.2).
pub(super) struct Core {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) keyboard: u32,
    pub(super) build: u32,
    pub(super) name: Vec<u8>,
    pub(super) colors: u16,
    pub(super) wants_32_bit: bool,
    pub(super) product: Vec<u8>,
}

pub(super) fn core(block: &[u8]) -> Option<Core> {
    let mut reader = Reader::new(block);
    reader.skip(4)?;
    let (width, height) = (reader.u16_le()?, reader.u16_le()?);
    // Colours and the sequence for attention.
    reader.skip(4)?;
    let (keyboard, build) = (reader.u32_le()?, reader.u32_le()?);
    let name = text(reader.take(32)?);
    // Kind of keyboard, subkind, function keys, and the file of the input method.
    reader.skip(12 + 64)?;
    // Colours again, product and serial number.
    reader.skip(2 + 2 + 4)?;
    let colors = reader.u16_le()?;
    reader.skip(2)?;
    let flags = reader.u16_le()?;
    let product = text(reader.take(64)?);
    Some(Core { width, height, keyboard, build, name, colors, wants_32_bit: flags & 2 != 0, product })
}

/// UTF-16 up to the first zero, as UTF-8.
fn text(bytes: &[u8]) -> Vec<u8> {
    let units = bytes.chunks_exact(2).filter_map(|pair| pair.first_chunk().copied()).map(u16::from_le_bytes).take_while(|&unit| unit != 0);
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>().into_bytes()
}

/// Names of the channels that a client wants.
pub(super) fn channels(block: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut reader = Reader::new(block);
    let count = reader.u32_le()?;
    let mut names = Vec::new();
    for _ in 0..count.min(u32::from(u8::MAX)) {
        let name = reader.take(8)?;
        let end = name.iter().rposition(|&b| b != 0).map_or(0, |at| at.saturating_add(1));
        names.push(name.get(..end).unwrap_or_default().to_vec());
        reader.skip(4)?;
    }
    Some(names)
}

/// How a session without TLS is secured (MS-RDPBCGR §2.2.1.4.3).
pub(super) struct Security<'a> {
    pub(super) method: u32,
    pub(super) level: u32,
    /// Kind of certificate, whether it is permanent, and the certificates of X.509.
    pub(super) certificate: Option<(u32, bool, Vec<&'a [u8]>)>,
}

pub(super) fn security(block: &[u8]) -> Option<Security<'_>> {
    let mut reader = Reader::new(block);
    let (method, level) = (reader.u32_le()?, reader.u32_le()?);
    let mut security = Security { method, level, certificate: None };
    let lens = reader.u32_le().zip(reader.u32_le());
    if let Some((random, certificate)) = lens {
        reader.skip(random as usize)?;
        let mut reader = reader.sub(certificate as usize)?;
        let version = reader.u32_le()?;
        let kind = version & 0x7fff_ffff;
        let mut chain = Vec::new();
        if kind == 2 {
            let count = reader.u32_le()?;
            for _ in 0..count.min(16) {
                let len = reader.u32_le()?;
                chain.push(reader.take(len as usize)?);
            }
        }
        security.certificate = Some((kind, version & 0x8000_0000 == 0, chain));
    }
    Some(security)
}
