//! Packets that were asked for, in the order of their times, from all files at once.
//!
//! A file is looked into when the others have come to the time of its first packet, and is left when it has no more to give:
//! what is in memory is a few blocks for each file that overlaps the time at hand. Within a file packets come as they were
//! captured, which between the queues of a card may be out of order by a moment.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use analyze::Time;

use crate::{
    capture::{At, Capture, Opened, Records, Stretch},
    filter::Filter,
    index::{Entry, Span},
    plan::{self, Plan},
    record::Record,
};

/// How far out of order times may be where no index tells them, in nanoseconds: behind it a file is not read on.
const SLACK: i64 = 60_000_000_000;

/// What is asked for.
#[derive(Default)]
pub struct Question {
    /// Which packets; nothing for all.
    pub filter: Option<Filter>,
    /// From when on.
    pub from: Option<Time>,
    /// Until when, inclusive.
    pub to: Option<Time>,
}

impl Question {
    fn is_in_time(&self, at: Time) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at <= to)
    }

    fn overlaps(&self, span: Span) -> bool {
        self.from.is_none_or(|from| span.last >= from) && self.to.is_none_or(|to| span.first <= to)
    }

    fn wants(&self, entry: &Entry<'_>) -> bool {
        let Entry::Block { span, .. } = entry else { return false };
        self.overlaps(*span) && self.filter.as_ref().is_none_or(|filter| filter.may_match(|key| entry.may_have(key)))
    }

    /// Whether a file can have something, by its name and when it was written to last.
    pub(crate) fn may_be_in(&self, capture: &Capture) -> bool {
        // A file whose frames are from after its last change was not written as they came: its time says nothing.
        let last = capture.modified.filter(|modified| *modified >= capture.name.first);
        let last = last.map_or(i64::MAX, |modified| modified.0.saturating_add(SLACK));
        self.overlaps(Span { first: capture.name.first, last: Time(last) })
    }

    fn takes(&self, record: &Record<'_>) -> bool {
        self.is_in_time(record.at) && self.filter.as_ref().is_none_or(|filter| filter.matches(record.data))
    }
}

/// A packet that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The packet.
    pub record: Record<'a>,
    /// The file it is in.
    pub capture: &'a Capture,
    /// Where its record begins, uncompressed.
    pub offset: u64,
}

/// What a search has looked at so far.
#[derive(Debug, Default)]
pub struct Looked {
    /// Files, by their index at least.
    pub files: u64,
    /// Of these, files that packets were read from.
    pub files_read: u64,
    /// Bytes of indices.
    pub index_bytes: u64,
    /// Bytes of packets, uncompressed.
    pub bytes: u64,
    /// Files without a usable index, which were read in full.
    pub without_index: Vec<PathBuf>,
    /// Files that could not be read.
    pub failed: Vec<(PathBuf, io::Error)>,
}

/// A search under way.
pub struct Search {
    question: Question,
    /// Files that were not looked into yet, by the time of their first packet.
    pending: VecDeque<(Capture, Option<Vec<u64>>)>,
    open: Vec<Source>,
    /// The next packet of each open file.
    next: BinaryHeap<Reverse<(Time, usize)>>,
    /// The file whose packet was handed out last.
    last: Option<usize>,
    looked: Looked,
    stop: Arc<AtomicBool>,
}

/// One file.
struct Source {
    capture: Capture,
    opened: Opened,
    stretches: VecDeque<Stretch>,
    records: Option<Records>,
    /// Offsets that are wanted alone.
    offsets: Option<VecDeque<u64>>,
    at: Option<At>,
    bytes: u64,
}

impl Search {
    /// Of captures that are sorted by the times of their first packets: of each all that matches, or the records at some
    /// ascending offsets.
    pub(crate) fn new(question: Question, captures: impl IntoIterator<Item = (Capture, Option<Vec<u64>>)>) -> Self {
        Self {
            question,
            pending: captures.into_iter().collect(),
            open: Vec::new(),
            next: BinaryHeap::new(),
            last: None,
            looked: Looked::default(),
            stop: Arc::default(),
        }
    }

    /// What ends the search when it is set: nobody waits for it any more.
    #[must_use]
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// The next packet. A file that cannot be read is noted and left out.
    pub fn packet(&mut self) -> Option<Found<'_>> {
        if let Some(source) = self.last.take() {
            self.advance(source);
        }
        while let Some((capture, _)) = self.pending.front()
            && !self.stop.load(Ordering::Relaxed)
            && self.next.peek().is_none_or(|Reverse((time, _))| capture.name.first <= *time)
        {
            let (capture, offsets) = self.pending.pop_front()?;
            self.look_into(capture, offsets);
        }
        let Reverse((_, source)) = self.next.pop()?;
        self.last = Some(source);
        let source = self.open.get(source)?;
        let at = source.at?;
        Some(Found { record: source.records.as_ref()?.record(at)?, capture: &source.capture, offset: at.offset })
    }

    /// What was looked at so far.
    #[must_use]
    pub const fn looked(&self) -> &Looked {
        &self.looked
    }

    /// Files that are still to be looked into.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    fn look_into(&mut self, capture: Capture, offsets: Option<Vec<u64>>) {
        self.looked.files += 1;
        let plan = match &offsets {
            Some(offsets) => plan::of_offsets(&capture, offsets),
            None => plan::of(&capture, |entry| self.question.wants(entry), |_, _| true),
        };
        match plan.and_then(|plan| self.open(&capture, plan, offsets)) {
            Ok(Some(source)) => self.advance(source),
            Ok(None) => {}
            Err(error) => self.failed(capture.path, error),
        }
    }

    fn open(&mut self, capture: &Capture, plan: Plan, offsets: Option<Vec<u64>>) -> io::Result<Option<usize>> {
        self.looked.index_bytes += plan.index_bytes;
        if plan.stretches.is_empty() {
            return Ok(None);
        }
        if plan.without_index {
            self.looked.without_index.push(capture.path.clone());
        }
        let opened = match capture.open() {
            // A file that was begun this moment holds nothing yet, not even its header.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            opened => opened?,
        };
        self.looked.files_read += 1;
        let source = Source {
            capture: capture.clone(),
            opened,
            stretches: plan.stretches.into(),
            records: None,
            offsets: offsets.map(VecDeque::from),
            at: None,
            bytes: 0,
        };
        self.open.push(source);
        Ok(self.open.len().checked_sub(1))
    }

    /// Goes to the next packet of a file that is wanted.
    fn advance(&mut self, number: usize) {
        let Some(source) = self.open.get_mut(number) else { return };
        let outcome = source.advance(&self.question, &self.stop);
        self.looked.bytes += std::mem::take(&mut source.bytes);
        match outcome {
            Ok(Some(time)) => self.next.push(Reverse((time, number))),
            Ok(None) => source.close(),
            Err(error) => {
                source.close();
                let path = source.capture.path.clone();
                self.failed(path, error);
            }
        }
    }

    fn failed(&mut self, path: PathBuf, error: io::Error) {
        // The oldest files go when room is needed: what was there a moment ago may be gone.
        if error.kind() != io::ErrorKind::NotFound {
            self.looked.failed.push((path, error));
        }
    }
}

impl Source {
    fn advance(&mut self, question: &Question, stop: &AtomicBool) -> io::Result<Option<Time>> {
        while !stop.load(Ordering::Relaxed) {
            let Some(records) = &mut self.records else {
                let Some(stretch) = self.stretches.pop_front() else { return Ok(None) };
                self.records = Some(self.opened.records(stretch));
                continue;
            };
            let before = records.bytes();
            let next = records.advance();
            self.bytes += records.bytes() - before;
            let Some((at, time)) = next? else {
                self.records = None;
                continue;
            };
            if let Some(offsets) = &mut self.offsets {
                while offsets.front().is_some_and(|wanted| *wanted < at.offset) {
                    offsets.pop_front();
                }
                match offsets.front() {
                    None => return Ok(None),
                    Some(wanted) if *wanted == at.offset => {
                        offsets.pop_front();
                        if question.is_in_time(time) {
                            self.at = Some(at);
                            return Ok(Some(time));
                        }
                    }
                    // The rest of this stretch is of no use if the next one begins before what is wanted.
                    Some(wanted) if self.stretches.front().is_some_and(|stretch| stretch.offset <= *wanted) => self.records = None,
                    Some(_) => {}
                }
                continue;
            }
            if records.record(at).is_some_and(|record| question.takes(&record)) {
                self.at = Some(at);
                return Ok(Some(time));
            }
            if question.to.is_some_and(|to| time.0 > to.0.saturating_add(SLACK)) {
                self.records = None;
            }
        }
        Ok(None)
    }

    /// Lets go of file and memory.
    fn close(&mut self) {
        self.records = None;
        self.stretches.clear();
        self.offsets = None;
    }
}
