//! The reading side: batches from the first record that is not acknowledged, and again after a rewind.

use std::time::{Duration, Instant};

use tracing::{error, warn};

use crate::cursor::Cursor;
use crate::disk::{Mode, Opened};
use crate::segment::{self, Found};
use crate::shared::{Segment, Shared, Stats};
use crate::{Error, block};

/// Longest time for which acknowledgements are not durable, while they come.
const SAVE_EVERY: Duration = Duration::from_millis(500);

/// Consecutive records, copied out of the spool.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
    /// End of each record in `bytes`, and its sequence number.
    ends: Vec<(usize, u64)>,
}

impl Batch {
    /// The records, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|at| {
            let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(end, _)| *end);
            let end = self.ends.get(at).map_or(0, |(end, _)| *end);
            self.bytes.get(start..end).unwrap_or_default()
        })
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The sequence number to acknowledge once the first `count` records are taken; `None` for more than there are, or none.
    #[must_use]
    pub fn sequence(&self, count: usize) -> Option<u64> {
        self.ends.get(count.checked_sub(1)?).map(|(_, sequence)| *sequence)
    }

    fn push(&mut self, record: &[u8], sequence: u64) {
        self.bytes.extend_from_slice(record);
        self.ends.push((self.bytes.len(), sequence));
    }
}

/// One reader of a spool. Several of different names are independent.
pub struct Reader {
    shared: Shared,
    name: String,
    /// Sequence number of the next record to give out.
    position: u64,
    open: Option<Open>,
    /// Opened with the first acknowledgement.
    cursor: Option<Cursor>,
    saved: Instant,
    unsaved: bool,
}

/// The segment being read.
struct Open {
    first: u64,
    file: Box<dyn Opened>,
    offset: u64,
    /// Records of the block being read, and where in it.
    records: Vec<u8>,
    at: usize,
    /// Sequence numbers of the record at `at` and after the block.
    sequence: u64,
    next: u64,
}

impl Reader {
    pub(crate) fn new(shared: Shared, name: String, position: u64) -> Self {
        Self { shared, name, position, open: None, cursor: None, saved: Instant::now(), unsaved: false }
    }

    /// The next records: at most `records` of them, and no further one once `bytes` are reached. Empty when there are none yet.
    ///
    /// # Errors
    /// When the disk fails. Corrupt blocks are no error: they are skipped and counted.
    pub fn read(&mut self, records: usize, bytes: usize) -> Result<Batch, Error> {
        let mut batch = Batch::default();
        while batch.len() < records && batch.bytes.len() < bytes {
            if let Some(open) = &mut self.open {
                let rest = open.records.get(open.at..).unwrap_or_default();
                if let Some((record, _)) = block::split(rest) {
                    if open.sequence >= self.position {
                        batch.push(record, open.sequence);
                        self.position = open.sequence + 1;
                    }
                    open.at += 4 + record.len();
                    open.sequence += 1;
                    continue;
                }
            }
            if !self.advance()? {
                break;
            }
        }
        Ok(batch)
    }

    /// Goes back to the first record that is not acknowledged, to give it out again.
    pub fn rewind(&mut self) {
        self.position = self.acknowledged();
        self.open = None;
    }

    /// Records up to `sequence` are taken by the other side: they are never given out again.
    ///
    /// # Errors
    /// When the cursor cannot be written. The acknowledgement counts all the same until the process ends.
    pub fn acknowledge(&mut self, sequence: u64) -> Result<(), Error> {
        let mut state = self.shared.lock();
        let before = state.slowest().max(state.oldest());
        let end = state.next;
        if let Some(place) = state.acknowledged.get_mut(&self.name) {
            *place = (sequence + 1).min(end).max(*place);
        }
        state.stats.acknowledged += state.slowest().saturating_sub(before);
        self.shared.delete_acknowledged(&mut state);
        drop(state);
        self.unsaved = true;
        self.write()?;
        if self.saved.elapsed() >= SAVE_EVERY { self.save() } else { Ok(()) }
    }

    /// Makes durable what was acknowledged.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&mut self) -> Result<(), Error> {
        if self.unsaved {
            self.saved = Instant::now();
            // Once more: the last write may have failed.
            self.write()?;
            if let Some(cursor) = &mut self.cursor {
                cursor.sync()?;
            }
            self.unsaved = false;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error> {
        let place = self.acknowledged();
        let cursor = match &mut self.cursor {
            Some(cursor) => cursor,
            none => none.insert(Cursor::open(self.shared.disk.as_ref(), &self.shared.folder, &self.name)?),
        };
        cursor.write(place)
    }

    /// The counters of the spool.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    fn acknowledged(&self) -> u64 {
        self.shared.lock().acknowledged.get(&self.name).copied().unwrap_or(0)
    }

    /// Makes the next block the current one. `false` when there is none yet.
    fn advance(&mut self) -> Result<bool, Error> {
        loop {
            let Some((segment, following)) = self.segment() else { return Ok(false) };
            let path = segment::path(&self.shared.folder, segment.first);
            let open = match &mut self.open {
                Some(open) if open.first == segment.first => open,
                place => {
                    let file = self.shared.disk.open(&path, Mode::Read).map_err(Error::disk("open", &path))?;
                    place.insert(Open {
                        first: segment.first,
                        file,
                        offset: 0,
                        records: Vec::new(),
                        at: 0,
                        sequence: 0,
                        next: segment.first,
                    })
                }
            };
            if open.offset >= segment.bytes {
                let Some(following) = following else { return Ok(false) };
                // Records that the segment should have and does not: the end of it is corrupt or was never written.
                skip(&self.shared, &mut self.position, following);
                self.open = None;
                continue;
            }
            match segment::read(open.file.as_ref(), open.offset, segment.bytes).map_err(Error::disk("read", &path))? {
                Found::Block { header, count, payload, next } => {
                    open.offset = next;
                    open.next = header.sequence + u64::from(count);
                    if open.next <= self.position {
                        continue;
                    }
                    skip(&self.shared, &mut self.position, header.sequence);
                    match block::unpack(&payload) {
                        Some(records) => (open.records, open.at, open.sequence) = (records, 0, header.sequence),
                        None => skip(&self.shared, &mut self.position, open.next),
                    }
                    return Ok(true);
                }
                Found::Corrupt => {
                    let offset = open.offset;
                    warn!(path = %path.display(), offset, "corrupt block in the spool, skipped");
                    let resumed =
                        segment::resume(open.file.as_ref(), offset, segment.bytes, open.next).map_err(Error::disk("read", &path))?;
                    open.offset = resumed.unwrap_or(segment.bytes);
                    if resumed.is_none() {
                        skip(&self.shared, &mut self.position, segment.next);
                    }
                }
            }
        }
    }

    /// The segment with the next record, and where the one after it begins. Steps over what was deleted, which the writer has counted.
    fn segment(&mut self) -> Option<(Segment, Option<u64>)> {
        let state = self.shared.lock();
        self.position = self.position.max(state.segments.front()?.first);
        let at = state.segments.iter().rposition(|segment| segment.first <= self.position)?;
        let segment = state.segments.get(at).copied()?;
        Some((segment, state.segments.get(at + 1).map(|following| following.first)))
    }
}

/// Moves `position` forward to `to`; what is stepped over is lost.
fn skip(shared: &Shared, position: &mut u64, to: u64) {
    let lost = to.saturating_sub(*position);
    if lost > 0 {
        error!(lost, first = *position, "records of the spool are unreadable and lost");
        shared.lock().stats.corrupt += lost;
        *position = to;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Err(error) = self.save() {
            warn!(%error, "the spool's cursor could not be written: some records will be sent twice");
        }
    }
}
