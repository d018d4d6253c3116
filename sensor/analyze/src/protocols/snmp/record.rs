//! `snmp.log`.

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Interval, Time};

/// A line of `snmp.log`: what two hosts asked each other.
#[derive(Debug)]
pub struct Snmp {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) duration: Interval,
    pub(super) version: &'static str,
    pub(super) community: Option<Vec<u8>>,
    pub(super) get_requests: u64,
    pub(super) get_bulk_requests: u64,
    pub(super) get_responses: u64,
    pub(super) set_requests: u64,
    pub(super) display_string: Option<Vec<u8>>,
    pub(super) up_since: Option<Time>,
}

/// `snmp.log` (scripts/base/protocols/snmp/main.zeek).
pub static LOG: Log = Log {
    path: "snmp",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("duration", "interval"),
        column("version", "string"),
        column("community", "string"),
        column("get_requests", "count"),
        column("get_bulk_requests", "count"),
        column("get_responses", "count"),
        column("set_requests", "count"),
        column("display_string", "string"),
        column("up_since", "time"),
    ],
};

impl Record for Snmp {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.interval(Some(self.duration));
        row.symbol(Some(self.version));
        row.bytes(self.community.as_deref());
        row.count(Some(self.get_requests));
        row.count(Some(self.get_bulk_requests));
        row.count(Some(self.get_responses));
        row.count(Some(self.set_requests));
        row.bytes(self.display_string.as_deref());
        row.time(self.up_since);
    }
}
