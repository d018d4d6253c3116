//! What both versions of SMB share: frames, times and strings.

use crate::{Reader, Time};

/// Frames above this are not kept whole: what they carry of files is taken as it comes.
pub(super) const MAX_WHOLE: usize = 1 << 17;

/// Bytes of such a frame that are waited for: SMB2's header and what stands before the data.
pub(super) const MIN_HEAD: usize = 64 + 112;

/// Seconds from 1601, where Windows counts from, to 1970.
const EPOCH: f64 = 11_644_473_600.0;

/// Kinds of SMB messages, by their first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
    /// SMB3's messages that are encrypted or compressed.
    Sealed,
}

/// The head of a frame (RFC 1002 §4.3.1; MS-SMB2 §2.1): kind (1), length (3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    NeedMore,
    Bad,
    /// Of NetBIOS itself: so many bytes with the head.
    Session(usize),
    /// A message of so many bytes, without the head.
    Message(Version, usize),
}

pub(super) fn frame(bytes: &[u8]) -> Frame {
    let mut reader = Reader::new(bytes);
    let (Some(kind), Some(len)) = (reader.u8(), reader.u24()) else { return Frame::NeedMore };
    match kind {
        0x81..=0x85 if len <= 0x1ffff => return Frame::Session((len as usize).saturating_add(4)),
        0 => {}
        _ => return Frame::Bad,
    }
    if len == 0 {
        return Frame::Session(4);
    }
    match reader.array::<4>() {
        None => Frame::NeedMore,
        Some([0xff, b'S', b'M', b'B']) => Frame::Message(Version::One, len as usize),
        Some([0xfe, b'S', b'M', b'B']) => Frame::Message(Version::Two, len as usize),
        Some([0xfc | 0xfd, b'S', b'M', b'B']) => Frame::Message(Version::Sealed, len as usize),
        Some(_) => Frame::Bad,
    }
}

/// Times of a file: created, accessed, modified and changed, in units of 100 ns.
pub(super) type Times = [u64; 4];

/// A time of Windows; nothing is 1601. It has the precision that it has in Zeek, as a double of seconds from 1601.
pub(super) fn time(ticks: u64) -> Time {
    #[expect(clippy::cast_precision_loss, reason = "loses what Zeek loses")]
    let seconds = ticks as f64 / 1e7 - EPOCH;
    let whole = seconds.floor();
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let (whole, micros) = (whole as i64, ((seconds - whole) * 1e6).round() as i64);
    Time::from_micros(whole.saturating_mul(1_000_000).saturating_add(micros))
}

/// A string of SMB1 at a place of a message: UTF-16 at an even place, or bytes; up to a zero. Says where it ends.
pub(super) fn string(message: &[u8], at: usize, unicode: bool) -> Option<(Vec<u8>, usize)> {
    if !unicode {
        let rest = message.get(at..)?;
        let len = rest.iter().position(|&b| b == 0).unwrap_or(rest.len());
        return Some((rest.get(..len)?.to_vec(), at.saturating_add(len).saturating_add(1)));
    }
    let at = at.saturating_add(at & 1);
    let rest = message.get(at..)?;
    let len = rest.chunks_exact(2).position(|unit| unit == [0, 0]).map_or(rest.len() & !1, |units| units.saturating_mul(2));
    Some((crate::protocols::ntlm::utf16(rest.get(..len)?), at.saturating_add(len).saturating_add(2)))
}
