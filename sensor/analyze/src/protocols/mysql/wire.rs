//! MySQL packets (MySQL Internals, "Client/Server Protocol"): little-endian, three bytes of length, one of sequence.

use crate::Reader;

/// Capabilities that change the layout of packets.
pub(super) mod capability {
    pub(crate) const COMPRESS: u32 = 1 << 5;
    pub(crate) const PROTOCOL_41: u32 = 1 << 9;
    pub(crate) const SSL: u32 = 1 << 11;
    pub(crate) const DEPRECATE_EOF: u32 = 1 << 24;
    pub(crate) const QUERY_ATTRIBUTES: u32 = 1 << 27;
}

/// First bytes of responses.
pub(super) mod response {
    pub(crate) const OK: u8 = 0;
    pub(crate) const LOCAL_INFILE: u8 = 0xfb;
    pub(crate) const EOF: u8 = 0xfe;
    pub(crate) const ERROR: u8 = 0xff;
}

/// Commands that are told apart.
pub(super) mod command {
    pub(crate) const QUIT: u8 = 1;
    pub(crate) const QUERY: u8 = 3;
    pub(crate) const FIELD_LIST: u8 = 4;
    pub(crate) const STATISTICS: u8 = 9;
    pub(crate) const CHANGE_USER: u8 = 17;
    pub(crate) const PREPARE: u8 = 22;
    pub(crate) const EXECUTE: u8 = 23;
    pub(crate) const SEND_LONG_DATA: u8 = 24;
    pub(crate) const CLOSE: u8 = 25;
    pub(crate) const FETCH: u8 = 28;
}

/// One packet: sequence number and payload.
pub(super) fn packet<'a>(reader: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    let len = reader.u24_le()? as usize;
    let sequence = reader.u8()?;
    Some((sequence, reader.take(len)?))
}

/// The server's greeting: its capabilities; `None` if it is not one.
pub(super) fn greeting(payload: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(payload);
    match reader.u8()? {
        10 => {
            reader.until(0)?;
            reader.skip(4 + 8 + 1)?;
            let low = reader.u16_le()?;
            let high = reader.skip(1 + 2).and_then(|()| reader.u16_le()).unwrap_or(0);
            Some(u32::from(high) << 16 | u32::from(low))
        }
        9 => {
            reader.until(0)?;
            Some(0)
        }
        _ => None,
    }
}

/// The version of the server that its greeting tells.
pub(super) fn version(payload: &[u8]) -> &[u8] {
    payload.get(1..).and_then(|rest| rest.split(|byte| *byte == 0).next()).unwrap_or_default()
}

/// The client's answer: its capabilities, and its name unless TLS begins first.
pub(super) fn login(payload: &[u8]) -> Option<(u32, Option<&[u8]>)> {
    let mut reader = Reader::new(payload);
    let low = u32::from(reader.u16_le()?);
    let capabilities = if low & capability::PROTOCOL_41 != 0 {
        let all = low | u32::from(reader.u16_le()?) << 16;
        reader.skip(4 + 1 + 23)?;
        all
    } else {
        reader.skip(3)?;
        low
    };
    if capabilities & capability::SSL != 0 && reader.is_empty() {
        return Some((capabilities, None));
    }
    let rest = reader.rest();
    Some((capabilities, Some(reader.until(0).unwrap_or(rest))))
}

/// A length-encoded integer.
pub(super) fn integer(reader: &mut Reader<'_>) -> Option<u64> {
    match reader.u8()? {
        0xfc => reader.u16_le().map(u64::from),
        0xfd => reader.u24_le().map(u64::from),
        0xfe => reader.u64_le(),
        0xfb | 0xff => None,
        small => Some(u64::from(small)),
    }
}

/// A length-encoded string.
pub(super) fn string<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = integer(reader)?;
    reader.take(usize::try_from(len).ok()?)
}

/// The text of a query that comes with attributes (MySQL 8.0.23); the attributes are passed over.
pub(super) fn query_after_attributes(arg: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(arg);
    let count = usize::try_from(integer(&mut reader)?).ok()?;
    integer(&mut reader)?;
    if count == 0 {
        return Some(reader.rest());
    }
    let nulls = reader.take(count.div_ceil(8))?;
    let mut kinds = Vec::new();
    if reader.u8()? == 1 {
        for _ in 0..count {
            kinds.push(reader.u16_le()?);
            string(&mut reader)?;
        }
    }
    for (i, kind) in kinds.iter().enumerate() {
        if nulls.get(i / 8).is_some_and(|bits| bits >> (i % 8) & 1 != 0) {
            continue;
        }
        // The low byte is the type of the value (enum_field_types).
        match kind & 0xff {
            6 => {}
            1 => reader.skip(1)?,
            2 | 13 => reader.skip(2)?,
            3 | 4 | 9 => reader.skip(4)?,
            5 | 8 => reader.skip(8)?,
            7 | 10 | 11 | 12 => {
                let len = reader.u8()?;
                reader.skip(usize::from(len))?;
            }
            _ => {
                string(&mut reader)?;
            }
        }
    }
    Some(reader.rest())
}

/// The message of an error packet, after its first byte: code, `#` and state, text.
pub(super) fn error(rest: &[u8]) -> &[u8] {
    let text = rest.get(2..).unwrap_or_default();
    if text.first() == Some(&b'#') { text.get(6..).unwrap_or_default() } else { text }
}
