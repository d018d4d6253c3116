//! What writer and readers know together: which segments exist, how far they are readable, who has acknowledged what.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{error, warn};

use crate::disk::Disk;
use crate::segment;

/// A segment as readers may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) first: u64,
    /// Sequence number after its last readable record.
    pub(crate) next: u64,
    /// Readable bytes.
    pub(crate) bytes: u64,
}

/// Counters of a spool. Records unless said otherwise; since the spool was opened unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Waiting for the slowest reader, now.
    pub waiting: u64,
    /// Bytes on disk, now.
    pub bytes: u64,
    /// Segments on disk, now.
    pub segments: u64,
    /// Taken in.
    pub appended: u64,
    /// Acknowledged by the slowest reader.
    pub acknowledged: u64,
    /// Refused because the disk was full or failed.
    pub refused: u64,
    /// Deleted for the budget before the slowest reader had acknowledged them. Up to a window of them, under way when they
    /// were deleted, may have arrived all the same.
    pub deleted: u64,
    /// Unreadable, and skipped by a reader.
    pub corrupt: u64,
}

impl Stats {
    /// All that never reaches the collector.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.refused + self.deleted + self.corrupt
    }
}

pub(crate) struct State {
    pub(crate) segments: VecDeque<Segment>,
    /// Per reader, the sequence number after the last acknowledged one. A reader that never was here has none.
    pub(crate) acknowledged: BTreeMap<String, u64>,
    /// Sequence number that the next record gets.
    pub(crate) next: u64,
    pub(crate) stats: Stats,
    pub(crate) on_append: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl State {
    /// What every reader has acknowledged; without any reader, nothing.
    pub(crate) fn slowest(&self) -> u64 {
        self.acknowledged.values().min().copied().unwrap_or(0)
    }

    /// Sequence number of the oldest record on disk, or of the next one.
    pub(crate) fn oldest(&self) -> u64 {
        self.segments.front().map_or(self.next, |segment| segment.first)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: Arc<PathBuf>,
    state: Arc<Mutex<State>>,
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: PathBuf, state: State) -> Self {
        Self { disk, folder: Arc::new(folder), state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while holding it; a poisoned lock still holds sums that add up.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> Stats {
        let state = self.lock();
        let slowest = state.slowest().max(state.oldest());
        Stats { waiting: state.next.saturating_sub(slowest), bytes: state.bytes(), segments: state.segments.len() as u64, ..state.stats }
    }

    /// Deletes segments that every reader is done with. The last one stays, since it is being written.
    pub(crate) fn delete_acknowledged(&self, state: &mut State) {
        let slowest = state.slowest();
        while state.segments.len() > 1 && state.segments.front().is_some_and(|segment| segment.next <= slowest) {
            self.delete_oldest(state);
        }
    }

    /// Deletes the oldest segments until `wanted` more bytes fit into `budget`, and counts what was not acknowledged.
    pub(crate) fn make_room(&self, state: &mut State, wanted: u64, budget: u64) {
        while state.segments.len() > 1 && state.bytes() + wanted > budget {
            let slowest = state.slowest();
            let Some(oldest) = state.segments.front().copied() else { return };
            let lost = oldest.next.saturating_sub(slowest.max(oldest.first));
            self.delete_oldest(state);
            if lost > 0 {
                state.stats.deleted += lost;
                let (first, last) = (slowest.max(oldest.first), oldest.next - 1);
                error!(lost, first, last, folder = %self.folder.display(), "no room for the spool, oldest records deleted before the collector took them");
            }
        }
    }

    fn delete_oldest(&self, state: &mut State) {
        let Some(oldest) = state.segments.pop_front() else { return };
        let path = segment::path(&self.folder, oldest.first);
        if let Err(error) = self.disk.remove(&path) {
            warn!(path = %path.display(), %error, "cannot delete a segment of the spool");
        }
    }
}
