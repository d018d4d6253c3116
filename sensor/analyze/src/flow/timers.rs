//! Timers of flows, driven by packet time.
//!
//! An entry is never removed: it names a flow and a generation, and fires into the void if the flow is gone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Time;

/// A flow's place in the table, and which of its tenants is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FlowRef {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// What a timer looks at when it fires. Zeek's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKind {
    /// Nothing happened for the inactivity timeout.
    Inactivity,
    /// A SYN that was not answered.
    Attempt,
    /// Looks regularly whether a TCP connection has ended without saying so.
    Expire,
    /// A connection that has closed is forgotten.
    Delete,
    /// A connection that only one side closed.
    PartialClose,
    /// A connection that was reset after a FIN.
    Reset,
}

/// All timers of a worker.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Time, u64, FlowRef, TimerKind)>>,
    added: u64,
}

impl Timers {
    pub(crate) fn add(&mut self, at: Time, flow: FlowRef, kind: TimerKind) {
        self.added = self.added.wrapping_add(1);
        self.heap.push(Reverse((at, self.added, flow, kind)));
    }

    /// The next timer that is due at `now`.
    pub(crate) fn due(&mut self, now: Time) -> Option<(Time, FlowRef, TimerKind)> {
        let Reverse((at, ..)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse((at, _, flow, kind))| (at, flow, kind))
    }
}
