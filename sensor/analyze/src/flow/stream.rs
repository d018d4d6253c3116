//! In-order bytes of one direction of a TCP connection, with the gaps named. Never copies a segment that comes in
//! order.
//!
//! Sequence numbers here are relative and 64 bits wide: 0 is the SYN, 1 the first byte.

use std::collections::VecDeque;

/// Bytes that may wait for a missing segment in one direction. Zeek's `tcp_excessive_data_without_further_acks`.
pub(crate) const MAX_PENDING: usize = 10 << 20;
/// The same while the other side has acknowledged nothing. Zeek's `tcp_max_above_hole_without_any_acks`.
pub(crate) const MAX_PENDING_UNACKED: usize = 16_384;
/// Segments that may wait: small ones cost more than their bytes.
const MAX_SEGMENTS: usize = 16_384;

/// What comes out of a stream, in order.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Bytes that had been waiting.
    Data(Vec<u8>),
    /// So many bytes never came.
    Gap(u64),
}

#[derive(Debug)]
struct Segment {
    seq: u64,
    data: Vec<u8>,
}

impl Segment {
    fn end(&self) -> u64 {
        self.seq.saturating_add(self.data.len() as u64)
    }
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The next byte to come out.
    next: u64,
    /// Segments above a hole, ordered, not overlapping.
    waiting: VecDeque<Segment>,
    waiting_bytes: usize,
    /// Nothing comes out any more.
    pub(crate) skipping: bool,
    pub(crate) had_gap: bool,
}

impl Default for Stream {
    fn default() -> Self {
        Self { next: 1, waiting: VecDeque::new(), waiting_bytes: 0, skipping: false, had_gap: false }
    }
}

/// What [`Stream::add`] did with a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added<'a> {
    /// These bytes of it are next in order; [`Stream::pull`] may have more.
    Next(&'a [u8]),
    /// It waits, or brought nothing new.
    Nothing,
}

impl Stream {
    /// The next byte that is awaited.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    pub(crate) const fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// End of the last segment that waits, or the next byte.
    pub(crate) fn upper(&self) -> u64 {
        self.waiting.back().map_or(self.next, Segment::end)
    }

    /// Takes a segment. What is below `next` has come out already, or is acknowledged and lost.
    pub(crate) fn add<'a>(&mut self, seq: u64, data: &'a [u8]) -> Added<'a> {
        if self.skipping {
            return Added::Nothing;
        }
        let end = seq.saturating_add(data.len() as u64);
        if end <= self.next {
            return Added::Nothing;
        }
        let fresh = usize::try_from(self.next.saturating_sub(seq)).unwrap_or(usize::MAX);
        let data = data.get(fresh..).unwrap_or_default();
        let seq = seq.max(self.next);
        if seq == self.next {
            // Bytes that already wait win over those of a later segment.
            let end = self.waiting.front().map_or(end, |first| first.seq.min(end));
            let len = usize::try_from(end.saturating_sub(seq)).unwrap_or(0);
            let rest = data.get(len..).unwrap_or_default();
            if !rest.is_empty() {
                self.wait(end, rest);
            }
            self.next = end;
            return Added::Next(data.get(..len).unwrap_or_default());
        }
        self.wait(seq, data);
        Added::Nothing
    }

    /// What has become next in order.
    pub(crate) fn pull(&mut self) -> Option<Vec<u8>> {
        if self.waiting.front()?.seq != self.next {
            return None;
        }
        let segment = self.waiting.pop_front()?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(segment.data.len());
        self.next = segment.end();
        Some(segment.data)
    }

    /// The other side has acknowledged all below `seq`: what is missing there will not come.
    pub(crate) fn acknowledged(&mut self, seq: u64) -> Option<Piece> {
        if self.next >= seq || self.skipping {
            self.next = self.next.max(seq);
            return None;
        }
        let hole_end = self.waiting.front().map_or(seq, |first| first.seq.min(seq));
        if hole_end > self.next {
            let len = hole_end - self.next;
            self.next = hole_end;
            self.had_gap = true;
            return Some(Piece::Gap(len));
        }
        self.pull().map(Piece::Data)
    }

    /// Gives up: drops what waits, and lets nothing more out.
    pub(crate) fn skip(&mut self) {
        self.skipping = true;
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// Whether more waits than one direction may hold.
    pub(crate) fn is_over_limit(&self) -> bool {
        self.waiting_bytes > MAX_PENDING || self.waiting.len() > MAX_SEGMENTS
    }

    /// Starts again at relative byte 1 (a SYN with another number).
    pub(crate) fn restart(&mut self) {
        *self = Self { had_gap: self.had_gap, ..Self::default() };
    }

    fn wait(&mut self, mut seq: u64, mut data: &[u8]) {
        let mut place = self.waiting.partition_point(|segment| segment.end() <= seq);
        while !data.is_empty() {
            match self.waiting.get(place) {
                Some(segment) if segment.seq <= seq => {
                    let covered = usize::try_from(segment.end().saturating_sub(seq)).unwrap_or(usize::MAX);
                    seq = segment.end();
                    data = data.get(covered..).unwrap_or_default();
                }
                following => {
                    let room = following.map_or(usize::MAX, |s| usize::try_from(s.seq.saturating_sub(seq)).unwrap_or(usize::MAX));
                    let (now, later) = data.split_at_checked(room).unwrap_or((data, &[]));
                    self.waiting.insert(place, Segment { seq, data: now.to_vec() });
                    self.waiting_bytes = self.waiting_bytes.saturating_add(now.len());
                    seq = seq.saturating_add(now.len() as u64);
                    data = later;
                }
            }
            place += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn collect(stream: &mut Stream, seq: u64, data: &[u8], out: &mut Vec<u8>) {
        if let Added::Next(now) = stream.add(seq, data) {
            out.extend_from_slice(now);
            while let Some(more) = stream.pull() {
                out.extend_from_slice(&more);
            }
        }
    }

    #[test]
    fn a_hole_that_is_acknowledged_becomes_a_gap_and_what_waited_comes_out() {
        let mut stream = Stream::default();
        assert_eq!(stream.add(1, b"ab"), Added::Next(b"ab"));
        assert_eq!(stream.add(5, b"ef"), Added::Nothing);
        assert!(matches!(stream.acknowledged(7), Some(Piece::Gap(2))));
        assert!(matches!(stream.acknowledged(7), Some(Piece::Data(d)) if d == b"ef"));
        assert!(stream.acknowledged(7).is_none());
        assert_eq!(stream.next(), 7);
    }

    proptest! {
        #[test]
        fn any_order_with_any_overlap_gives_the_bytes_once(
            cuts in prop::collection::vec((0usize..200, 1usize..40), 1..40),
        ) {
            let whole: Vec<u8> = (0..240u32).map(|n| n as u8).collect();
            let mut stream = Stream::default();
            let mut out = Vec::new();
            for (start, len) in cuts {
                collect(&mut stream, 1 + start as u64, &whole[start..start + len], &mut out);
            }
            let last = out.len();
            collect(&mut stream, 1, &whole, &mut out);
            prop_assert!(last <= whole.len());
            prop_assert_eq!(&out, &whole);
            prop_assert_eq!(stream.waiting_bytes(), 0);
        }
    }
}
