//! QUIC packets and frames (RFC 9000 §17, §19; RFC 9369 for version 2).
//!
//! ```text
//! long   1 fixed type(2) …, version (4), DCID with length, SCID with length, then by type:
//!        Initial: token with length, length, packet number and payload    0-RTT, Handshake: length, payload
//!        Retry: token, integrity tag (16)
//! short  0 fixed …, DCID, payload
//! ```

use std::borrow::Cow;

use crate::Reader;

pub(super) const VERSION_1: u32 = 1;
pub(super) const VERSION_2: u32 = 0x6b33_43cf;

/// Name of a version as `quic.log` prints it.
pub(super) fn version_name(version: u32) -> Cow<'static, str> {
    match version {
        VERSION_1 => Cow::Borrowed("1"),
        VERSION_2 => Cow::Borrowed("quicv2"),
        0xff00_0016..=0xff00_0022 => Cow::Owned(format!("draft-{}", version & 0xff)),
        _ => Cow::Owned(format!("unknown-{version:x}")),
    }
}

/// Whether the layout of packets of a version is known.
pub(super) const fn is_known(version: u32) -> bool {
    matches!(
        version,
        VERSION_1 | VERSION_2 | 0xff00_0016..=0xff00_0022 | 0xface_b001 | 0xface_b002 | 0xface_b00e | 0xface_b011..=0xface_b013
    )
}

/// What a packet with a long header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Initial,
    ZeroRtt,
    Handshake,
    Retry,
    /// A version of which the layout is not known, or version negotiation.
    Unknown,
}

/// A packet with a long header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Long<'a> {
    pub(super) kind: Kind,
    pub(super) version: u32,
    pub(super) destination: &'a [u8],
    pub(super) source: &'a [u8],
    /// The packet from its first byte to its last.
    pub(super) whole: &'a [u8],
    /// Where the packet number starts.
    pub(super) number_at: usize,
}

impl<'a> Long<'a> {
    /// Reads the packet at the start of `bytes`; `None` if it is not whole.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let first = reader.u8()?;
        let version = reader.u32()?;
        let destination = id(&mut reader)?;
        let source = id(&mut reader)?;
        // RFC 9369 §3.2 numbers the types one on, lest middleboxes get used to them.
        let shift = if version == VERSION_2 { 3 } else { 0 };
        let kind = match (first >> 4).wrapping_add(shift) & 3 {
            _ if !is_known(version) => Kind::Unknown,
            0 => Kind::Initial,
            1 => Kind::ZeroRtt,
            2 => Kind::Handshake,
            _ => Kind::Retry,
        };
        let mut number_at = 0;
        match kind {
            Kind::Unknown | Kind::Retry => drop(reader.take_up_to(usize::MAX)),
            Kind::Initial | Kind::ZeroRtt | Kind::Handshake => {
                if kind == Kind::Initial {
                    let token = number(&mut reader)?;
                    reader.skip(usize::try_from(token).ok()?)?;
                }
                let len = usize::try_from(number(&mut reader)?).ok()?;
                // Packet number of four bytes and a sample of sixteen (RFC 9001 §5.4.2).
                if kind == Kind::Initial && len < 20 {
                    return None;
                }
                number_at = reader.position();
                reader.skip(len)?;
            }
        }
        Some(Self { kind, version, destination, source, whole: bytes.get(..reader.position())?, number_at })
    }
}

fn id<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = reader.u8()?;
    reader.take(usize::from(len))
}

/// A variable-length integer (RFC 9000 §16).
pub(super) fn number(reader: &mut Reader<'_>) -> Option<u64> {
    let first = reader.u8()?;
    let more = (1usize << (first >> 6)).saturating_sub(1);
    let rest = reader.take(more)?;
    Some(rest.iter().fold(u64::from(first & 0x3f), |n, &b| n << 8 | u64::from(b)))
}

/// A frame of an Initial packet.
pub(super) enum Frame<'a> {
    /// Handshake bytes at an offset.
    Crypto(u64, &'a [u8]),
    /// The connection is given up.
    Close,
    /// Padding, pings and acknowledgements.
    Other,
}

/// Reads the next frame; `None` if it is one that does not belong into an Initial packet (RFC 9000 §12.4).
pub(super) fn frame<'a>(reader: &mut Reader<'a>) -> Option<Frame<'a>> {
    match reader.u8()? {
        0 => {
            let padding = reader.rest().iter().take_while(|&&b| b == 0).count();
            reader.skip(padding)?;
            Some(Frame::Other)
        }
        1 => Some(Frame::Other),
        kind @ (2 | 3) => {
            number(reader)?;
            number(reader)?;
            let ranges = number(reader)?;
            number(reader)?;
            for _ in 0..ranges {
                number(reader)?;
                number(reader)?;
            }
            if kind == 3 {
                for _ in ["ECT(0)", "ECT(1)", "ECN-CE"] {
                    number(reader)?;
                }
            }
            Some(Frame::Other)
        }
        6 => {
            let offset = number(reader)?;
            let len = number(reader)?;
            Some(Frame::Crypto(offset, reader.take(usize::try_from(len).ok()?)?))
        }
        kind @ (0x1c | 0x1d) => {
            number(reader)?;
            if kind == 0x1c {
                number(reader)?;
            }
            let reason = number(reader)?;
            reader.skip(usize::try_from(reason).ok()?)?;
            Some(Frame::Close)
        }
        _ => None,
    }
}
