//! Lumberjack v2 ("Beats"), both sides, without I/O: bytes in, frames out; records in, bytes out.
//!
//! ```text
//! window      '2' 'W' | count u32                          announces that many events
//! event       '2' 'J' | sequence u32 | length u32 | JSON   sequence counts from 1 within its window
//! compressed  '2' 'C' | length u32 | zlib stream           of events
//! ack         '2' 'A' | sequence u32                       of the receiver: all events up to this one are taken
//! ```
//! Integers are big-endian. An ack is cumulative; one of 0 says only that the receiver is alive and still working.
//!
//! What comes from the peer is bounded before it is kept (see [`Limits`]), and every refusal is a named [`Error`].
//! Version 1 ('1' 'D' key-value frames) is refused by name: no sender in use speaks it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic"))]

mod acks;
mod frames;
mod receiver;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

pub use acks::{Acks, AcksError, Progress};
pub use receiver::{Event, Receiver};

/// Bounds on what is taken from the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one event. Zeek lines and scan results stay far below; Logstash itself has no bound.
    pub event: usize,
    /// Bytes of one compressed frame, packed or unpacked.
    pub compressed: usize,
    /// Events of one window.
    pub window: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { event: 16 << 20, compressed: 64 << 20, window: 65_536 }
    }
}

/// Why bytes are not Lumberjack v2, or more than is taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// A frame begins with something else than `2`.
    #[error("a frame of version {:?} instead of '2': the peer does not speak Lumberjack v2 (or speaks TLS where none is expected)", char::from(*.0))]
    Version(u8),
    /// A frame of a type that does not belong here.
    #[error("a frame of type {:?} where {expected} was expected", char::from(*.found))]
    Type {
        /// What the frame said.
        found: u8,
        /// What may come here.
        expected: &'static str,
    },
    /// An event longer than [`Limits::event`].
    #[error("an event of {length} bytes; at most {limit} are taken")]
    EventTooLong {
        /// Bytes announced.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A compressed frame longer than [`Limits::compressed`], packed or unpacked.
    #[error("a compressed frame of more than {limit} bytes")]
    CompressedTooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// A zlib stream that is broken or does not end with its frame.
    #[error("a compressed frame that does not decompress")]
    Compressed,
    /// A compressed frame that ends inside a frame.
    #[error("a compressed frame that ends in the middle of an event")]
    CompressedCut,
    /// A window larger than [`Limits::window`], or of no event.
    #[error("a window of {count} events; 1 to {limit} are taken")]
    Window {
        /// Events announced.
        count: u32,
        /// Events allowed.
        limit: u32,
    },
    /// A new window before the last one was complete.
    #[error("a new window while {missing} events of the last one are missing")]
    WindowUnfinished {
        /// Events that did not come.
        missing: u32,
    },
    /// An event outside of a window.
    #[error("an event that no window announced")]
    NoWindow,
    /// An event out of order.
    #[error("event {found} where event {expected} of the window was expected")]
    Sequence {
        /// What the event said.
        found: u32,
        /// What was due.
        expected: u32,
    },
}

/// Appends a window of `events` to `out`, with zlib at `level` (0: not compressed, to 9).
///
/// The same events and level give the same bytes. Nothing is written for no events.
///
/// # Errors
/// [`Error::Window`] for more events than a u32 counts, [`Error::EventTooLong`] for an event longer than the default
/// limit, which a receiver of this library would refuse.
pub fn encode_window<'a>(events: impl ExactSizeIterator<Item = &'a [u8]>, level: u32, out: &mut Vec<u8>) -> Result<(), Error> {
    let limits = Limits::default();
    let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
    if count == 0 {
        return Ok(());
    }
    if count > limits.window {
        return Err(Error::Window { count, limit: limits.window });
    }
    let mut unpacked = Vec::new();
    let start = out.len();
    out.extend_from_slice(b"2W");
    out.extend_from_slice(&count.to_be_bytes());
    for (sequence, event) in (1_u32..).zip(events) {
        let Some(length) = u32::try_from(event.len()).ok().filter(|_| event.len() <= limits.event) else {
            out.truncate(start);
            return Err(Error::EventTooLong { length: event.len(), limit: limits.event });
        };
        let into: &mut Vec<u8> = if level == 0 { &mut *out } else { &mut unpacked };
        into.extend_from_slice(b"2J");
        into.extend_from_slice(&sequence.to_be_bytes());
        into.extend_from_slice(&length.to_be_bytes());
        into.extend_from_slice(event);
        // One more event cannot bring it over the receiver's limit.
        if unpacked.len() > limits.compressed / 2 {
            compress(&unpacked, level, out);
            unpacked.clear();
        }
    }
    if !unpacked.is_empty() {
        compress(&unpacked, level, out);
    }
    Ok(())
}

/// Appends a compressed frame that holds `unpacked`.
fn compress(unpacked: &[u8], level: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"2C");
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut zlib = ZlibEncoder::new(&mut *out, Compression::new(level.min(9)));
    // Writing into a Vec does not fail.
    let _ = zlib.write_all(unpacked);
    let _ = zlib.finish();
    let length = u32::try_from(out.len() - length_at - 4).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(length_at..length_at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// The bytes of an acknowledgement of all events up to `sequence`; 0 is a sign of life.
#[must_use]
pub fn encode_ack(sequence: u32) -> [u8; 6] {
    let [a, b, c, d] = sequence.to_be_bytes();
    [b'2', b'A', a, b, c, d]
}

#[cfg(test)]
mod tests;
