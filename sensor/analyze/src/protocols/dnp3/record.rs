//! `dnp3.log`.

use std::borrow::Cow;

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `dnp3.log`: a request and its reply.
#[derive(Debug)]
pub struct Dnp3 {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) request: Option<Cow<'static, str>>,
    pub(super) reply: Option<Cow<'static, str>>,
    pub(super) iin: Option<u64>,
}

/// `dnp3.log` (scripts/base/protocols/dnp3/main.zeek).
pub static LOG: Log = Log {
    path: "dnp3",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("fc_request", "string"),
        column("fc_reply", "string"),
        column("iin", "count"),
    ],
};

impl Record for Dnp3 {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.symbol(self.request.as_deref());
        row.symbol(self.reply.as_deref());
        row.count(self.iin);
    }
}
