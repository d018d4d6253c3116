//! Writes what was captured to PCAP files, rotated by size and age, within a disk budget.
//!
//! ```text
//! worker ── Feed ──▶ blocks of frames ──▶ bounded ring ──▶ writer thread ──▶ files of (interface, worker)
//!              ◀──────── empty blocks ◀────────┘                              └─ budget: oldest file first
//! ```
//!
//! Promises: capture never waits for the disk: where a block finds no room, its frames are counted as dropped. A file is
//! a valid capture at any instant (up to a record that is just being written), also after a crash. Nothing is lost at a
//! rotation. A worker writes files of its own, so that frames stand in the order in which they came; a pair of hosts is
//! always the same worker's.
//!
//! Every frame has a position, the number of its file and an offset in it, before it is analysed ([`Feed::frame`]): Arkime's
//! sessions name it. The feeds lay the files out, the writer follows; where it cannot, the file ends, so that a position is
//! right or beyond the end, never wrong. Of compressed files the offset is that before compression: our own viewer finds it,
//! Arkime's does not open LZ4.
//!
//! Beside each file grows an index ([`packets::index`]): what each block has, and when a session ends ([`Sessions`]), where
//! its packets are. With it `tenrec pcap` and the viewer find packets without reading what they do not want. Indices of
//! earlier runs that are missing or were cut off are mended in the background ([`mending`]).
//!
//! Whoever keeps a list of the files elsewhere hears of them through [`Options::events`] ([`FileEvent`]): which there are at
//! the start, begun, ended, deleted. The channel is bounded and the writer does not wait for its reader; what does not fit
//! is kept here and passed on later.

mod block;
pub mod budget;
mod events;
mod feed;
pub mod file;
mod indices;
mod mending;
mod numbers;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::disk::Share;
use packets::{index, name};
use rtrb::{Consumer, Producer, RingBuffer};
use serde::Serialize;

use self::{block::Block, budget::Budget, file::Files, indices::Indices, mending::Mending, numbers::Numbers};

pub use self::{events::FileEvent, feed::Feed, indices::Sessions};

/// Blocks that wait for the disk, for each worker: 64 MiB, made only when they are needed. A disk that stalls for a second at
/// 500 Mbit/s costs nothing.
const QUEUED_BLOCKS: usize = 256;

/// How long the writer waits when there is nothing to write.
const IDLE: Duration = Duration::from_millis(5);

/// Where and how captures are written.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder. Files in it that bear our names count towards the budget, also those of an earlier run.
    pub folder: PathBuf,
    /// Names of the interfaces, in the order of a frame's `interface`.
    pub interfaces: Vec<String>,
    /// A file ends when it would grow beyond this many bytes on disk; 0: it does not.
    pub rotate_bytes: u64,
    /// A file ends when it is this old; zero: it does not.
    pub rotate_age: Duration,
    /// Whether files are LZ4 frames (`.pcap.lz4`).
    pub lz4: bool,
    /// Bytes that all files together may take; 0: no bound but the floor.
    pub budget_bytes: u64,
    /// Bytes of the file system that stay free, whatever the budget says.
    pub floor_bytes: u64,
    /// Bytes kept of each frame, as the files' headers tell; 0 for all.
    pub snap: u32,
    /// Where it is asked for room, and told how much the others leave.
    pub share: Arc<Share>,
    /// Who hears what becomes of the files.
    pub events: Vec<crossbeam_channel::Sender<FileEvent>>,
}

/// What the PCAP writer has done, and what it had to leave.
///
/// Invariant: frames that came = `written` + `dropped_queue` + `dropped_disk` + those still in memory.
#[derive(Debug, Default)]
pub struct Counters {
    frames_written: AtomicU64,
    bytes_written: AtomicU64,
    bytes_on_disk: AtomicU64,
    frames_dropped_queue: AtomicU64,
    frames_dropped_disk: AtomicU64,
    files_opened: AtomicU64,
    files_deleted: AtomicU64,
    files_closed: AtomicU64,
    sessions_unindexed: AtomicU64,
    disk_full: AtomicBool,
    /// The file begun last.
    newest: Mutex<(String, Arc<AtomicU64>)>,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Frames in files.
    pub frames_written: u64,
    /// Their bytes, headers included, before compression.
    pub bytes_written: u64,
    /// Bytes that all capture files take now.
    pub bytes_on_disk: u64,
    /// Frames dropped because the writer fell behind.
    pub frames_dropped_queue: u64,
    /// Frames dropped because they could not be written.
    pub frames_dropped_disk: u64,
    /// Files begun.
    pub files_opened: u64,
    /// Files deleted to stay within the budget.
    pub files_deleted: u64,
    /// Files on disk that are no longer written to.
    pub files_closed: u64,
    /// Sessions whose packets no index knows, in one file each: they are not found by the session's id.
    pub sessions_unindexed: u64,
    /// Whether the last block could not be written.
    pub disk_full: bool,
}

impl Counters {
    /// Name of the file that was begun last, and its bytes on disk.
    pub fn newest(&self) -> (String, u64) {
        let (name, bytes) = &*self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        (name.clone(), bytes.load(Ordering::Relaxed))
    }

    /// All of them.
    pub fn snapshot(&self) -> Snapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            frames_written: load(&self.frames_written),
            bytes_written: load(&self.bytes_written),
            bytes_on_disk: load(&self.bytes_on_disk),
            frames_dropped_queue: load(&self.frames_dropped_queue),
            frames_dropped_disk: load(&self.frames_dropped_disk),
            files_opened: load(&self.files_opened),
            files_deleted: load(&self.files_deleted),
            files_closed: load(&self.files_closed),
            sessions_unindexed: load(&self.sessions_unindexed),
            disk_full: self.disk_full.load(Ordering::Relaxed),
        }
    }
}

/// The writer thread.
pub struct Writer {
    thread: JoinHandle<()>,
    sessions: Sessions,
    counters: Arc<Counters>,
}

/// Starts the writer with one feed a worker. Creates the folder.
///
/// # Errors
/// If the folder cannot be made or read: with its path and what to do.
pub fn start(options: Options, workers: usize) -> io::Result<(Vec<Feed>, Writer)> {
    let counters = Arc::new(Counters::default());
    let budget = Budget::open(&options.folder, name::is_capture, index::SUFFIX, options.budget_bytes, options.floor_bytes)?;
    let numbers = Arc::new(Numbers::open(&options.folder)?);
    let (mut feeds, mut queues, mut told) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..workers.max(1) {
        let (full, filled) = RingBuffer::new(QUEUED_BLOCKS);
        let (emptied, empty) = RingBuffer::new(QUEUED_BLOCKS);
        // Blocks that wait, and one being filled for each interface.
        let unborn = QUEUED_BLOCKS + options.interfaces.len();
        let feed = Feed::new(&options, (full, empty), unborn, Arc::clone(&numbers), Arc::clone(&counters));
        told.push(feed.told());
        feeds.push(feed);
        queues.push(Queue { filled, emptied });
    }
    let (indices, sessions) = Indices::new(Arc::clone(&counters));
    mending::remove_orphans(&options.folder)?;
    let mending = mending::start(&budget);
    let files = Files::new(options, budget, numbers, told, indices, Arc::clone(&counters));
    let thread = thread::Builder::new().name("pcap".to_owned()).spawn(move || write(queues, files, mending))?;
    Ok((feeds, Writer { thread, sessions, counters }))
}

impl Writer {
    /// The counters, which outlive the writer.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Where sessions go when they end.
    pub fn sessions(&self) -> Sessions {
        self.sessions.clone()
    }

    /// Waits until everything is on disk. Drop the feeds first, and what [`Writer::sessions`] gave: this ends when they have.
    pub fn finish(self) {
        drop(self.sessions);
        if self.thread.join().is_err() {
            tracing::error!("the PCAP writer ended unexpectedly: see the message above");
        }
    }
}

struct Queue {
    filled: Consumer<Block>,
    emptied: Producer<Vec<u8>>,
}

fn write(mut queues: Vec<Queue>, mut files: Files, mending: Option<Mending>) {
    crate::run::ordinary_priority();
    loop {
        let mut idle = true;
        // Asked before the queues are emptied: what an ended worker left is then seen once more.
        let ended = queues.iter().all(|queue| queue.filled.is_abandoned());
        for (worker, queue) in queues.iter_mut().enumerate() {
            // One block each in turn: no worker starves another.
            if let Ok(block) = queue.filled.pop() {
                idle = false;
                files.write(worker, &block);
                let buffer = block.into_buffer();
                if buffer.capacity() > 0 {
                    // Full only if the worker has ended: then nobody needs it.
                    let _ = queue.emptied.push(buffer);
                }
            }
        }
        let sessions_may_come = files.tend();
        if let Some(mending) = &mending {
            mending.grown().for_each(|(path, bytes)| files.index_grown(&path, bytes));
        }
        if idle {
            if ended && !sessions_may_come {
                break;
            }
            thread::park_timeout(IDLE);
        }
    }
    files.finish();
}

#[cfg(test)]
mod tests;
