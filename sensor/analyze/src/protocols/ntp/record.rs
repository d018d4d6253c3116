//! `ntp.log`.

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Interval, Time};

/// A line of `ntp.log`: a message.
#[derive(Debug)]
pub struct Ntp {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) version: u64,
    pub(super) mode: u64,
    pub(super) stratum: Option<u64>,
    pub(super) poll: Option<Interval>,
    pub(super) precision: Option<Interval>,
    pub(super) root_delay: Option<Interval>,
    pub(super) root_disp: Option<Interval>,
    pub(super) ref_id: Option<Vec<u8>>,
    pub(super) ref_time: Option<Time>,
    pub(super) org_time: Option<Time>,
    pub(super) rec_time: Option<Time>,
    pub(super) xmt_time: Option<Time>,
    pub(super) num_exts: u64,
}

/// `ntp.log` (scripts/base/protocols/ntp/main.zeek).
pub static LOG: Log = Log {
    path: "ntp",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("version", "count"),
        column("mode", "count"),
        column("stratum", "count"),
        column("poll", "interval"),
        column("precision", "interval"),
        column("root_delay", "interval"),
        column("root_disp", "interval"),
        column("ref_id", "string"),
        column("ref_time", "time"),
        column("org_time", "time"),
        column("rec_time", "time"),
        column("xmt_time", "time"),
        column("num_exts", "count"),
    ],
};

impl Record for Ntp {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.count(Some(self.version));
        row.count(Some(self.mode));
        row.count(self.stratum);
        row.interval(self.poll);
        row.interval(self.precision);
        row.interval(self.root_delay);
        row.interval(self.root_disp);
        row.bytes(self.ref_id.as_deref());
        row.time(self.ref_time);
        row.time(self.org_time);
        row.time(self.rec_time);
        row.time(self.xmt_time);
        row.count(Some(self.num_exts));
    }
}
