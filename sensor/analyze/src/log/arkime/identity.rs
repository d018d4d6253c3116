//! The name that a session's document has in OpenSearch, and the index that it belongs into.
//!
//! ```text
//! index   arkime_sessions3-YYMMDD        UTC day of the last packet
//! id      YYMMDD-24 characters           18 bytes as base64url; Arkime takes 2 of its process and 16 of a UUID
//! ```
//! Ours are no random numbers: made from the sensor's seed, the session's number and the time of its first packet, they are
//! the same whenever the same frames are read with the same seed, so that a repeated delivery replaces the document and
//! does not double it. The time tells runs apart that share a seed which an operator has fixed.

use crate::id::mix;
use crate::{Time, time};

/// What all indices of sessions begin with.
const INDEX: &str = "arkime_sessions3-";
/// Bytes of an id: 24 characters.
const BYTES: usize = 18;

/// What makes one segment of a session different from all others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    /// The sensor's, which differs between workers and, unless it is fixed, between runs.
    pub(super) seed: u64,
    /// The session's number at this sensor.
    pub(super) serial: u64,
    /// Number of the segment, from 1.
    pub(super) segment: u64,
    /// When it began.
    pub(super) first: Time,
    /// When it ended.
    pub(super) last: Time,
}

impl Identity {
    pub(super) fn index(self) -> String {
        format!("{INDEX}{}", day(self.last))
    }

    pub(super) fn id(self) -> String {
        let mut state = mix(self.seed);
        for part in [self.serial, self.segment, self.first.0.cast_unsigned()] {
            state = mix(state ^ part);
        }
        let words = [state, mix(state ^ self.seed.rotate_left(32)), mix(state.rotate_left(32) ^ self.serial)];
        let mut bytes = [0; BYTES];
        for (byte, from) in bytes.iter_mut().zip(words.iter().flat_map(|word| word.to_be_bytes())) {
            *byte = from;
        }
        format!("{}-{}", day(self.last), base64url(&bytes))
    }
}

/// `YYMMDD` in UTC.
fn day(at: Time) -> String {
    let (year, month, day) = time::civil(at.secs());
    format!("{:02}{month:02}{day:02}", year.rem_euclid(100))
}

/// RFC 4648 §5, of whole groups of three bytes: there is nothing to pad.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let value = group.iter().fold(0_usize, |value, byte| value << 8 | usize::from(*byte));
        for shift in [18, 12, 6, 0] {
            text.push(DIGITS.get(value >> shift & 63).copied().map_or('A', char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn identity(seed: u64, serial: u64, segment: u64) -> Identity {
        let first = Time::from_secs(1_700_000_000);
        Identity { seed, serial, segment, first, last: Time::from_secs(1_700_006_400) }
    }

    #[test]
    fn the_day_is_that_of_the_last_packet_in_utc() {
        // 2023-11-14 22:13:20 and, 6400 seconds later, past midnight.
        assert_eq!(identity(1, 1, 1).index(), "arkime_sessions3-231115");
        assert!(identity(1, 1, 1).id().starts_with("231115-"));
    }

    #[test]
    fn an_id_is_as_long_as_arkimes_and_safe_in_a_path() {
        let id = identity(0, 0, 0).id();
        assert_eq!(id.len(), 31);
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{id}");
    }

    #[test]
    fn the_same_session_has_the_same_id_and_no_two_share_one() {
        let mut seen = HashSet::new();
        for seed in 0..10 {
            for serial in 0..100 {
                for segment in 1..4 {
                    assert_eq!(identity(seed, serial, segment).id(), identity(seed, serial, segment).id());
                    assert!(seen.insert(identity(seed, serial, segment).id()));
                }
            }
        }
        let later = Identity { first: Time::from_secs(1_700_000_001), ..identity(0, 0, 1) };
        assert!(seen.insert(later.id()), "a later run with the same seed");
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        assert_eq!(base64url(b"foobar"), "Zm9vYmFy");
        assert_eq!(base64url(&[0xfb, 0xff, 0xbf]), "-_-_");
    }
}
