//! A block of frames of one interface, in the form that they have in a file.
//!
//! ```text
//! record: seconds u32 | nanoseconds u32 | bytes kept u32 | bytes on the wire u32 | bytes        (little-endian)
//! ```

use analyze::{Frame, Time};

/// Bytes of a block: large enough that a write is worth its call, small enough to be on disk soon.
pub(super) const BYTES: usize = 256 << 10;

const RECORD_HEADER: usize = 16;

/// Frames of one interface, oldest first.
#[derive(Debug)]
pub(super) struct Block {
    /// Place of the interface in the options.
    pub(super) interface: u16,
    /// Time of the first frame.
    pub(super) first: Time,
    /// How many there are.
    pub(super) frames: u64,
    bytes: Vec<u8>,
}

impl Block {
    /// An empty block in a used or new buffer.
    pub(super) fn new(interface: u16, first: Time, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { interface, first, frames: 0, bytes: buffer }
    }

    /// Whether the frame fits. A frame longer than a block has one of its own.
    pub(super) fn has_room(&self, frame: &Frame<'_>) -> bool {
        self.frames == 0 || self.bytes.len() + RECORD_HEADER + frame.data.len() <= BYTES
    }

    /// Appends a frame.
    pub(super) fn push(&mut self, frame: &Frame<'_>) {
        let seconds = frame.at.secs();
        let nanoseconds = frame.at.0.rem_euclid(1_000_000_000);
        let header = [seconds as u32, nanoseconds as u32, frame.data.len() as u32, frame.wire_len];
        for word in header {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        self.bytes.extend_from_slice(frame.data);
        self.frames += 1;
    }

    /// The records.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The buffer, to be used again. One that grew for a giant frame is not kept that large.
    pub(super) fn into_buffer(mut self) -> Vec<u8> {
        self.bytes.clear();
        self.bytes.shrink_to(BYTES);
        self.bytes
    }
}

/// The header of a file with nanoseconds and Ethernet frames (IETF draft-ietf-opsawg-pcap, LINKTYPE_ETHERNET).
pub(super) fn file_header(snap: u32) -> [u8; 24] {
    const NANOSECOND_MAGIC: u32 = 0xa1b2_3c4d;
    const VERSION: u32 = 2 | (4 << 16);
    const ETHERNET: u32 = 1;
    // What tcpdump writes for "all".
    let snap = if snap == 0 { 262_144 } else { snap };
    let mut header = [0; 24];
    for (place, word) in header.chunks_exact_mut(4).zip([NANOSECOND_MAGIC, VERSION, 0, 0, snap, ETHERNET]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    header
}
