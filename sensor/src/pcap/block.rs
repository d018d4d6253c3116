//! A block of frames of one file, in the form that they have in it.

use analyze::{Frame, Time};
use packets::record::{RECORD_HEADER, record_header};

/// Bytes of a block: large enough that a write is worth its call, small enough to be on disk soon.
pub(super) const BYTES: usize = 256 << 10;

/// Frames of one interface, in the order in which they came.
#[derive(Debug)]
pub(super) struct Block {
    /// Place of the interface in the options.
    pub(super) interface: u16,
    /// Number of the file that it belongs into.
    pub(super) file: u32,
    /// Bytes of that file before it, uncompressed.
    pub(super) offset: u64,
    /// Whether the file ends with it.
    pub(super) is_last: bool,
    /// Time of the first frame.
    pub(super) first: Time,
    /// The latest time of a frame.
    pub(super) last: Time,
    /// How many there are.
    pub(super) frames: u64,
    bytes: Vec<u8>,
}

impl Block {
    /// An empty block at a place of a file, in a used or new buffer.
    pub(super) fn new(interface: u16, (file, offset): (u32, u64), first: Time, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { interface, file, offset, is_last: false, first, last: first, frames: 0, bytes: buffer }
    }

    /// Bytes that a frame takes.
    pub(super) const fn length_of(frame: &Frame<'_>) -> usize {
        RECORD_HEADER + frame.data.len()
    }

    /// Whether the frame fits. A frame longer than a block has one of its own.
    pub(super) fn has_room(&self, frame: &Frame<'_>) -> bool {
        self.frames == 0 || self.bytes.len() + Self::length_of(frame) <= BYTES
    }

    /// Appends a frame.
    pub(super) fn push(&mut self, frame: &Frame<'_>) {
        self.bytes.extend_from_slice(&record_header(frame.at, frame.data.len() as u32, frame.wire_len));
        self.bytes.extend_from_slice(frame.data);
        self.last = self.last.max(frame.at);
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
