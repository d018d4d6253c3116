//! The queue that all lanes draw from, and how far it is done: the cursor follows the oldest document without an answer,
//! whichever lane has it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spool::{Batch, Reader};
use tokio::sync::Notify;
use tracing::{error, warn};

/// Documents in one request at most, however small they are: each costs the answer a line.
const MAX_DOCUMENTS: usize = 10_000;

/// Shared by all lanes.
#[derive(Clone)]
pub(crate) struct Work {
    shared: Arc<Mutex<Shared>>,
    wake: Arc<Notify>,
}

struct Shared {
    reader: Reader,
    /// Requests that may be under way at once.
    most: usize,
    /// Batches that are read and not done, oldest first.
    open: VecDeque<Open>,
    next: u64,
    failing: bool,
}

struct Open {
    ticket: u64,
    batch: Arc<Batch>,
    /// Documents at its front that are done.
    done: usize,
    /// Whether a lane has it.
    held: bool,
}

/// A batch in the hands of a lane. [`Work::give_back`] what is not done.
pub(crate) struct Job {
    pub(crate) ticket: u64,
    pub(crate) batch: Arc<Batch>,
    /// Documents at its front that were done before.
    pub(crate) done: usize,
}

impl Work {
    pub(crate) fn new(reader: Reader, most: usize) -> Self {
        let shared = Shared { reader, most, open: VecDeque::new(), next: 0, failing: false };
        Self { shared: Arc::new(Mutex::new(shared)), wake: Arc::default() }
    }

    pub(crate) fn waker(&self) -> impl Fn() + Send + Sync + 'static {
        let wake = Arc::clone(&self.wake);
        move || {
            wake.notify_one();
        }
    }

    /// All lanes look again.
    pub(crate) fn wake(&self) {
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    /// Ready when there may be something to take.
    pub(crate) async fn changed(&self) {
        self.wake.notified().await;
    }

    /// What a broken lane has given back, else the next batch of about `bytes`.
    pub(crate) fn take(&self, bytes: usize) -> Option<Job> {
        let mut shared = self.lock();
        if let Some(open) = shared.open.iter_mut().find(|open| !open.held) {
            open.held = true;
            return Some(Job { ticket: open.ticket, batch: Arc::clone(&open.batch), done: open.done });
        }
        if shared.open.len() >= shared.most {
            return None;
        }
        let batch = match shared.reader.read(MAX_DOCUMENTS, bytes) {
            Ok(batch) => {
                shared.failing = false;
                Arc::new(batch)
            }
            Err(error) => {
                if !shared.failing {
                    shared.failing = true;
                    error!(%error, cause = std::error::Error::source(&error), "the spool of sessions cannot be read: check the disk of spool.folder");
                }
                return None;
            }
        };
        if batch.is_empty() {
            return None;
        }
        let ticket = shared.next;
        shared.next += 1;
        shared.open.push_back(Open { ticket, batch: Arc::clone(&batch), done: 0, held: true });
        // Another lane may find more.
        self.wake.notify_one();
        Some(Job { ticket, batch, done: 0 })
    }

    /// The first `done` documents of a job are answered for.
    pub(crate) fn settle(&self, job: &Job, done: usize) {
        let mut shared = self.lock();
        let Some(open) = shared.open.iter_mut().find(|open| open.ticket == job.ticket) else { return };
        open.done = done.max(open.done);
        let mut over = false;
        while let Some(front) = shared.open.front() {
            let (sequence, complete) = (front.batch.sequence(front.done), front.done >= front.batch.len());
            if let Some(sequence) = sequence
                && let Err(error) = shared.reader.acknowledge(sequence)
            {
                warn!(%error, "the spool's cursor could not be written: a restart now would send some sessions twice");
            }
            if !complete {
                break;
            }
            shared.open.pop_front();
            over = true;
        }
        drop(shared);
        if over {
            self.wake.notify_one();
        }
    }

    /// A job that its lane could not finish: the next free lane takes it.
    pub(crate) fn give_back(&self, job: &Job) {
        if let Some(open) = self.lock().open.iter_mut().find(|open| open.ticket == job.ticket) {
            open.held = false;
        }
        self.wake.notify_one();
    }

    /// Whether nothing is left, nor under way.
    pub(crate) fn is_empty(&self) -> bool {
        let shared = self.lock();
        shared.open.is_empty() && shared.reader.stats().waiting == 0
    }

    /// Writes the cursor.
    pub(crate) fn save(&self) {
        if let Err(error) = self.lock().reader.save() {
            warn!(%error, "the spool's cursor could not be written: a restart now would send some sessions twice");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nobody panics while holding it.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use spool::{Options, Writer};

    use super::*;

    fn spool(folder: &std::path::Path, records: usize) -> Writer {
        let mut spool = Writer::open(folder, Options::with_budget(64 << 20)).unwrap();
        for number in 0..records {
            spool.append(format!("{number:08}").as_bytes()).unwrap();
        }
        spool.flush().unwrap();
        spool
    }

    #[test]
    fn the_cursor_waits_for_the_oldest_document_without_an_answer() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path(), 10);
        let work = Work::new(spool.reader("r").unwrap(), usize::MAX);
        let (first, second) = (work.take(40).unwrap(), work.take(40).unwrap());
        assert_eq!((first.batch.len(), second.batch.len()), (5, 5));
        work.settle(&second, 5);
        assert_eq!(spool.stats().waiting, 10);
        work.settle(&first, 2);
        assert_eq!(spool.stats().waiting, 8);
        work.settle(&first, 5);
        assert!(spool.stats().waiting == 0 && work.is_empty());
    }

    #[test]
    fn what_a_broken_lane_gives_back_goes_to_the_next_and_only_the_rest_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path(), 10);
        let work = Work::new(spool.reader("r").unwrap(), 1);
        let job = work.take(40).unwrap();
        assert!(work.take(40).is_none(), "one at a time");
        work.settle(&job, 3);
        work.give_back(&job);
        let again = work.take(40).unwrap();
        assert_eq!((again.ticket, again.done), (job.ticket, 3));
    }
}
