//! `mysql.log`.

use std::borrow::Cow;

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `mysql.log`: one command, or the login.
#[derive(Debug)]
pub struct Mysql {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) cmd: Cow<'static, str>,
    pub(super) arg: Vec<u8>,
    pub(super) success: Option<bool>,
    pub(super) rows: Option<u64>,
    pub(super) response: Option<Vec<u8>>,
}

/// `mysql.log` (scripts/base/protocols/mysql/main.zeek).
pub static LOG: Log = Log {
    path: "mysql",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("cmd", "string"),
        column("arg", "string"),
        column("success", "bool"),
        column("rows", "count"),
        column("response", "string"),
    ],
};

impl Record for Mysql {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.symbol(Some(&self.cmd));
        row.bytes(Some(&self.arg));
        row.bool(self.success);
        row.count(self.rows);
        row.bytes(self.response.as_deref());
    }
}
