//! The indices beside the files ([`packets::index`]): a block's entry behind the block, sessions when they end.
//!
//! Sessions end a minute and more after their last packet, mostly when their file is no longer written to, so indices stay
//! open for a while, and are opened again after that. An index that cannot be written costs nobody a packet: what it lacks
//! is found by reading, and what is lost is counted.

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use analyze::log::Session;
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError};
use packets::index::{Indexer, Place, SessionPlaces, Writer, path_of, session_hash};

use super::Counters;

/// Sessions that wait to be written.
const WAITING: usize = 16_384;
/// Sessions that are written at once.
const BATCH: usize = 1024;
/// Indices that stay open when their file has ended.
const KEPT_OPEN: usize = 16;

/// Where sessions go when they end: their packets are found by the session's id from then on.
#[derive(Clone, Debug)]
pub struct Sessions {
    sender: Sender<(u32, SessionPlaces)>,
    counters: Arc<Counters>,
}

impl Sessions {
    /// Notes where the packets of a session are. Does not wait; what finds no room is counted.
    pub fn save(&self, session: &Session) {
        let mut files: Vec<(u32, Vec<u64>)> = Vec::new();
        for place in session.places().iter().filter(|place| place.position.file > 0) {
            let offset = place.position.offset;
            match files.iter_mut().rev().find(|(file, _)| *file == place.position.file) {
                // A tunnel may have two packets of a session in one frame.
                Some((_, offsets)) if offsets.last() == Some(&offset) => {}
                Some((_, offsets)) => offsets.push(offset),
                None => files.push((place.position.file, vec![offset])),
            }
        }
        if files.is_empty() {
            return;
        }
        let id = session_hash(&session.id());
        let root = session.root().map(session_hash).filter(|root| *root != id);
        let numbers: Vec<_> = files.iter().map(|(file, _)| *file).collect();
        for (file, mut offsets) in files {
            // Packets come in the order of the file, but for those of two interfaces.
            offsets.sort_unstable();
            let others = numbers.iter().copied().filter(|other| *other != file).collect();
            if let Err(TrySendError::Full(_)) = self.sender.try_send((file, SessionPlaces { id, root, others, offsets })) {
                self.counters.sessions_unindexed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The indices of the files of this run.
pub(super) struct Indices {
    indexer: Indexer,
    /// Of files that are written to, and of those that ended last.
    open: HashMap<u32, Writer>,
    ended: VecDeque<u32>,
    paths: HashMap<u32, PathBuf>,
    sessions: Receiver<(u32, SessionPlaces)>,
    counters: Arc<Counters>,
    entry: Vec<u8>,
    failing: bool,
}

impl Indices {
    pub(super) fn new(counters: Arc<Counters>) -> (Self, Sessions) {
        let (sender, sessions) = crossbeam_channel::bounded(WAITING);
        let indices = Self {
            indexer: Indexer::default(),
            open: HashMap::new(),
            ended: VecDeque::new(),
            paths: HashMap::new(),
            sessions,
            counters: Arc::clone(&counters),
            entry: Vec::new(),
            failing: false,
        };
        (indices, Sessions { sender, counters })
    }

    /// Begins the index of a file; returns its bytes.
    pub(super) fn begin(&mut self, number: u32, capture: &Path) -> u64 {
        self.paths.insert(number, capture.to_owned());
        match Writer::create(&path_of(capture)) {
            Ok(writer) => {
                let bytes = writer.bytes();
                self.open.insert(number, writer);
                bytes
            }
            Err(error) => {
                self.failed(capture, &error);
                0
            }
        }
    }

    /// Says what is in a block that was written; returns the bytes that it takes.
    pub(super) fn block(&mut self, number: u32, place: Place, records: &[u8]) -> u64 {
        self.entry.clear();
        if self.indexer.block(place, records, &mut self.entry).is_none() {
            return 0;
        }
        self.append(number)
    }

    /// A file is written to no more.
    pub(super) fn end(&mut self, number: u32) {
        self.ended.push_back(number);
        if self.ended.len() > KEPT_OPEN
            && let Some(oldest) = self.ended.pop_front()
        {
            self.open.remove(&oldest);
        }
    }

    /// A file is gone, and its index with it.
    pub(super) fn gone(&mut self, number: u32) {
        self.open.remove(&number);
        self.paths.remove(&number);
    }

    /// Writes sessions that have ended: for each file the bytes that they take. Whether more may come is the second.
    pub(super) fn take_sessions(&mut self) -> (Vec<(u32, PathBuf, u64)>, bool) {
        let mut by_file: HashMap<u32, Vec<SessionPlaces>> = HashMap::new();
        let mut may_come = true;
        for _ in 0..BATCH {
            match self.sessions.try_recv() {
                Ok((file, session)) => by_file.entry(file).or_default().push(session),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    may_come = false;
                    break;
                }
            }
        }
        let mut grown = Vec::new();
        for (number, sessions) in by_file {
            // Of a file that is gone there is nothing to be found.
            let Some(path) = self.paths.get(&number).cloned() else { continue };
            self.entry.clear();
            SessionPlaces::entries(&sessions, &mut self.entry);
            let bytes = self.append(number);
            if bytes == 0 {
                self.counters.sessions_unindexed.fetch_add(sessions.len() as u64, Ordering::Relaxed);
            }
            grown.push((number, path, bytes));
        }
        (grown, may_come)
    }

    /// Appends what is in `entry`; returns its bytes, or 0 if it was not written.
    fn append(&mut self, number: u32) -> u64 {
        let Some(path) = self.paths.get(&number) else { return 0 };
        let outcome = match self.open.get_mut(&number) {
            Some(writer) => writer.append(&self.entry),
            None => Writer::open(&path_of(path)).and_then(|mut writer| writer.append(&self.entry)),
        };
        match outcome {
            Ok(()) => {
                self.failing = false;
                self.entry.len() as u64
            }
            Err(error) => {
                let path = path.clone();
                self.failed(&path, &error);
                0
            }
        }
    }

    fn failed(&mut self, capture: &Path, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(file = %capture.display(), %error, "the index of a capture cannot be written: packets are found by reading the file");
        }
    }
}
