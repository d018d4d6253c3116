//! `syslog.log`.

use std::borrow::Cow;

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `syslog.log`: a message.
#[derive(Debug)]
pub struct Syslog {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) proto: &'static str,
    pub(super) facility: Cow<'static, str>,
    pub(super) severity: Cow<'static, str>,
    pub(super) message: Vec<u8>,
}

/// `syslog.log` (scripts/base/protocols/syslog/main.zeek).
pub static LOG: Log = Log {
    path: "syslog",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("proto", "enum"),
        column("facility", "string"),
        column("severity", "string"),
        column("message", "string"),
    ],
};

impl Record for Syslog {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.symbol(Some(self.proto));
        row.symbol(Some(&self.facility));
        row.symbol(Some(&self.severity));
        row.bytes(Some(&self.message));
    }
}
