//! DCE-RPC, connection-oriented (C706 §12.6).
//!
//! ```text
//! 5, minor, type, flags, data representation (4), fragment length (2), authentication length (2), call (4), body
//! ```

use crate::Reader;

/// Bytes of the head.
pub(super) const HEAD: usize = 16;

/// Bytes before the authentication's token.
const TRAILER: usize = 8;

/// Interfaces that one bind may offer.
const MAX_CONTEXTS: usize = 64;

/// Types.
pub(super) mod kind {
    pub(crate) const REQUEST: u8 = 0;
    pub(crate) const RESPONSE: u8 = 2;
    pub(crate) const BIND: u8 = 11;
    pub(crate) const BIND_ACK: u8 = 12;
    pub(crate) const ALTER: u8 = 14;
    pub(crate) const ALTER_RESPONSE: u8 = 15;
}

/// A unit.
pub(super) struct Unit<'a> {
    pub(super) kind: u8,
    pub(super) is_last: bool,
    pub(super) call: u32,
    pub(super) body: Body<'a>,
    /// The token of who authenticates.
    pub(super) token: Option<&'a [u8]>,
    pub(super) len: usize,
}

/// What stands at the start of bytes.
pub(super) enum Read<'a> {
    NeedMore,
    Bad,
    Unit(Unit<'a>),
}

impl<'a> Unit<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Read<'a> {
        if bytes.first().is_some_and(|&version| version != 5) || bytes.get(2).is_some_and(|&kind| kind > 19) {
            return Read::Bad;
        }
        let Some(head) = bytes.get(..HEAD) else { return Read::NeedMore };
        let mut reader = Reader::new(head);
        let mut read = || {
            reader.skip(2)?;
            let (kind, flags) = (reader.u8()?, reader.u8()?);
            let is_little = reader.u8()? & 0x10 != 0;
            reader.skip(3)?;
            let len = short(&mut reader, is_little)?;
            let authentication = short(&mut reader, is_little)?;
            let call = if is_little { reader.u32_le()? } else { reader.u32()? };
            Some((kind, flags, is_little, usize::from(len), usize::from(authentication), call))
        };
        let Some((kind, flags, is_little, len, authentication, call)) = read() else { return Read::Bad };
        if len < HEAD {
            return Read::Bad;
        }
        let Some(whole) = bytes.get(HEAD..len) else { return Read::NeedMore };
        let token = (authentication > 0).then(|| whole.get(whole.len().checked_sub(authentication)?..)).flatten();
        let end = whole.len().saturating_sub(if authentication > 0 { authentication.saturating_add(TRAILER) } else { 0 });
        let body = Body { reader: Reader::new(whole.get(..end).unwrap_or_default()), is_little };
        Read::Unit(Unit { kind, is_last: flags & 2 != 0, call, body, token, len })
    }
}

fn short(reader: &mut Reader<'_>, is_little: bool) -> Option<u16> {
    if is_little { reader.u16_le() } else { reader.u16() }
}

/// What follows the head.
pub(super) struct Body<'a> {
    reader: Reader<'a>,
    is_little: bool,
}

/// An interface, as its 16 bytes stand in text.
pub(super) type Uuid = [u8; 16];

impl Body<'_> {
    /// Contexts and interfaces of a bind.
    pub(super) fn contexts(&mut self) -> Vec<(u16, Uuid)> {
        let mut all = Vec::new();
        if self.reader.skip(8).is_none() {
            return all;
        }
        let count = self.reader.u8().unwrap_or(0);
        self.reader.skip(3);
        for _ in 0..usize::from(count).min(MAX_CONTEXTS) {
            let mut read = || {
                let id = short(&mut self.reader, self.is_little)?;
                let transfers = self.reader.u8()?;
                self.reader.skip(1)?;
                let uuid = self.reader.array::<16>()?;
                self.reader.skip(4)?;
                self.reader.skip(usize::from(transfers).saturating_mul(20))?;
                Some((id, uuid))
            };
            let Some((id, uuid)) = read() else { break };
            all.push((id, if self.is_little { swapped(uuid) } else { uuid }));
        }
        all
    }

    /// The endpoint that a server names when it accepts.
    pub(super) fn address(&mut self) -> Option<Vec<u8>> {
        self.reader.skip(8)?;
        let len = short(&mut self.reader, self.is_little)?;
        let name = self.reader.take(usize::from(len))?;
        let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
        name.get(..end).map(<[u8]>::to_vec).filter(|name| !name.is_empty())
    }

    /// Context and operation of a request.
    pub(super) fn request(&mut self) -> Option<(u16, u16)> {
        self.reader.skip(4)?;
        Some((short(&mut self.reader, self.is_little)?, short(&mut self.reader, self.is_little)?))
    }

    /// Context of a response.
    pub(super) fn response(&mut self) -> Option<u16> {
        self.reader.skip(4)?;
        short(&mut self.reader, self.is_little)
    }
}

/// The first three parts of a UUID are numbers, low byte first.
fn swapped(uuid: Uuid) -> Uuid {
    let [a, b, c, d, e, f, g, h, rest @ ..] = uuid;
    let [i, j, k, l, m, n, o, p] = rest;
    [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
}
