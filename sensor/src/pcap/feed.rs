//! A worker's end of the PCAP writer: takes frames, says where they will stand, never waits.
//!
//! A frame is analysed with its place in a file, so the place is given before anything is written: the feed lays the files
//! out, and the writer follows. What it lays out may not come to be, when a block is lost on its way. Then that file ends
//! before the block and the next frame begins another:
//!
//! Invariant: a position that was given is that frame's for ever, or lies beyond the end of its file.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use analyze::{Frame, Position, Time};
use packets::record::FILE_HEADER;
use rtrb::{Consumer, Producer};

use super::{Counters, Options, block::Block, numbers::Numbers};

/// Bytes that LZ4 may add to a block of 256 KiB that it cannot compress: length and checksum (LZ4 frame format 1.6.4).
const LZ4_BLOCK: u64 = 8;
/// Bytes that LZ4 adds to a file: the frame's header, the file's header as a block, the end mark.
const LZ4_FILE: u64 = 32;

/// A worker's end: takes frames, never waits.
pub struct Feed {
    /// What is being laid out, for each interface.
    lines: Vec<Line>,
    pub(super) full: Producer<Block>,
    empty: Consumer<Vec<u8>>,
    /// Buffers that do not exist yet.
    unborn: usize,
    rotation: Rotation,
    numbers: Arc<Numbers>,
    counters: Arc<Counters>,
}

/// What becomes of the frames of one interface.
#[derive(Debug, Default)]
struct Line {
    file: Option<Layout>,
    /// What is being filled.
    block: Option<Block>,
    told: Arc<Told>,
}

/// A file's name says when its first frame came, and none in it is from before that but for so many nanoseconds: when the clock
/// is set back by more, another file is begun.
const SET_BACK: i64 = 5_000_000_000;

/// A file as it will be.
#[derive(Clone, Copy, Debug)]
struct Layout {
    number: u32,
    /// Where the next record begins, uncompressed.
    end: u64,
    /// Bytes on disk that are no frames and were not in `end`, at most.
    overhead: u64,
    /// Time of the first frame, and the highest so far.
    first: Time,
    latest: Time,
    /// When the first frame came.
    since: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Rotation {
    bytes: u64,
    age: Duration,
    lz4: bool,
}

/// What the writer tells a feed of the files that it lays out.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The last file that could not be written as it was laid out.
    broken: AtomicU32,
    /// Number of a file (its last 24 bits) and KiB that compression has saved in it so far: one word, read as one.
    saved: AtomicU64,
}

impl Told {
    /// The file ends where it is.
    pub(super) fn break_off(&self, file: u32) {
        self.broken.store(file, Ordering::Relaxed);
    }

    /// So many bytes fewer are on disk than were laid out.
    pub(super) fn save(&self, file: u32, bytes: u64) {
        self.saved.store(u64::from(file) << 40 | (bytes >> 10).min((1 << 40) - 1), Ordering::Relaxed);
    }

    fn is_broken(&self, file: u32) -> bool {
        self.broken.load(Ordering::Relaxed) == file
    }

    fn saved(&self, file: u32) -> u64 {
        let word = self.saved.load(Ordering::Relaxed);
        if word >> 40 == u64::from(file & 0xff_ffff) { (word & ((1 << 40) - 1)) << 10 } else { 0 }
    }
}

impl Feed {
    pub(super) fn new(
        options: &Options,
        (full, empty): (Producer<Block>, Consumer<Vec<u8>>),
        unborn: usize,
        numbers: Arc<Numbers>,
        counters: Arc<Counters>,
    ) -> Self {
        let lines = options.interfaces.iter().map(|_| Line::default()).collect();
        let rotation = Rotation { bytes: options.rotate_bytes, age: options.rotate_age, lz4: options.lz4 };
        Self { lines, full, empty, unborn, rotation, numbers, counters }
    }

    /// What the writer must know to tell of each interface's files.
    pub(super) fn told(&self) -> Vec<Arc<Told>> {
        self.lines.iter().map(|line| Arc::clone(&line.told)).collect()
    }

    /// Keeps a frame for writing, and says where it will stand. If there is no room it is counted as dropped, and stands
    /// nowhere.
    pub fn frame(&mut self, frame: &Frame<'_>) -> Option<Position> {
        let interface = usize::from(frame.interface);
        let position = self.try_frame(interface, frame);
        if position.is_none() {
            self.counters.frames_dropped_queue.fetch_add(1, Ordering::Relaxed);
        }
        position
    }

    fn try_frame(&mut self, interface: usize, frame: &Frame<'_>) -> Option<Position> {
        let length = Block::length_of(frame) as u64;
        let line = self.lines.get(interface)?;
        if line.file.is_some_and(|file| self.rotation.is_over(&file, &line.told, frame.at, length)) {
            self.end_file(interface);
        } else if line.block.as_ref().is_some_and(|block| !block.has_room(frame)) {
            self.pass_on(interface);
        }
        if self.lines.get(interface)?.block.is_none() {
            self.begin(interface, frame)?;
        }
        let line = self.lines.get_mut(interface)?;
        let (file, block) = (line.file.as_mut()?, line.block.as_mut()?);
        let position = Position { file: file.number, offset: file.end };
        block.push(frame);
        file.end += length;
        file.latest = file.latest.max(frame.at);
        Some(position)
    }

    /// Begins a block, and a file if there is none that can go on.
    fn begin(&mut self, interface: usize, frame: &Frame<'_>) -> Option<()> {
        let line = self.lines.get_mut(interface)?;
        if line.file.is_some_and(|file| line.told.is_broken(file.number)) {
            line.file = None;
        }
        // A number is of no use without a buffer.
        let buffer = self.buffer()?;
        let line = self.lines.get_mut(interface)?;
        let file = match &mut line.file {
            Some(file) => file,
            empty => {
                let Some(number) = self.numbers.next() else {
                    self.unborn += 1;
                    return None;
                };
                empty.insert(Layout {
                    number,
                    end: FILE_HEADER as u64,
                    overhead: LZ4_FILE,
                    first: frame.at,
                    latest: frame.at,
                    since: Instant::now(),
                })
            }
        };
        line.block = Some(Block::new(frame.interface, (file.number, file.end), frame.at, buffer));
        Some(())
    }

    /// Passes on what has gathered, so that it is on disk soon, and ends files that are old enough. Call it about once a
    /// second.
    pub fn flush(&mut self) {
        for interface in 0..self.lines.len() {
            let file = self.lines.get(interface).and_then(|line| line.file);
            if file.is_some_and(|file| !self.rotation.age.is_zero() && file.since.elapsed() >= self.rotation.age) {
                self.end_file(interface);
            } else {
                self.pass_on(interface);
            }
        }
    }

    fn end_file(&mut self, interface: usize) {
        let Some(line) = self.lines.get_mut(interface) else { return };
        let Some(file) = line.file.take() else { return };
        // An empty block that tells the writer. If it is lost, the next file's first block tells as well.
        let empty = || Block::new(u16::try_from(interface).unwrap_or(u16::MAX), (file.number, file.end), file.first, Vec::new());
        line.block.get_or_insert_with(empty).is_last = true;
        self.pass_on(interface);
    }

    fn pass_on(&mut self, interface: usize) {
        let Some(line) = self.lines.get_mut(interface) else { return };
        let Some(block) = line.block.take() else { return };
        if let Some(file) = &mut line.file {
            file.overhead += LZ4_BLOCK * (1 + (block.bytes().len() as u64 >> 18));
        }
        if let Err(rtrb::PushError::Full(block)) = self.full.push(block)
            && block.frames > 0
        {
            self.counters.frames_dropped_queue.fetch_add(block.frames, Ordering::Relaxed);
            // The buffer goes with it; a new one may be born in its place.
            self.unborn += 1;
            line.file = None;
        }
    }

    fn buffer(&mut self) -> Option<Vec<u8>> {
        if let Ok(buffer) = self.empty.pop() {
            return Some(buffer);
        }
        self.unborn = self.unborn.checked_sub(1)?;
        Some(Vec::with_capacity(super::block::BYTES))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        for interface in 0..self.lines.len() {
            self.end_file(interface);
        }
    }
}

impl Rotation {
    /// Whether a file cannot take another record, of so many bytes, at that time.
    fn is_over(&self, file: &Layout, told: &Told, at: Time, length: u64) -> bool {
        let age = i64::try_from(self.age.as_nanos()).unwrap_or(i64::MAX);
        if age > 0 && at.0.saturating_sub(file.first.0) >= age {
            return true;
        }
        if file.latest.0.saturating_sub(at.0) > SET_BACK {
            return true;
        }
        if self.bytes == 0 || file.end == FILE_HEADER as u64 {
            return false;
        }
        let mut bytes = file.end.saturating_add(length);
        if self.lz4 {
            // What it will take on disk at most: the writer is some blocks behind and tells what it has saved up to there.
            bytes = bytes.saturating_add(file.overhead + LZ4_BLOCK);
            if bytes > self.bytes {
                bytes = bytes.saturating_sub(told.saved(file.number));
            }
        }
        bytes > self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compression_saves_counts_for_that_file_alone() {
        let told = Told::default();
        told.save(7, 5 << 20);
        assert_eq!((told.saved(7), told.saved(8)), (5 << 20, 0));
        told.save(u32::MAX, 1 << 12);
        assert_eq!(told.saved(u32::MAX), 1 << 12);
    }
}
