//! The files that are being written: begun, rotated, and left valid when a write fails. How they are named: [`packets::name`].
//!
//! There is no temporary name: whole records are appended in one write each block, and what a failed write left behind
//! is cut off again. With LZ4 a file is one frame of independent blocks:
//!
//! ```text
//! frame header | block | block | … | end mark        each write begins where the end mark stood and ends with a new one
//! ```
//!
//! so that it is whole at any instant. (A frame for each block would be as valid, but Wireshark 4.0 loses its way in many.)
//!
//! A block says in which file it belongs and at which offset. Where it cannot stand there, because one before it was lost,
//! it begins a file with a number of the writer's own: its frames are kept, and the positions that they were given lie
//! beyond the end of the file that was meant.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use analyze::Time;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use packets::{
    Name,
    index::{self, Place},
    record::{FILE_HEADER, file_header},
};

use super::{
    Counters, Options,
    block::Block,
    budget::Budget,
    events::{FileEvent, Teller},
    feed::Told,
    indices::Indices,
    numbers::Numbers,
};

/// Magic, two bytes of flags, checksum of the header (LZ4 frame format 1.6.4, without content size and dictionary).
const FRAME_HEADER: usize = 7;
/// A block length of 0.
const END_MARK: u64 = 4;
/// How long until it is tried again to write down numbers.
const RETRY: Duration = Duration::from_secs(1);

/// Files by interface and worker.
pub struct Files {
    options: Options,
    budget: Budget,
    numbers: Arc<Numbers>,
    told: Vec<Vec<Arc<Told>>>,
    counters: Arc<Counters>,
    indices: Indices,
    events: Teller,
    open: HashMap<(u16, usize), Open>,
    /// A block as it goes to disk, kept for its memory.
    compressed: Vec<u8>,
    /// When numbers for new files could not be written down last.
    no_numbers_since: Option<Instant>,
}

struct Open {
    file: File,
    path: PathBuf,
    /// The file's number, and the one that it was laid out with: another if it took in what had lost its place.
    number: u32,
    laid_out: u32,
    /// Where the next block belongs, as it was laid out.
    next: u64,
    bytes: u64,
    /// Bytes at the end that the next write takes the place of.
    overlap: u64,
    uncompressed: u64,
    frames: u64,
    first: Time,
    last: Time,
    index_bytes: u64,
    /// `bytes` for others to read.
    shown: Arc<AtomicU64>,
}

impl Files {
    /// No file is begun before there is a frame for it. `told` has a place for each worker and interface.
    pub(super) fn new(
        options: Options,
        budget: Budget,
        numbers: Arc<Numbers>,
        told: Vec<Vec<Arc<Told>>>,
        indices: Indices,
        counters: Arc<Counters>,
    ) -> Self {
        counters.bytes_on_disk.store(budget.bytes(), Ordering::Relaxed);
        let mut events = Teller::new(&options.events);
        for (path, bytes) in budget.list() {
            if let Some(Name { number, first, .. }) = Name::of(path).filter(|name| name.number > 0) {
                events.tell(FileEvent::Found { number, path: path.to_owned(), first, bytes });
            }
        }
        Self {
            options,
            budget,
            numbers,
            told,
            counters,
            indices,
            events,
            open: HashMap::new(),
            compressed: Vec::new(),
            no_numbers_since: None,
        }
    }

    /// Appends a block to the file that it belongs to. A block that cannot be written is counted; it is told once, and
    /// once more when writing works again.
    pub(super) fn write(&mut self, worker: usize, block: &Block) {
        let key = (block.interface, worker);
        if block.frames > 0 {
            match self.try_write(key, block) {
                Ok(()) => self.written(block),
                Err(error) => self.failed(key, block, &error),
            }
        }
        if block.is_last && self.open.get(&key).is_some_and(|open| open.laid_out == block.file) {
            self.end(key);
        }
    }

    /// What is to be done besides, now and then. Whether sessions may still come to be written.
    pub(super) fn tend(&mut self) -> bool {
        self.events.pass_on();
        self.keep_to_share();
        let (grown, may_come) = self.indices.take_sessions();
        let has_grown = !grown.is_empty();
        for (number, path, bytes) in grown {
            match self.open.values_mut().find(|open| open.number == number) {
                Some(open) => {
                    open.index_bytes += bytes;
                    self.budget.grown(bytes);
                }
                None => self.budget.closed_grown(&path, bytes),
            }
        }
        if has_grown {
            self.counters.bytes_on_disk.store(self.budget.bytes(), Ordering::Relaxed);
        }
        self.tend_numbers();
        may_come
    }

    /// Sees to it that new files can have numbers. Without one nothing is written, so room is made here for writing them down.
    fn tend_numbers(&mut self) {
        if self.no_numbers_since.is_some_and(|since| since.elapsed() < RETRY) {
            return;
        }
        let Err(error) = self.numbers.tend() else {
            self.no_numbers_since = None;
            return;
        };
        if error.kind() == io::ErrorKind::StorageFull
            && let Some(path) = self.budget.delete_oldest()
        {
            return self.deleted(&[path]);
        }
        self.no_numbers_since = Some(Instant::now());
        if !self.counters.disk_full.swap(true, Ordering::Relaxed) {
            let folder = self.options.folder.display();
            tracing::error!(%folder, %error, "numbers for new captures cannot be written down: free space, or change pcap.folder in tenrec.toml");
        }
    }

    /// Deletes the oldest files if others need the room, and keeps to what they leave.
    fn keep_to_share(&mut self) {
        let share = Arc::clone(&self.options.share);
        let own = self.options.budget_bytes;
        self.budget.set_most(match share.most() {
            0 => own,
            left if own == 0 => left,
            left => own.min(left),
        });
        let wanted = share.wanted();
        if wanted > 0 {
            let gone = self.budget.give_up(wanted);
            self.deleted(&gone);
            share.answer();
            self.counters.bytes_on_disk.store(self.budget.bytes(), Ordering::Relaxed);
            self.counters.files_closed.store(self.budget.files() as u64, Ordering::Relaxed);
        }
        let (bytes, files) = self.budget.take_deleted();
        if files > 0 {
            share.dropped(bytes, files);
        }
        // What is being written can be closed, and given up then: at the latest in the next second.
        share.holds(self.budget.bytes(), self.budget.spare());
    }

    /// Counts bytes that came to the index of a file of an earlier run.
    pub(super) fn index_grown(&mut self, path: &Path, bytes: u64) {
        self.budget.closed_grown(path, bytes);
    }

    /// Ends all files.
    pub(super) fn finish(mut self) {
        let open: Vec<_> = self.open.keys().copied().collect();
        for key in open {
            self.end(key);
        }
        if let Err(error) = self.numbers.close() {
            tracing::debug!(%error, "numbers of captures that were not used are left out");
        }
        self.events.pass_on();
    }

    fn written(&self, block: &Block) {
        self.counters.frames_written.fetch_add(block.frames, Ordering::Relaxed);
        self.counters.bytes_written.fetch_add(block.bytes().len() as u64, Ordering::Relaxed);
        if self.counters.disk_full.swap(false, Ordering::Relaxed) {
            let dropped = self.counters.frames_dropped_disk.load(Ordering::Relaxed);
            tracing::info!(dropped_frames = dropped, "captures are being written again");
        }
    }

    fn failed(&mut self, key: (u16, usize), block: &Block, error: &io::Error) {
        self.counters.frames_dropped_disk.fetch_add(block.frames, Ordering::Relaxed);
        if !self.counters.disk_full.swap(true, Ordering::Relaxed) {
            let folder = self.options.folder.display();
            tracing::error!(%folder, %error, "captures cannot be written, frames are dropped from PCAP: free space, or change pcap.folder, pcap.budget_megabytes or disk.floor_megabytes in tenrec.toml");
        }
        if let Some(told) = self.told_of(key) {
            told.break_off(block.file);
        }
        self.end(key);
    }

    fn told_of(&self, (interface, worker): (u16, usize)) -> Option<&Told> {
        self.told.get(worker)?.get(usize::from(interface)).map(Arc::as_ref)
    }

    fn try_write(&mut self, key: (u16, usize), block: &Block) -> io::Result<()> {
        let mut bytes = std::mem::take(&mut self.compressed);
        bytes.clear();
        let result = self.encode(block.bytes(), &mut bytes).and_then(|()| {
            // The frame's header is in the file already.
            let more = if self.options.lz4 { bytes.get(FRAME_HEADER..).unwrap_or_default() } else { block.bytes() };
            self.append(key, block, more)
        });
        self.compressed = bytes;
        result
    }

    fn append(&mut self, key: (u16, usize), block: &Block, bytes: &[u8]) -> io::Result<()> {
        let place = (block.file, block.offset);
        if self.open.get(&key).is_some_and(|open| (open.laid_out, open.next) != place) {
            self.end(key);
        }
        self.make_room(bytes.len() as u64)?;
        let mut result = self.append_to_open(key, block, bytes);
        // The floor may be missed by a moment: another writer, reserved blocks. Older captures still give way.
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull)
            && let Some(path) = self.budget.delete_oldest()
        {
            self.deleted(&[path]);
            result = self.append_to_open(key, block, bytes);
        }
        let saved = result?;
        if self.options.lz4
            && let Some(told) = self.told_of(key)
        {
            told.save(block.file, saved);
        }
        self.counters.bytes_on_disk.store(self.budget.bytes(), Ordering::Relaxed);
        Ok(())
    }

    /// Returns the bytes that compression has saved in the file so far.
    fn append_to_open(&mut self, key: (u16, usize), block: &Block, bytes: &[u8]) -> io::Result<u64> {
        if !self.open.contains_key(&key) {
            let open = self.begin(key, block)?;
            self.open.insert(key, open);
        }
        let Some(open) = self.open.get_mut(&key) else { return Err(io::ErrorKind::NotFound.into()) };
        let (before, disk_offset, offset) = (open.bytes, open.bytes - open.overlap, open.uncompressed);
        open.append(bytes)?;
        open.count(block);
        let place = Place {
            offset,
            length: block.bytes().len() as u32,
            disk_offset,
            disk_length: (open.bytes - open.overlap - disk_offset) as u32,
        };
        let indexed = self.indices.block(open.number, place, block.bytes());
        open.index_bytes += indexed;
        self.budget.grown(open.bytes - before + indexed);
        if open.frames == block.frames {
            let (number, path, first) = (open.number, open.path.clone(), open.first);
            self.counters.files_opened.fetch_add(1, Ordering::Relaxed);
            self.events.tell(FileEvent::Begun { number, path, first });
        }
        Ok(open.uncompressed.saturating_sub(open.bytes))
    }

    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let (gone, room) = self.budget.make_room(bytes);
        self.deleted(&gone);
        self.counters.files_closed.store(self.budget.files() as u64, Ordering::Relaxed);
        if !gone.is_empty() {
            tracing::info!(files = gone.len(), "oldest captures deleted to stay within the disk budget");
        }
        if room {
            return Ok(());
        }
        // What is being written is all there is: end it, so that it can make room for what comes.
        let open: Vec<_> = self.open.keys().copied().collect();
        for key in open {
            self.end(key);
        }
        let (gone, room) = self.budget.make_room(bytes);
        self.deleted(&gone);
        if room { Ok(()) } else { Err(io::Error::new(io::ErrorKind::StorageFull, "no room within the budget and above the floor")) }
    }

    /// The file that a block begins: the one that was laid out, if it is that one's first.
    fn begin(&mut self, (interface, _): (u16, usize), block: &Block) -> io::Result<Open> {
        let interface = self.options.interfaces.get(usize::from(interface)).map_or("unknown", String::as_str).to_owned();
        let number = if block.offset == FILE_HEADER as u64 { Some(block.file) } else { self.numbers.next() };
        let number = number.ok_or_else(|| io::Error::other("no number for a new file could be written down"))?;
        let path = self.options.folder.join(Name { interface, first: block.first, number, lz4: self.options.lz4 }.file_name());
        let mut header = Vec::new();
        self.encode(&file_header(self.options.snap), &mut header)?;
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let shown = Arc::new(AtomicU64::new(0));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        *self.counters.newest.lock().unwrap_or_else(PoisonError::into_inner) = (name, Arc::clone(&shown));
        let mut open = Open {
            file,
            path,
            number,
            laid_out: block.file,
            next: block.offset,
            bytes: 0,
            overlap: 0,
            uncompressed: FILE_HEADER as u64,
            frames: 0,
            first: block.first,
            last: block.first,
            index_bytes: 0,
            shown,
        };
        let begun = if self.options.lz4 { open.append(&header) } else { open.append(&file_header(self.options.snap)) };
        if let Err(error) = begun {
            remove(&open.path);
            return Err(error);
        }
        open.overlap = if self.options.lz4 { END_MARK } else { 0 };
        open.index_bytes = self.indices.begin(number, &open.path);
        self.budget.grown(open.bytes + open.index_bytes);
        Ok(open)
    }

    fn end(&mut self, key: (u16, usize)) {
        let Some(open) = self.open.remove(&key) else { return };
        if open.frames == 0 {
            // Its first block could not be written: nobody has heard of it.
            remove(&open.path);
            remove(&index::path_of(&open.path));
            self.indices.gone(open.number);
            self.budget.shrunk(open.bytes + open.index_bytes);
            return;
        }
        self.outlast(&open);
        self.events.tell(FileEvent::Ended {
            number: open.number,
            path: open.path.clone(),
            bytes: open.bytes,
            uncompressed: open.uncompressed,
            packets: open.frames,
            last: open.last,
        });
        self.indices.end(open.number);
        self.budget.closed(open.path, open.bytes + open.index_bytes);
        self.counters.files_closed.store(self.budget.files() as u64, Ordering::Relaxed);
    }

    /// A search leaves out files that were written to last before the time it asks for. A clock that was set back must not hide
    /// the end of a file.
    fn outlast(&self, open: &Open) {
        let last = SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(open.last.0).unwrap_or(0));
        if last > SystemTime::now()
            && let Err(error) = File::options().append(true).open(&open.path).and_then(|file| file.set_modified(last))
        {
            tracing::warn!(file = %open.path.display(), %error, "searches by time may miss the last packets of this capture");
        }
    }

    fn deleted(&mut self, paths: &[PathBuf]) {
        self.counters.files_deleted.fetch_add(paths.len() as u64, Ordering::Relaxed);
        for path in paths {
            if let Some(Name { number, .. }) = Name::of(path).filter(|name| name.number > 0) {
                self.indices.gone(number);
                self.events.tell(FileEvent::Deleted { number, path: path.clone() });
            }
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

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(file = %path.display(), %error, "an empty capture stays");
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

    fn count(&mut self, block: &Block) {
        let length = block.bytes().len() as u64;
        self.next += length;
        self.uncompressed += length;
        self.frames += block.frames;
        self.last = self.last.max(block.last);
    }
}
