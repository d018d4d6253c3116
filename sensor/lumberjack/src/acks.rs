//! The sensor's side of the answers: how much of the window under way is taken.

use crate::frames::{Buffer, Frame};
use crate::{Error, Limits};

/// Why an answer is no answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AcksError {
    /// The bytes are not Lumberjack.
    #[error(transparent)]
    Frame(#[from] Error),
    /// More was acknowledged than was sent.
    #[error("the collector acknowledged event {found} of a window of {window}")]
    Beyond {
        /// What the ack said.
        found: u32,
        /// Events sent.
        window: u32,
    },
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The collector lives and has taken nothing more.
    Alive,
    /// This many more events are taken, and the window is not done.
    Taken(u32),
    /// This many more events are taken, the last of the window among them.
    Done(u32),
}

/// Follows the acknowledgements of one connection, one window at a time.
#[derive(Debug, Default)]
pub struct Acks {
    buffer: Buffer,
    window: u32,
    taken: u32,
}

impl Acks {
    /// Begins a window of `count` events that was just sent.
    pub fn expect(&mut self, count: u32) {
        (self.window, self.taken) = (count, 0);
    }

    /// Events of the window that are not yet acknowledged.
    #[must_use]
    pub fn outstanding(&self) -> u32 {
        self.window - self.taken
    }

    /// Takes bytes from the wire.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.feed(bytes);
    }

    /// What the next answer means, or `None` until more bytes come. An ack below an earlier one of the same window takes
    /// nothing back: acks are cumulative.
    ///
    /// # Errors
    /// The connection is to be closed.
    #[expect(clippy::should_implement_trait, reason = "it fails: not an iterator")]
    pub fn next(&mut self) -> Result<Option<Progress>, AcksError> {
        // The one frame that may come has no body.
        let limits = Limits { event: 0, compressed: 0, window: 0 };
        let found = match self.buffer.next(&limits)? {
            None => return Ok(None),
            Some(Frame::Ack(sequence)) => sequence,
            Some(Frame::Window(_)) => return Err(Error::Type { found: b'W', expected: "an ack" }.into()),
            Some(Frame::Event { .. }) => return Err(Error::Type { found: b'J', expected: "an ack" }.into()),
            Some(Frame::Compressed(_)) => return Err(Error::Type { found: b'C', expected: "an ack" }.into()),
        };
        if found > self.window {
            return Err(AcksError::Beyond { found, window: self.window });
        }
        let more = found.saturating_sub(self.taken);
        self.taken += more;
        Ok(Some(match more {
            0 => Progress::Alive,
            more if self.taken == self.window => Progress::Done(more),
            more => Progress::Taken(more),
        }))
    }
}
