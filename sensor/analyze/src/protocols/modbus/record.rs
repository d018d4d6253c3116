//! `modbus.log`.

use std::borrow::Cow;

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `modbus.log`: a request or a response.
#[derive(Debug)]
pub struct Modbus {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) tid: u64,
    pub(super) unit: u64,
    pub(super) func: Cow<'static, str>,
    pub(super) pdu_type: &'static str,
    pub(super) exception: Option<Cow<'static, str>>,
}

/// `modbus.log` (scripts/base/protocols/modbus/main.zeek).
pub static LOG: Log = Log {
    path: "modbus",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("tid", "count"),
        column("unit", "count"),
        column("func", "string"),
        column("pdu_type", "string"),
        column("exception", "string"),
    ],
};

impl Record for Modbus {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.count(Some(self.tid));
        row.count(Some(self.unit));
        row.symbol(Some(&self.func));
        row.symbol(Some(self.pdu_type));
        row.symbol(self.exception.as_deref());
    }
}
