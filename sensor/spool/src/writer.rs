//! The writing side: records become blocks, blocks become segments.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rustix::fs::{FlockOperation, flock};
use tracing::{info, warn};

use crate::block::{self, MAX_RECORD};
use crate::disk::{Disk, Mode, Opened, Real};
use crate::shared::{Segment, Shared, State, Stats};
use crate::{Error, Options, Reader, cursor, segment};

/// Takes records in. There is one per folder, which a lock file holds among processes.
pub struct Writer {
    options: Options,
    shared: Shared,
    file: Option<Box<dyn Opened>>,
    /// Records that wait for their block, and how many.
    pending: Vec<u8>,
    count: u32,
    /// The block of `pending`, kept while the disk refuses it.
    block: Vec<u8>,
    synced: Instant,
    dirty: bool,
    /// Kept while this writer lives; a file system of a test has none.
    _lock: Option<File>,
}

impl Writer {
    /// Opens the spool in `folder`, makes it where it is missing, and cuts a torn tail off.
    ///
    /// # Errors
    /// When another process writes here, or the disk fails.
    pub fn open(folder: &Path, options: Options) -> Result<Self, Error> {
        Real.make_folder(folder).map_err(Error::disk("make the folder", folder))?;
        let lock = lock(folder)?;
        Self::open_on(Arc::new(Real), folder, options, Some(lock))
    }

    /// As [`Writer::open`], on a file system of one's own.
    pub(crate) fn open_on(disk: Arc<dyn Disk>, folder: &Path, options: Options, lock: Option<File>) -> Result<Self, Error> {
        let mut segments = VecDeque::new();
        let firsts = segment::list(disk.as_ref(), folder)?;
        for (at, first) in firsts.iter().enumerate() {
            let found = match firsts.get(at + 1) {
                // A closed segment ends where the next begins; its blocks are checked when they are read.
                Some(next) => {
                    let path = segment::path(folder, *first);
                    let bytes = disk.open(&path, Mode::Read).and_then(|file| file.len()).map_err(Error::disk("look at", &path))?;
                    Segment { first: *first, next: *next, bytes }
                }
                None => trim(disk.as_ref(), folder, *first)?,
            };
            segments.push_back(found);
        }
        let acknowledged: std::collections::BTreeMap<_, _> = cursor::list(disk.as_ref(), folder)?.into_iter().collect();
        // A cursor may be ahead of the disk: after a power cut that took records which had been delivered.
        let written = segments.back().map_or(1, |segment| segment.next);
        let next = acknowledged.values().copied().max().unwrap_or(0).max(written);
        let state = State { segments, acknowledged, next, stats: Stats::default(), on_append: None };
        Ok(Self {
            options,
            shared: Shared::new(disk, folder.to_owned(), state),
            file: None,
            pending: Vec::new(),
            count: 0,
            block: Vec::new(),
            synced: Instant::now(),
            dirty: false,
            _lock: lock,
        })
    }

    /// Takes one record. It is readable after the next [`Writer::flush`], which also happens by itself when a block is full.
    ///
    /// # Errors
    /// [`Error::Full`] and other errors of the disk: then this record is refused and counted, those before it are kept and
    /// tried again. [`Error::TooLong`] for a record that no block can hold.
    pub fn append(&mut self, record: &[u8]) -> Result<(), Error> {
        if record.len() > MAX_RECORD {
            self.shared.lock().stats.refused += 1;
            return Err(Error::TooLong { length: record.len() });
        }
        let full = !self.pending.is_empty() && self.pending.len() + record.len() > self.options.block;
        if full && let Err(error) = self.flush() {
            self.shared.lock().stats.refused += 1;
            return Err(error);
        }
        // A block that the disk has refused does not hold this record yet.
        self.block.clear();
        block::push(&mut self.pending, record);
        self.count += 1;
        Ok(())
    }

    /// Takes several records, of which a crash or an error leaves all or none, since they share a block. At once readable.
    ///
    /// # Errors
    /// As [`Writer::append`]; [`Error::TooLong`] also for records that together are longer than a block can be. On an error none
    /// of them is taken or counted as refused: it is for the caller to come again.
    pub fn append_together<'a>(&mut self, records: impl Iterator<Item = &'a [u8]> + Clone) -> Result<(), Error> {
        let length: usize = records.clone().map(|record| 4 + record.len()).sum();
        if length > MAX_RECORD {
            return Err(Error::TooLong { length });
        }
        self.flush()?;
        for record in records {
            block::push(&mut self.pending, record);
            self.count += 1;
        }
        let written = self.flush();
        if written.is_err() && self.count > 0 {
            self.pending.clear();
            self.block.clear();
            self.count = 0;
        }
        written
    }

    /// The sequence number that the next record gets. After a crash it says how many records are safe.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.shared.lock().next + u64::from(self.count)
    }

    /// Writes what is pending, so that readers see it, and syncs when [`Options::sync_every`] is over.
    ///
    /// # Errors
    /// When the disk refuses; what is pending is kept for the next try.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.count > 0 {
            self.write_block()?;
        }
        if self.dirty && self.synced.elapsed() >= self.options.sync_every { self.sync_file() } else { Ok(()) }
    }

    /// Writes what is pending and waits until the disk holds it.
    ///
    /// # Errors
    /// As [`Writer::flush`].
    pub fn sync(&mut self) -> Result<(), Error> {
        if self.count > 0 {
            self.write_block()?;
        }
        self.sync_file()
    }

    /// Deletes the oldest segments until so many bytes are free, or only the one being written is left: the bytes freed, and the
    /// records among them that not every reader had acknowledged, which are counted as deleted.
    pub fn give_up(&mut self, bytes: u64) -> (u64, u64) {
        let mut state = self.shared.lock();
        let (held, deleted) = (state.bytes(), state.stats.deleted);
        self.shared.make_room(&mut state, 0, held.saturating_sub(bytes));
        (held - state.bytes(), state.stats.deleted - deleted)
    }

    /// Bytes that [`Writer::give_up`] could free.
    #[must_use]
    pub fn spare(&self) -> u64 {
        let state = self.shared.lock();
        state.bytes() - state.segments.back().map_or(0, |last| last.bytes)
    }

    /// A reader by its name, at the first record that it has not acknowledged; a new one begins with the oldest.
    ///
    /// # Errors
    /// When the name cannot be part of a file name.
    pub fn reader(&self, name: &str) -> Result<Reader, Error> {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err(Error::Name(name.to_owned()));
        }
        let mut state = self.shared.lock();
        let place = state.acknowledged.get(name).copied().unwrap_or_else(|| state.oldest());
        state.acknowledged.insert(name.to_owned(), place);
        drop(state);
        Ok(Reader::new(self.shared.clone(), name.to_owned(), place))
    }

    /// Has `call` called after every flush that made records readable, from the writer's thread: to wake a reader.
    pub fn on_append(&mut self, call: impl Fn() + Send + Sync + 'static) {
        self.shared.lock().on_append = Some(Arc::new(call));
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    fn write_block(&mut self) -> Result<(), Error> {
        let next = self.shared.lock().next;
        if self.block.is_empty() {
            self.block = block::encode(next, self.count, &self.pending);
        }
        let length = self.block.len() as u64;
        let current = self.current(next, length)?;
        let offset = current.bytes;
        let path = segment::path(&self.shared.folder, current.first);
        let Some(file) = &self.file else { return Ok(()) };
        if let Err(source) = file.write_all_at(&self.block, offset) {
            // A part of the block may be there: back to where the last one ended, or on in a new segment.
            if file.set_len(offset).is_err() {
                self.file = None;
            }
            return Err(Error::disk("write", path)(source));
        }
        let mut state = self.shared.lock();
        state.next += u64::from(self.count);
        state.stats.appended += u64::from(self.count);
        let next = state.next;
        if let Some(current) = state.segments.back_mut() {
            (current.bytes, current.next) = (offset + length, next);
        }
        let call = state.on_append.clone();
        drop(state);
        if let Some(call) = call {
            call();
        }
        self.pending.clear();
        self.block.clear();
        self.count = 0;
        self.dirty = true;
        Ok(())
    }

    /// The segment that takes `length` bytes more and begins or goes on with `next`; makes a new one where none does.
    fn current(&mut self, next: u64, length: u64) -> Result<Segment, Error> {
        let mut state = self.shared.lock();
        let budget = self.options.budget.max(self.options.segment * 4);
        self.shared.make_room(&mut state, length, budget);
        let current = state.segments.back().copied();
        drop(state);
        if let (Some(current), Some(_)) = (current, &self.file)
            && (current.bytes + length <= self.options.segment || current.bytes == 0)
        {
            return Ok(current);
        }
        if self.file.is_some() {
            self.sync_file()?;
            self.file = None;
        }
        let path = segment::path(&self.shared.folder, next);
        // After a failed truncation the same number may exist with a part of a block in it.
        let file = self.shared.disk.open(&path, Mode::New).map_err(Error::disk("make", &path))?;
        let folder = self.shared.folder.as_path();
        self.shared.disk.sync_folder(folder).map_err(Error::disk("sync the folder", folder))?;
        self.file = Some(file);
        let made = Segment { first: next, next, bytes: 0 };
        let mut state = self.shared.lock();
        state.segments.retain(|segment| segment.first != next);
        state.segments.push_back(made);
        self.shared.delete_acknowledged(&mut state);
        Ok(made)
    }

    fn sync_file(&mut self) -> Result<(), Error> {
        self.synced = Instant::now();
        if let Some(file) = &self.file {
            file.sync().map_err(Error::disk("sync", self.shared.folder.as_path()))?;
        }
        self.dirty = false;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.sync() {
            let records = self.count;
            warn!(%error, records, "the spool could not write its last records");
        }
    }
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let lock = OpenOptions::new().create(true).write(true).truncate(false).open(&path).map_err(Error::disk("open", &path))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::InUse { path: folder.to_owned() }),
        Err(errno) => Err(Error::disk("lock", path)(errno.into())),
    }
}

/// Cuts the last segment back to its last valid block, and makes it durable.
fn trim(disk: &dyn Disk, folder: &Path, first: u64) -> Result<Segment, Error> {
    let path: PathBuf = segment::path(folder, first);
    let file = disk.open(&path, Mode::Change).map_err(Error::disk("open", &path))?;
    let extent = segment::measure(file.as_ref(), first).map_err(Error::disk("read", &path))?;
    let length = file.len().map_err(Error::disk("look at", &path))?;
    if length > extent.valid {
        file.set_len(extent.valid).map_err(Error::disk("cut", &path))?;
        info!(path = %path.display(), bytes = length - extent.valid, "torn end of the spool cut off");
    }
    // What a killed process left is not durable yet, and nobody else would make it so.
    file.sync().map_err(Error::disk("sync", &path))?;
    disk.sync_folder(folder).map_err(Error::disk("sync the folder", folder))?;
    Ok(Segment { first, next: extent.next, bytes: extent.valid })
}
