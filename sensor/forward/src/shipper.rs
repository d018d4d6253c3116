//! Puts events into the spool. Lives in the record writer's thread, and never fails towards it.

use serde_json::{Map, Value};
use spool::{Stats, Writer};

use crate::{Envelope, Intake};

/// The way of a record into the spool.
pub struct Shipper {
    envelope: Envelope,
    intake: Intake,
    event: Vec<u8>,
}

impl Shipper {
    /// Ships into `spool` with `envelope` around each record.
    #[must_use]
    pub fn new(envelope: Envelope, spool: Writer) -> Self {
        Self { envelope, intake: Intake::new(spool, "records"), event: Vec::new() }
    }

    /// One line of a Zeek log; see [`Envelope::zeek`].
    pub fn zeek(&mut self, log: &str, at: i128, line: &[u8]) {
        self.event.clear();
        self.envelope.zeek(log, at, line, &mut self.event);
        self.intake.append(&self.event);
    }

    /// One EVE object; see [`Envelope::suricata`].
    pub fn suricata(&mut self, at: i128, line: &[u8]) {
        self.event.clear();
        self.envelope.suricata(at, line, &mut self.event);
        self.intake.append(&self.event);
    }

    /// One scan result; see [`Envelope::filescan`].
    pub fn filescan(&mut self, at: i128, result: &Map<String, Value>) {
        self.event.clear();
        self.envelope.filescan(at, result, &mut self.event);
        self.intake.append(&self.event);
    }

    /// One measurement; see [`Envelope::metric`].
    pub fn metric(&mut self, at: i128, module: &str, measured: &Value) {
        self.event.clear();
        self.envelope.metric(at, module, measured, &mut self.event);
        self.intake.append(&self.event);
    }

    /// The spool behind it.
    pub fn intake(&mut self) -> &mut Intake {
        &mut self.intake
    }

    /// See [`Intake::flush`].
    pub fn flush(&mut self) {
        self.intake.flush();
    }

    /// The spool's counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.intake.stats()
    }
}
