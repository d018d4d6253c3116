//! `rfb.log`.

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `rfb.log`: a session.
#[derive(Debug)]
pub struct Rfb {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) client_major_version: Option<Vec<u8>>,
    pub(super) client_minor_version: Option<Vec<u8>>,
    pub(super) server_major_version: Option<Vec<u8>>,
    pub(super) server_minor_version: Option<Vec<u8>>,
    pub(super) authentication_method: Option<&'static str>,
    pub(super) auth: Option<bool>,
    pub(super) share_flag: Option<bool>,
    pub(super) desktop_name: Option<Vec<u8>>,
    pub(super) width: Option<u64>,
    pub(super) height: Option<u64>,
}

/// `rfb.log` (scripts/base/protocols/rfb/main.zeek).
pub static LOG: Log = Log {
    path: "rfb",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("client_major_version", "string"),
        column("client_minor_version", "string"),
        column("server_major_version", "string"),
        column("server_minor_version", "string"),
        column("authentication_method", "string"),
        column("auth", "bool"),
        column("share_flag", "bool"),
        column("desktop_name", "string"),
        column("width", "count"),
        column("height", "count"),
    ],
};

impl Record for Rfb {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.bytes(self.client_major_version.as_deref());
        row.bytes(self.client_minor_version.as_deref());
        row.bytes(self.server_major_version.as_deref());
        row.bytes(self.server_minor_version.as_deref());
        row.symbol(self.authentication_method);
        row.bool(self.auth);
        row.bool(self.share_flag);
        row.bytes(self.desktop_name.as_deref());
        row.count(self.width);
        row.count(self.height);
    }
}
