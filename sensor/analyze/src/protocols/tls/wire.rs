//! Handshake messages of SSL and TLS on the wire (RFC 5246 §7.4, RFC 8446 §4, RFC 6347 §4.2).

use super::names::version;
use crate::Reader;

/// Types of handshake messages.
pub(crate) mod message {
    pub(crate) const HELLO_REQUEST: u8 = 0;
    pub(crate) const CLIENT_HELLO: u8 = 1;
    pub(crate) const SERVER_HELLO: u8 = 2;
    pub(crate) const CERTIFICATE: u8 = 11;
    pub(crate) const SERVER_KEY_EXCHANGE: u8 = 12;
    pub(crate) const CERTIFICATE_STATUS: u8 = 22;
    pub(crate) const CLIENT_KEY_EXCHANGE: u8 = 16;
}

/// Types of extensions that are read.
pub(super) mod extension {
    pub(crate) const SERVER_NAME: u16 = 0;
    pub(crate) const SUPPORTED_GROUPS: u16 = 10;
    pub(crate) const POINT_FORMATS: u16 = 11;
    pub(crate) const SIGNATURE_ALGORITHMS: u16 = 13;
    pub(crate) const ALPN: u16 = 16;
    pub(crate) const SESSION_TICKET: u16 = 35;
    /// Its number until draft 22 of TLS 1.3.
    pub(crate) const KEY_SHARE_OLD: u16 = 40;
    pub(crate) const PRE_SHARED_KEY: u16 = 41;
    pub(crate) const SUPPORTED_VERSIONS: u16 = 43;
    pub(crate) const KEY_SHARE: u16 = 51;
}

/// RFC 8446 §4.1.3: the random of a ServerHello that is a HelloRetryRequest.
pub(super) const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
    0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// The head of a handshake message: type, and length of the body.
pub(super) fn head(bytes: &[u8]) -> Option<(u8, usize)> {
    let mut reader = Reader::new(bytes);
    Some((reader.u8()?, reader.u24()? as usize))
}

/// A session id, filled with zeros to 32 bytes; longer ones count as none, as Zeek has it.
pub(super) type SessionId = [u8; 32];

pub(super) fn session_id(id: &[u8]) -> SessionId {
    let mut filled = [0; 32];
    if let Some(start) = filled.get_mut(..id.len()) {
        start.copy_from_slice(id);
    }
    filled
}

/// A ClientHello.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientHello<'a> {
    pub(crate) version: u16,
    pub(crate) session_id: &'a [u8],
    /// Cipher suites, two bytes each.
    pub(crate) ciphers: &'a [u8],
    pub(crate) extensions: Extensions<'a>,
}

impl<'a> ClientHello<'a> {
    /// Reads the body of the message.
    pub(crate) fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let version = reader.u16()?;
        reader.skip(32)?;
        let session_id = list8(&mut reader)?;
        if matches!(version, version::DTLS10 | version::DTLS12) {
            list8(&mut reader)?;
        }
        let ciphers = list16(&mut reader)?;
        list8(&mut reader)?;
        Some(Self { version, session_id, ciphers, extensions: Extensions::read(&mut reader)? })
    }

    /// The cipher suites.
    pub(crate) fn ciphers(&self) -> impl Iterator<Item = u16> + 'a {
        pairs(self.ciphers)
    }
}

/// A ServerHello.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerHello<'a> {
    pub(super) version: u16,
    pub(super) random: [u8; 32],
    pub(super) session_id: &'a [u8],
    pub(super) cipher: u16,
    pub(super) extensions: Extensions<'a>,
}

impl<'a> ServerHello<'a> {
    /// Reads the body of the message.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let version = reader.u16()?;
        let random = reader.array()?;
        // Drafts of TLS 1.3 before 22 had neither session id nor compression.
        let short = version == version::TLS13 || version::is_draft(version);
        let session_id = if short { &[][..] } else { list8(&mut reader)? };
        let cipher = reader.u16()?;
        if !short {
            reader.u8()?;
        }
        Some(Self { version, random, session_id, cipher, extensions: Extensions::read(&mut reader)? })
    }
}

/// Extensions of a hello.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extensions<'a>(&'a [u8]);

impl<'a> Extensions<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        if reader.is_empty() {
            return Some(Self(&[]));
        }
        reader.u16()?;
        let all = reader.rest();
        let mut check = Reader::new(all);
        while !check.is_empty() {
            check.u16()?;
            list16(&mut check)?;
        }
        Some(Self(all))
    }

    /// Type and data of each.
    pub(crate) fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || Some((reader.u16()?, list16(&mut reader)?)))
    }

    /// The data of the first of a type.
    pub(crate) fn get(self, wanted: u16) -> Option<&'a [u8]> {
        self.iter().find(|&(kind, _)| kind == wanted).map(|(_, data)| data)
    }
}

/// A list with one byte of length in front.
pub(super) fn list8<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = reader.u8()?;
    reader.take(usize::from(len))
}

/// A list with two bytes of length in front.
pub(super) fn list16<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = reader.u16()?;
    reader.take(usize::from(len))
}

/// Two-byte numbers.
pub(super) fn pairs(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).map(|pair| pair.iter().fold(0, |n, &b| n << 8 | u16::from(b)))
}

/// Numbers of an extension that is one list with two bytes of length in front (groups, signature algorithms).
pub(super) fn numbers16(data: &[u8]) -> impl Iterator<Item = u16> {
    pairs(data.get(2..).unwrap_or_default())
}

/// Names of a list of names with one byte of length each (ALPN, RFC 7301 §3.1).
pub(super) fn protocols(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader::new(data.get(2..).unwrap_or_default());
    std::iter::from_fn(move || list8(&mut reader))
}

/// Entries of a server name extension (RFC 6066 §3): type and name.
pub(super) fn server_names(data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut reader = Reader::new(data.get(2..).unwrap_or_default());
    std::iter::from_fn(move || {
        let kind = reader.u8()?;
        let name = if kind == 0 { list16(&mut reader)? } else { reader.take_up_to(usize::MAX) };
        Some((kind, name))
    })
}

/// The OCSP responses of a `CertificateStatus` (RFC 6066 §8, RFC 6961 §2.2).
pub(super) fn stapled(body: &[u8]) -> Vec<&[u8]> {
    let mut reader = Reader::new(body);
    let mut all = Vec::new();
    match reader.u8() {
        Some(1) => all.extend(reader.u24().and_then(|len| reader.take(len as usize))),
        Some(2) => {
            reader.skip(3);
            while let Some(response) = reader.u24().and_then(|len| reader.take(len as usize)) {
                all.push(response);
            }
        }
        _ => {}
    }
    all.retain(|response| !response.is_empty());
    all
}

/// Certificates of a Certificate message before TLS 1.3 (RFC 5246 §7.4.2); `None` if it is not well-formed.
pub(super) fn certificates(body: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let mut reader = Reader::new(body);
    let len = reader.u24()? as usize;
    let list = reader.take(len)?;
    let next = |reader: &mut Reader<'_>| reader.u24().map(|len| len as usize);
    let mut check = Reader::new(list);
    while !check.is_empty() {
        let len = next(&mut check)?;
        check.skip(len)?;
    }
    let mut reader = Reader::new(list);
    Some(std::iter::from_fn(move || {
        let len = next(&mut reader)?;
        reader.take(len)
    }))
}
