//! Deals windows of records to the connections, and moves the spool's cursor behind what they had acknowledged.
//!
//! ```text
//! spool  …  cursor │ window 1 │ window 2 │ window 3 │ …         1: at host a, 2: taken by host b, 3: put back, next to go
//! ```
//! A window belongs to one connection until it is acknowledged or put back. The cursor stands before the oldest record that
//! nobody has taken, so windows that were taken out of turn come once more after a crash: at most [`Dealer::most`] of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use spool::{Batch, Reader};
use tokio::sync::Notify;
use tracing::warn;

/// Bytes of events in one window: what a collector must hold before it can acknowledge.
const WINDOW_BYTES: usize = 4 << 20;

/// Windows that one connection may wait for. Two keep the collector busy while the acknowledgement of the first travels.
pub const PIPELINE: usize = 2;

/// Consecutive records on their way.
pub(crate) struct Window {
    /// Its place in the order in which windows were made.
    number: u64,
    batch: Batch,
    /// Records of it that were acknowledged.
    taken: usize,
}

impl Window {
    /// The records that are still to be acknowledged.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.batch.iter().skip(self.taken)
    }

    /// How many those are.
    pub(crate) fn len(&self) -> u32 {
        // At most 2048: the settings bound it.
        u32::try_from(self.batch.len().saturating_sub(self.taken)).unwrap_or(u32::MAX)
    }
}

/// The one place that windows come from.
pub(crate) struct Dealer {
    records: usize,
    most: usize,
    deck: Mutex<Deck>,
    wake: Notify,
}

struct Deck {
    reader: Reader,
    made: u64,
    /// Windows that a connection could not deliver, oldest first.
    again: VecDeque<Window>,
    /// Windows that the cursor has not passed; with the last sequence number, once all of it is taken.
    open: BTreeMap<u64, Option<u64>>,
}

impl Dealer {
    /// Deals from `reader`, `records` at most in a window, to at most `connections` at a time.
    pub(crate) fn new(mut reader: Reader, records: usize, connections: usize) -> Self {
        reader.rewind();
        let deck = Deck { reader, made: 0, again: VecDeque::new(), open: BTreeMap::new() };
        // A slow collector holds back the cursor; the others may be ahead of it by as much again.
        Self { records, most: connections * PIPELINE * 2, deck: Mutex::new(deck), wake: Notify::new() }
    }

    /// The next window for a connection, if there is one now.
    pub(crate) fn deal(&self) -> Result<Option<Window>, spool::Error> {
        let mut deck = self.deck();
        if let Some(window) = deck.again.pop_front() {
            return Ok(Some(window));
        }
        if deck.open.len() >= self.most {
            return Ok(None);
        }
        let batch = deck.reader.read(self.records, WINDOW_BYTES)?;
        if batch.is_empty() {
            return Ok(None);
        }
        let number = deck.made;
        deck.made += 1;
        deck.open.insert(number, None);
        Ok(Some(Window { number, batch, taken: 0 }))
    }

    /// The next `count` records of a window are taken by the collector.
    pub(crate) fn taken(&self, window: &mut Window, count: u32) {
        window.taken += count as usize;
        let mut deck = self.deck();
        let is_oldest = deck.open.first_key_value().is_some_and(|(number, _)| *number == window.number);
        let mut reached = window.batch.sequence(window.taken);
        if window.len() == 0 {
            let full = deck.open.len() >= self.most;
            deck.open.insert(window.number, reached);
            while let Some(entry) = deck.open.first_entry()
                && let Some(last) = *entry.get()
            {
                reached = Some(last);
                entry.remove();
            }
            // There is room for more, or nothing left that a stopping lane has to wait for.
            if full || deck.open.is_empty() {
                self.wake.notify_waiters();
            }
        }
        if is_oldest
            && let Some(sequence) = reached
            && let Err(error) = deck.reader.acknowledge(sequence)
        {
            cursor_not_written(&error);
        }
    }

    /// A connection gives back what it could not deliver.
    pub(crate) fn put_back(&self, windows: impl IntoIterator<Item = Window>) {
        let mut deck = self.deck();
        deck.again.extend(windows);
        deck.again.make_contiguous().sort_unstable_by_key(|window| window.number);
        drop(deck);
        self.wake.notify_waiters();
    }

    /// Whether everything that was read has been taken, so that a connection that has nothing in hand may end.
    pub(crate) fn is_done(&self) -> bool {
        let deck = self.deck();
        deck.open.is_empty() && deck.again.is_empty()
    }

    /// Ready when there may be a window, although there was none a moment ago. To be called before [`Dealer::deal`].
    pub(crate) fn news(&self) -> tokio::sync::futures::Notified<'_> {
        self.wake.notified()
    }

    /// New records are in the spool.
    pub(crate) fn tell(&self) {
        self.wake.notify_waiters();
    }

    /// Writes the cursor now.
    pub(crate) fn save(&self) {
        if let Err(error) = self.deck().reader.save() {
            cursor_not_written(&error);
        }
    }

    fn deck(&self) -> MutexGuard<'_, Deck> {
        // Nobody panics while holding it; a poisoned one still deals every record.
        self.deck.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cursor_not_written(error: &spool::Error) {
    warn!(%error, "the spool's cursor could not be written: a restart now would send some records twice");
}

#[cfg(test)]
mod tests {
    use spool::{Options, Writer};

    use super::*;

    fn spool(records: u32) -> (tempfile::TempDir, Writer) {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path(), Options::with_budget(64 << 20)).unwrap();
        for record in 0..records {
            writer.append(&record.to_be_bytes()).unwrap();
        }
        writer.flush().unwrap();
        (folder, writer)
    }

    fn records(window: &Window) -> Vec<u32> {
        window.iter().map(|record| u32::from_be_bytes(record.try_into().unwrap())).collect()
    }

    #[test]
    fn the_cursor_waits_for_the_oldest_window() {
        let (_folder, writer) = spool(30);
        let dealer = Dealer::new(writer.reader("r").unwrap(), 10, 2);
        let (mut first, mut second) = (dealer.deal().unwrap().unwrap(), dealer.deal().unwrap().unwrap());
        dealer.taken(&mut second, 10);
        assert_eq!(writer.stats().acknowledged, 0);
        dealer.taken(&mut first, 4);
        assert_eq!(writer.stats().acknowledged, 4);
        dealer.taken(&mut first, 6);
        assert_eq!(writer.stats().acknowledged, 20);
    }

    #[test]
    fn what_is_put_back_goes_first_and_without_what_was_taken() {
        let (_folder, writer) = spool(30);
        let dealer = Dealer::new(writer.reader("r").unwrap(), 10, 2);
        let (mut first, second) = (dealer.deal().unwrap().unwrap(), dealer.deal().unwrap().unwrap());
        dealer.taken(&mut first, 7);
        dealer.put_back([second, first]);
        assert_eq!(records(&dealer.deal().unwrap().unwrap()), [7, 8, 9]);
        assert_eq!(records(&dealer.deal().unwrap().unwrap()), (10..20).collect::<Vec<_>>());
        assert_eq!(records(&dealer.deal().unwrap().unwrap()), (20..30).collect::<Vec<_>>());
        assert!(!dealer.is_done());
    }

    #[test]
    fn a_stuck_window_bounds_how_far_the_others_run_ahead() {
        let (_folder, writer) = spool(1000);
        let dealer = Dealer::new(writer.reader("r").unwrap(), 10, 2);
        let _stuck = dealer.deal().unwrap().unwrap();
        let mut ahead = 0;
        while let Some(mut window) = dealer.deal().unwrap() {
            dealer.taken(&mut window, 10);
            ahead += 1;
        }
        assert_eq!(ahead, 7);
    }
}
