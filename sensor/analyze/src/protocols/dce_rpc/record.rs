//! `dce_rpc.log`.

use std::borrow::Cow;

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Interval, Time};

/// A line of `dce_rpc.log`: a call.
#[derive(Clone, Debug)]
pub struct DceRpc {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) rtt: Option<Interval>,
    pub(super) named_pipe: Option<Vec<u8>>,
    pub(super) endpoint: Option<Cow<'static, str>>,
    pub(super) operation: Option<Cow<'static, str>>,
}

/// `dce_rpc.log` (scripts/base/protocols/dce-rpc/main.zeek).
pub static LOG: Log = Log {
    path: "dce_rpc",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("rtt", "interval"),
        column("named_pipe", "string"),
        column("endpoint", "string"),
        column("operation", "string"),
    ],
};

impl Record for DceRpc {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.interval(self.rtt);
        row.bytes(self.named_pipe.as_deref());
        row.symbol(self.endpoint.as_deref());
        row.symbol(self.operation.as_deref());
    }
}
