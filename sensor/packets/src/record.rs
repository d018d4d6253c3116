//! What is in a capture file: PCAP with nanoseconds, little-endian, Ethernet (IETF draft-ietf-opsawg-pcap).
//!
//! ```text
//! file:   magic u32 | version u32 | 0 u32 | 0 u32 | snap length u32 | link type u32 | records
//! record: seconds u32 | nanoseconds u32 | bytes kept u32 | bytes on the wire u32 | bytes
//! ```

use analyze::Time;

/// Bytes of a file before its first record.
pub const FILE_HEADER: usize = 24;
/// Bytes of a record before its frame.
pub const RECORD_HEADER: usize = 16;
/// Bytes of a frame that are believed: what tcpdump takes for "all", and more than the largest snap length.
pub const MAX_FRAME: usize = 262_144;

/// The header of a file with nanoseconds and Ethernet frames. `snap` 0 is "all".
#[must_use]
pub fn file_header(snap: u32) -> [u8; FILE_HEADER] {
    const NANOSECOND_MAGIC: u32 = 0xa1b2_3c4d;
    const VERSION: u32 = 2 | (4 << 16);
    const ETHERNET: u32 = 1;
    let snap = if snap == 0 { MAX_FRAME as u32 } else { snap };
    let mut header = [0; FILE_HEADER];
    for (place, word) in header.chunks_exact_mut(4).zip([NANOSECOND_MAGIC, VERSION, 0, 0, snap, ETHERNET]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    header
}

/// The header of a record.
#[must_use]
pub fn record_header(at: Time, kept: u32, wire: u32) -> [u8; RECORD_HEADER] {
    let mut header = [0; RECORD_HEADER];
    let words = [at.secs() as u32, at.0.rem_euclid(1_000_000_000) as u32, kept, wire];
    for (place, word) in header.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    header
}

/// One record, borrowed from the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was captured.
    pub at: Time,
    /// Bytes on the wire.
    pub wire: u32,
    /// Bytes kept.
    pub data: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads the record at the start of `bytes`, and says how long it is. Nothing if it is not whole, or is none: lengths
    /// that no writer writes mean that these are other bytes.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (at, kept, wire) = read_header(bytes)?;
        let end = RECORD_HEADER + kept;
        Some((Self { at, wire, data: bytes.get(RECORD_HEADER..end)? }, end))
    }
}

/// Time, bytes kept and bytes on the wire of the record whose header `bytes` begin with; nothing if it is none.
#[must_use]
pub fn read_header(bytes: &[u8]) -> Option<(Time, usize, u32)> {
    let header = bytes.first_chunk::<RECORD_HEADER>()?;
    let word = |place: usize| header.get(place..).and_then(|from| from.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word));
    let (seconds, nanoseconds, kept, wire) = (word(0), word(4), word(8) as usize, word(12));
    // No frame is empty, but what a power cut leaves of a file often is.
    let plausible = nanoseconds < 1_000_000_000 && kept > 0 && kept <= MAX_FRAME && kept <= wire as usize;
    plausible.then(|| (Time(i64::from(seconds) * 1_000_000_000 + i64::from(nanoseconds)), kept, wire))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_torn_ones_are_none() {
        let at = Time(1_700_000_000_987_654_321);
        let mut bytes = record_header(at, 5, 90).to_vec();
        bytes.extend(b"frame and more");
        let wanted = Record { at, wire: 90, data: b"frame" };
        assert_eq!(Record::read(&bytes), Some((wanted, 21)));
        for cut in 0..21 {
            assert_eq!(Record::read(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn lengths_that_no_writer_writes_are_no_record() {
        let at = Time(0);
        let mut long = record_header(at, 300_000, 300_000).to_vec();
        long.resize(400_000, 0);
        assert_eq!(Record::read(&long), None);
        assert_eq!(Record::read(&record_header(at, 10, 9)), None, "more kept than was there");
    }
}
