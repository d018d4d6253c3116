//! NTP messages (RFC 5905 §7.3; control messages: RFC 9327).

use crate::{Interval, Reader, Time};

/// Seconds from 1900, where NTP counts from, to 1970.
const EPOCH: i64 = 2_208_988_800;

/// What fractions of a second are counted in.
const TWO_32: f64 = 4_294_967_296.0;

/// Bytes of a message authentication code: key and MD5 or SHA-1 digest. What is longer is an extension.
const MAX_MAC: usize = 24;

/// Bytes of a control message's header after the first byte.
const CONTROL_HEADER: usize = 11;

/// A message.
pub(super) struct Message<'a> {
    pub(super) version: u8,
    pub(super) mode: u8,
    pub(super) body: Option<Standard<'a>>,
}

/// What modes 1 to 5 have.
pub(super) struct Standard<'a> {
    pub(super) stratum: u8,
    pub(super) poll: Interval,
    pub(super) precision: Interval,
    pub(super) root_delay: Interval,
    pub(super) root_dispersion: Interval,
    pub(super) reference: &'a [u8],
    /// Reference, origin, receive and transmit time.
    pub(super) times: [Time; 4],
    pub(super) extensions: u64,
}

impl<'a> Message<'a> {
    /// Reads a message; `None` if it is cut.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let first = reader.u8()?;
        let (version, mode) = (first >> 3 & 7, first & 7);
        let body = match mode {
            1..=5 => Some(standard(&mut reader)?),
            6 => {
                let header = reader.take(CONTROL_HEADER)?;
                let count = u16::from_be_bytes(*header.last_chunk()?);
                reader.skip(usize::from(count))?;
                None
            }
            7 => {
                reader.skip(7)?;
                None
            }
            _ => None,
        };
        Some(Self { version, mode, body })
    }
}

fn standard<'a>(reader: &mut Reader<'a>) -> Option<Standard<'a>> {
    Some(Standard {
        stratum: reader.u8()?,
        poll: power(reader.u8()?),
        precision: power(reader.u8()?),
        root_delay: short(reader)?,
        root_dispersion: short(reader)?,
        reference: reader.take(4)?,
        times: [time(reader)?, time(reader)?, time(reader)?, time(reader)?],
        extensions: extensions(reader),
    })
}

/// Two to the power of a signed byte, in seconds.
fn power(byte: u8) -> Interval {
    let exponent = i32::from(byte.cast_signed());
    #[expect(clippy::cast_possible_truncation, reason = "rounded, and saturates")]
    Interval((f64::from(exponent).exp2() * 1e6).round() as i64)
}

/// Sixteen bits of seconds and sixteen of fractions.
fn short(reader: &mut Reader<'_>) -> Option<Interval> {
    let (seconds, fraction) = (reader.u16()?.cast_signed(), reader.u16()?);
    Some(Interval(
        i64::from(seconds)
            .saturating_mul(1_000_000)
            .saturating_add((i64::from(fraction).saturating_mul(1_000_000).saturating_add(1 << 15)) >> 16),
    ))
}

/// Thirty-two bits of seconds and thirty-two of fractions; nothing is nothing.
fn time(reader: &mut Reader<'_>) -> Option<Time> {
    let (seconds, fraction) = (reader.u32()?, reader.u32()?);
    if seconds == 0 && fraction == 0 {
        return Some(Time::default());
    }
    // Zeek keeps times as doubles, which have 22 bits for the fraction of a second of our days.
    let whole = i64::from(seconds).saturating_sub(EPOCH);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "loses what Zeek loses, and is in range")]
    let fraction = ((whole as f64 + f64::from(fraction) / TWO_32 - whole as f64) * TWO_32) as i64;
    let micros = fraction.saturating_mul(1_000_000).saturating_add(1 << 31) >> 32;
    Some(Time::from_micros(whole.saturating_mul(1_000_000).saturating_add(micros)))
}

/// Counts extension fields (RFC 7822): type, length with both, value.
fn extensions(reader: &mut Reader<'_>) -> u64 {
    let mut count = 0u64;
    while reader.rest().len() > MAX_MAC {
        let len = reader.u16().and_then(|_| reader.u16()).unwrap_or(0);
        if usize::from(len).checked_sub(4).and_then(|len| reader.skip(len)).is_none() {
            break;
        }
        count = count.saturating_add(1);
    }
    count
}
