//! The way into a spool, for who must not fail: what the spool refuses, the spool counts, and the operator is told once per
//! spell of trouble.

use spool::{Stats, Writer};
use tracing::{error, info};

/// Puts records into a spool.
pub struct Intake {
    spool: Writer,
    /// What the records are, for messages.
    what: &'static str,
    failing: bool,
}

impl Intake {
    /// Puts into `spool`; `what` is said of the records: "sessions".
    #[must_use]
    pub fn new(spool: Writer, what: &'static str) -> Self {
        Self { spool, what, failing: false }
    }

    /// Takes one record.
    pub fn append(&mut self, record: &[u8]) {
        let appended = self.spool.append(record);
        if appended.is_err() || self.failing {
            self.tell(appended);
        }
    }

    /// Makes everything so far visible to the delivery, and syncs when the spool's time for it has come. To be called about
    /// once a second at least.
    pub fn flush(&mut self) {
        let flushed = self.spool.flush();
        self.tell(flushed);
    }

    /// The spool's counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.spool.stats()
    }

    /// Gives up the oldest records for want of room; see [`spool::Writer::give_up`].
    pub fn give_up(&mut self, bytes: u64) -> (u64, u64) {
        self.spool.give_up(bytes)
    }

    /// Bytes that could be given up.
    #[must_use]
    pub fn spare(&self) -> u64 {
        self.spool.spare()
    }

    fn tell(&mut self, outcome: Result<(), spool::Error>) {
        let what = self.what;
        match outcome {
            Ok(()) if self.failing => {
                self.failing = false;
                info!(refused = self.spool.stats().refused, "the spool takes {what} again");
            }
            Ok(()) => {}
            Err(error) if !self.failing => {
                self.failing = true;
                error!(%error, cause = std::error::Error::source(&error), "the spool refuses {what}, they will not reach the collector: free space, or change spool.folder in tenrec.toml");
            }
            Err(_) => {}
        }
    }
}
