//! `postgresql.log`.

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `postgresql.log`: a message of the client and what the server made of it.
#[derive(Debug)]
pub struct Postgresql {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) user: Option<Vec<u8>>,
    pub(super) database: Option<Vec<u8>>,
    pub(super) application_name: Option<Vec<u8>>,
    pub(super) frontend: Option<&'static str>,
    pub(super) frontend_arg: Option<Vec<u8>>,
    pub(super) backend: Option<Vec<u8>>,
    pub(super) backend_arg: Option<Vec<u8>>,
    pub(super) success: Option<bool>,
    pub(super) rows: Option<u64>,
}

/// `postgresql.log` (scripts/base/protocols/postgresql/main.zeek).
pub static LOG: Log = Log {
    path: "postgresql",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("user", "string"),
        column("database", "string"),
        column("application_name", "string"),
        column("frontend", "string"),
        column("frontend_arg", "string"),
        column("backend", "string"),
        column("backend_arg", "string"),
        column("success", "bool"),
        column("rows", "count"),
    ],
};

impl Record for Postgresql {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.bytes(self.user.as_deref());
        row.bytes(self.database.as_deref());
        row.bytes(self.application_name.as_deref());
        row.symbol(self.frontend);
        row.bytes(self.frontend_arg.as_deref());
        row.bytes(self.backend.as_deref());
        row.bytes(self.backend_arg.as_deref());
        row.bool(self.success);
        row.count(self.rows);
    }
}
