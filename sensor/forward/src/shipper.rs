//! Puts events into the spool. Lives in the record writer's thread, and never fails towards it: what the spool refuses,
//! the spool counts, and the operator is told once per spell of trouble.

use serde_json::{Map, Value};
use spool::{Stats, Writer};
use tracing::{error, info};

use crate::Envelope;

/// The way of a record into the spool.
pub struct Shipper {
    envelope: Envelope,
    spool: Writer,
    event: Vec<u8>,
    failing: bool,
}

impl Shipper {
    /// Ships into `spool` with `envelope` around each record.
    #[must_use]
    pub fn new(envelope: Envelope, spool: Writer) -> Self {
        Self { envelope, spool, event: Vec::new(), failing: false }
    }

    /// One line of a Zeek log; see [`Envelope::zeek`].
    pub fn zeek(&mut self, log: &str, at: i128, line: &[u8]) {
        self.event.clear();
        self.envelope.zeek(log, at, line, &mut self.event);
        self.append();
    }

    /// One EVE object; see [`Envelope::suricata`].
    pub fn suricata(&mut self, at: i128, line: &[u8]) {
        self.event.clear();
        self.envelope.suricata(at, line, &mut self.event);
        self.append();
    }

    /// One scan result; see [`Envelope::filescan`].
    pub fn filescan(&mut self, at: i128, result: &Map<String, Value>) {
        self.event.clear();
        self.envelope.filescan(at, result, &mut self.event);
        self.append();
    }

    /// One measurement; see [`Envelope::metric`].
    pub fn metric(&mut self, at: i128, module: &str, measured: &Value) {
        self.event.clear();
        self.envelope.metric(at, module, measured, &mut self.event);
        self.append();
    }

    /// Makes everything shipped so far visible to the forwarder, and syncs when the spool's time for it has come. To be called
    /// about once a second at least.
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

    fn append(&mut self) {
        let appended = self.spool.append(&self.event);
        if appended.is_err() || self.failing {
            self.tell(appended);
        }
    }

    fn tell(&mut self, outcome: Result<(), spool::Error>) {
        match outcome {
            Ok(()) if self.failing => {
                self.failing = false;
                info!(refused = self.spool.stats().refused, "the spool takes records again");
            }
            Ok(()) => {}
            Err(error) if !self.failing => {
                self.failing = true;
                error!(%error, cause = std::error::Error::source(&error), "the spool refuses records, they will not reach the collector: free space, or change spool.folder in tenrec.toml");
            }
            Err(_) => {}
        }
    }
}
