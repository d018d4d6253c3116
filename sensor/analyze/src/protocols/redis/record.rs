//! `redis.log`.

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `redis.log`: a command and its reply.
#[derive(Debug)]
pub struct Redis {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) name: Vec<u8>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) success: Option<bool>,
    pub(super) reply: Option<Vec<u8>>,
}

/// `redis.log` (scripts/base/protocols/redis/main.zeek).
pub static LOG: Log = Log {
    path: "redis",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("cmd.name", "string"),
        column("cmd.key", "string"),
        column("cmd.value", "string"),
        column("success", "bool"),
        column("reply.value", "string"),
    ],
};

impl Record for Redis {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.bytes(Some(&self.name));
        row.bytes(self.key.as_deref());
        row.bytes(self.value.as_deref());
        row.bool(self.success);
        row.bytes(self.reply.as_deref());
    }
}
