//! The kernel's counters as people see them.

use std::fmt;

use abi::{Counters, Tally};
use serde::Serialize;

use crate::capture::Mode;

/// What became of the frames of one interface since the capture began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InterfaceCounters {
    /// Its name.
    pub name: String,
    /// Its place in the order of the options: a frame's `interface`.
    pub slot: u16,
    /// How it is captured from.
    pub mode: &'static str,
    /// All queues together.
    pub total: QueueCounters,
    /// Each receive queue that got frames.
    pub queues: Vec<QueueCounters>,
}

/// Frames, and their bytes on the wire, of one queue.
///
/// Invariant: `received = captured + filtered + shunted + too_big + ring_full`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueueCounters {
    /// Receive queue; 0 in a total.
    pub queue: u32,
    /// Frames that came.
    pub received: u64,
    /// Frames in the rings.
    pub captured: u64,
    /// Frames that the capture filter does not want.
    pub filtered: u64,
    /// Frames of flows that were cut off.
    pub shunted: u64,
    /// Frames too long for a ring record: lost.
    pub too_big: u64,
    /// Frames that found the ring full: lost.
    pub ring_full: u64,
    /// Bytes that came.
    pub received_bytes: u64,
    /// Bytes on the wire of the captured frames.
    pub captured_bytes: u64,
}

impl QueueCounters {
    /// Frames that were wanted and are not there.
    pub fn lost(&self) -> u64 {
        self.too_big + self.ring_full
    }

    /// Whether every frame is accounted for.
    pub fn adds_up(&self) -> bool {
        self.received == self.captured + self.filtered + self.shunted + self.too_big + self.ring_full
    }

    fn new(queue: u32, counters: &Counters) -> Self {
        let frames = |tally: Tally| tally.frames;
        Self {
            queue,
            received: frames(counters.received),
            captured: frames(counters.captured),
            filtered: frames(counters.filtered),
            shunted: frames(counters.shunted),
            too_big: frames(counters.too_big),
            ring_full: frames(counters.ring_full),
            received_bytes: counters.received.bytes,
            captured_bytes: counters.captured.bytes,
        }
    }

    fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.captured += other.captured;
        self.filtered += other.filtered;
        self.shunted += other.shunted;
        self.too_big += other.too_big;
        self.ring_full += other.ring_full;
        self.received_bytes += other.received_bytes;
        self.captured_bytes += other.captured_bytes;
    }
}

/// The invariant with its numbers, as `tenrec status` shows it.
impl fmt::Display for QueueCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, captured, filtered, shunted, too_big, ring_full, .. } = self;
        write!(
            f,
            "received {received} = captured {captured} + filtered {filtered} + shunted {shunted} + too big {too_big} + ring full {ring_full}"
        )
    }
}

impl InterfaceCounters {
    pub(super) fn new(name: &str, slot: u16, mode: Mode, counters: Vec<(u32, Counters)>) -> Self {
        let queues: Vec<_> = counters.iter().map(|(queue, counters)| QueueCounters::new(*queue, counters)).collect();
        let mut total = QueueCounters::default();
        for queue in &queues {
            total.add(queue);
        }
        Self { name: name.to_owned(), slot, mode: mode.name(), total, queues }
    }
}
