//! The files that are being written: begun, rotated, and left valid when a write fails.
//!
//! ```text
//! tenrec-INTERFACE-YYYYMMDDThhmmss.uuuuuuZ-WORKER.pcap[.lz4]       time of the first frame, UTC
//! ```
//!
//! There is no temporary name: whole records are appended in one write each block, and what a failed write left behind
//! is cut off again. With LZ4 a file is one frame of independent blocks:
//!
//! ```text
//! frame header | block | block | … | end mark        each write begins where the end mark stood and ends with a new one
//! ```
//!
//! so that it is whole at any instant. (A frame for each block would be as valid, but Wireshark 4.0 loses its way in many.)

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use analyze::Time;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use super::{
    Counters, Options,
    block::{Block, file_header},
    budget::{Budget, PREFIX},
};

/// Magic, two bytes of flags, checksum of the header (LZ4 frame format 1.6.4, without content size and dictionary).
const FRAME_HEADER: usize = 7;
/// A block length of 0.
const END_MARK: u64 = 4;

/// Where a block lies: what an index of frames will refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the file before the block (on disk, so compressed ones).
    pub offset: u64,
}

/// Files by interface and worker.
pub struct Files {
    options: Options,
    budget: Budget,
    counters: Arc<Counters>,
    open: HashMap<(u16, usize), Open>,
    /// A block as it goes to disk, kept for its memory.
    compressed: Vec<u8>,
}

struct Open {
    file: File,
    path: PathBuf,
    first: Time,
    bytes: u64,
    /// Bytes at the end that the next write takes the place of.
    overlap: u64,
    /// `bytes` for others to read.
    shown: Arc<AtomicU64>,
}

impl Files {
    /// No file is begun before there is a frame for it.
    pub fn new(options: Options, budget: Budget, counters: Arc<Counters>) -> Self {
        counters.bytes_on_disk.store(budget.bytes(), Ordering::Relaxed);
        Self { options, budget, counters, open: HashMap::new(), compressed: Vec::new() }
    }

    /// Appends a block to the file that it belongs to. A block that cannot be written is counted; it is told once, and
    /// once more when writing works again.
    pub(super) fn write(&mut self, worker: usize, block: &Block) -> Option<Place> {
        match self.try_write(worker, block) {
            Ok(place) => {
                self.counters.frames_written.fetch_add(block.frames, Ordering::Relaxed);
                self.counters.bytes_written.fetch_add(block.bytes().len() as u64, Ordering::Relaxed);
                if self.counters.disk_full.swap(false, Ordering::Relaxed) {
                    let dropped = self.counters.frames_dropped_disk.load(Ordering::Relaxed);
                    tracing::info!(dropped_frames = dropped, "captures are being written again");
                }
                Some(place)
            }
            Err(error) => {
                self.counters.frames_dropped_disk.fetch_add(block.frames, Ordering::Relaxed);
                if !self.counters.disk_full.swap(true, Ordering::Relaxed) {
                    let folder = self.options.folder.display();
                    tracing::error!(%folder, %error, "captures cannot be written, frames are dropped from PCAP: free space, or change pcap.folder, pcap.budget_megabytes or disk.floor_megabytes in tenrec.toml");
                }
                None
            }
        }
    }

    fn try_write(&mut self, worker: usize, block: &Block) -> io::Result<Place> {
        let key = (block.interface, worker);
        let mut bytes = std::mem::take(&mut self.compressed);
        bytes.clear();
        let result = self.encode(block.bytes(), &mut bytes).and_then(|()| {
            // The frame's header is in the file already.
            let more = if self.options.lz4 { bytes.get(FRAME_HEADER..).unwrap_or_default() } else { block.bytes() };
            self.append(key, block.first, more)
        });
        self.compressed = bytes;
        result
    }

    fn append(&mut self, key: (u16, usize), first: Time, bytes: &[u8]) -> io::Result<Place> {
        let length = bytes.len() as u64;
        if self.open.get(&key).is_some_and(|open| self.is_over(open, first, length)) {
            self.end(key);
        }
        self.make_room(length)?;
        if !self.open.contains_key(&key) {
            let open = self.begin(key, first)?;
            self.open.insert(key, open);
        }
        let Some(open) = self.open.get_mut(&key) else { return Err(io::ErrorKind::NotFound.into()) };
        let place = Place { offset: open.bytes - open.overlap };
        let before = open.bytes;
        let mut result = open.append(bytes);
        // The floor may be missed by a moment: another writer, reserved blocks. Older captures still give way.
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull) && self.budget.delete_oldest() {
            self.counters.files_deleted.fetch_add(1, Ordering::Relaxed);
            result = open.append(bytes);
        }
        result?;
        self.budget.grown(open.bytes - before);
        self.counters.bytes_on_disk.store(self.budget.bytes(), Ordering::Relaxed);
        Ok(place)
    }

    /// Files that have not got a frame for long end at their age all the same.
    pub fn end_those_older_than_allowed(&mut self, now: Time) {
        let over: Vec<_> = self.open.iter().filter(|(_, open)| self.is_too_old(open, now)).map(|(key, _)| *key).collect();
        for key in over {
            self.end(key);
        }
    }

    fn is_over(&self, open: &Open, next: Time, length: u64) -> bool {
        let too_long = self.options.rotate_bytes > 0 && open.bytes.saturating_add(length) > self.options.rotate_bytes;
        too_long || self.is_too_old(open, next)
    }

    fn is_too_old(&self, open: &Open, now: Time) -> bool {
        let age = i64::try_from(self.options.rotate_age.as_nanos()).unwrap_or(i64::MAX);
        age > 0 && now.0.saturating_sub(open.first.0) >= age
    }

    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let (deleted, room) = self.budget.make_room(bytes);
        self.counters.files_deleted.fetch_add(deleted, Ordering::Relaxed);
        self.counters.files_closed.store(self.budget.files() as u64, Ordering::Relaxed);
        if deleted > 0 {
            tracing::info!(files = deleted, "oldest captures deleted to stay within the disk budget");
        }
        if room {
            return Ok(());
        }
        // What is being written is all there is: end it, so that it can make room for what comes.
        let open: Vec<_> = self.open.keys().copied().collect();
        for key in open {
            self.end(key);
        }
        let (deleted, room) = self.budget.make_room(bytes);
        self.counters.files_deleted.fetch_add(deleted, Ordering::Relaxed);
        if room { Ok(()) } else { Err(io::Error::new(io::ErrorKind::StorageFull, "no room within the budget and above the floor")) }
    }

    fn begin(&mut self, (interface, worker): (u16, usize), first: Time) -> io::Result<Open> {
        let name = self.options.interfaces.get(usize::from(interface)).map_or("unknown", String::as_str);
        let time = jiff::Timestamp::from_nanosecond(first.0.into()).map_err(io::Error::other)?;
        let time = time.strftime("%Y%m%dT%H%M%S.%6f");
        let ending = if self.options.lz4 { "pcap.lz4" } else { "pcap" };
        let mut header = Vec::new();
        self.encode(&file_header(self.options.snap), &mut header)?;
        for again in 0..1000_u32 {
            // Two files of one microsecond: replayed captures have such times.
            let again = if again == 0 { String::new() } else { format!("-{again}") };
            let path = self.options.folder.join(format!("{PREFIX}{name}-{time}Z-{worker}{again}.{ending}"));
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            let shown = Arc::new(AtomicU64::new(0));
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            *self.counters.newest.lock().unwrap_or_else(PoisonError::into_inner) = (name, Arc::clone(&shown));
            let mut open = Open { file, path, first, bytes: 0, overlap: 0, shown };
            if self.options.lz4 {
                open.append(&header)?;
                open.overlap = END_MARK;
            } else {
                open.append(&file_header(self.options.snap))?;
            }
            self.budget.grown(open.bytes);
            self.counters.files_opened.fetch_add(1, Ordering::Relaxed);
            return Ok(open);
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn end(&mut self, key: (u16, usize)) {
        if let Some(open) = self.open.remove(&key) {
            self.budget.closed(open.path, open.bytes);
            self.counters.files_closed.store(self.budget.files() as u64, Ordering::Relaxed);
        }
    }

    /// A whole LZ4 frame: its header, one or more blocks with checksums, the end mark; nothing if files are not compressed.
    fn encode(&self, bytes: &[u8], to: &mut Vec<u8>) -> io::Result<()> {
        if !self.options.lz4 {
            return Ok(());
        }
        let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max256KB).block_checksums(true);
        let mut encoder = FrameEncoder::with_frame_info(info, to);
        encoder.write_all(bytes)?;
        encoder.finish().map_err(io::Error::other).map(drop)
    }
}

impl Open {
    /// All of the bytes or none, in place of the end mark if there is one.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let at = self.bytes - self.overlap;
        if let Err(error) = self.file.write_all_at(bytes, at) {
            self.file.set_len(self.bytes)?;
            // The end mark is four zeros.
            let mark = [0; END_MARK as usize];
            self.file.write_all_at(mark.get(..self.overlap as usize).unwrap_or_default(), at)?;
            return Err(error);
        }
        self.bytes = at + bytes.len() as u64;
        self.shown.store(self.bytes, Ordering::Relaxed);
        Ok(())
    }
}
