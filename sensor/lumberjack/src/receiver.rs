//! The collector's side: windows of events, checked as strictly as a test peer should.

use crate::frames::{Buffer, Frame};
use crate::{Error, Limits};

/// One event of a window.
#[derive(Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Place in the window, from 1: what an ack of everything up to here says.
    pub sequence: u32,
    /// The JSON text, as the sender wrote it.
    pub payload: &'a [u8],
    /// Whether the window ends here: now an ack is due.
    pub ends_window: bool,
}

/// Takes the bytes of one connection and gives its events in order.
#[derive(Debug, Default)]
pub struct Receiver {
    limits: Limits,
    wire: Buffer,
    /// What the current compressed frame holds. Events of it come before anything later on the wire.
    unpacked: Buffer,
    window: u32,
    taken: u32,
}

impl Receiver {
    /// A receiver at the begin of a connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes bytes from the wire. Call [`Receiver::next`] until it gives `None` before feeding more, so that the buffer
    /// stays below one frame's limit.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.wire.feed(bytes);
    }

    /// The next event, or `None` until more bytes come.
    ///
    /// # Errors
    /// The connection is to be closed: there is no way to find the next frame after a broken one.
    #[expect(clippy::should_implement_trait, reason = "it lends and it fails: not an iterator")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, Error> {
        loop {
            if !self.unpacked.is_empty() {
                let (sequence, payload) = match self.unpacked.next(&self.limits)? {
                    Some(Frame::Event { sequence, payload }) => (sequence, payload),
                    Some(other) => return Err(Error::Type { found: other.letter(), expected: "an event inside a compressed frame" }),
                    None => return Err(Error::CompressedCut),
                };
                let ends_window = self.count(sequence)?;
                return Ok(Some(Event { sequence, payload: self.unpacked.slice(&payload), ends_window }));
            }
            match self.wire.next(&self.limits)? {
                None => return Ok(None),
                Some(Frame::Window(count)) => self.open(count)?,
                Some(Frame::Compressed(packed)) => self.unpacked.unpack(self.wire.slice(&packed), self.limits.compressed)?,
                Some(Frame::Event { sequence, payload }) => {
                    let ends_window = self.count(sequence)?;
                    return Ok(Some(Event { sequence, payload: self.wire.slice(&payload), ends_window }));
                }
                Some(Frame::Ack(_)) => return Err(Error::Type { found: b'A', expected: "a window, an event or a compressed frame" }),
            }
        }
    }

    /// Whether nothing is under way: no open window, no partial frame. A connection that ends otherwise was cut.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.taken == self.window && self.wire.is_empty() && self.unpacked.is_empty()
    }

    fn open(&mut self, count: u32) -> Result<(), Error> {
        if self.taken < self.window {
            return Err(Error::WindowUnfinished { missing: self.window - self.taken });
        }
        if count == 0 || count > self.limits.window {
            return Err(Error::Window { count, limit: self.limits.window });
        }
        (self.window, self.taken) = (count, 0);
        Ok(())
    }

    fn count(&mut self, sequence: u32) -> Result<bool, Error> {
        if self.taken == self.window {
            return Err(Error::NoWindow);
        }
        let expected = self.taken + 1;
        if sequence != expected {
            return Err(Error::Sequence { found: sequence, expected });
        }
        self.taken = expected;
        Ok(self.taken == self.window)
    }
}

impl Frame {
    fn letter(&self) -> u8 {
        match self {
            Self::Window(_) => b'W',
            Self::Event { .. } => b'J',
            Self::Compressed(_) => b'C',
            Self::Ack(_) => b'A',
        }
    }
}
