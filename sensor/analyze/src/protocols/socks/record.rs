//! `socks.log`.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `socks.log`: a connection through a proxy.
#[derive(Debug)]
pub struct Socks {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) version: u64,
    pub(super) user: Option<Vec<u8>>,
    pub(super) password: Option<Vec<u8>>,
    pub(super) status: Option<Cow<'static, str>>,
    pub(super) request_host: Option<IpAddr>,
    pub(super) request_name: Option<Vec<u8>>,
    pub(super) request_port: Option<u16>,
    pub(super) bound_host: Option<IpAddr>,
    pub(super) bound_name: Option<Vec<u8>>,
    pub(super) bound_port: Option<u16>,
}

/// `socks.log` (scripts/base/protocols/socks/main.zeek).
pub static LOG: Log = Log {
    path: "socks",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("version", "count"),
        column("user", "string"),
        column("password", "string"),
        column("status", "string"),
        column("request.host", "addr"),
        column("request.name", "string"),
        column("request_p", "port"),
        column("bound.host", "addr"),
        column("bound.name", "string"),
        column("bound_p", "port"),
    ],
};

impl Record for Socks {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.count(Some(self.version));
        row.bytes(self.user.as_deref());
        row.bytes(self.password.as_deref());
        row.symbol(self.status.as_deref());
        row.addr(self.request_host);
        row.bytes(self.request_name.as_deref());
        row.count(self.request_port.map(u64::from));
        row.addr(self.bound_host);
        row.bytes(self.bound_name.as_deref());
        row.count(self.bound_port.map(u64::from));
    }
}
