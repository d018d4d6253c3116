//! `radius.log`.

use std::net::IpAddr;

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Interval, Time};

/// A line of `radius.log`: an attempt to authenticate.
#[derive(Debug)]
pub struct Radius {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) username: Option<Vec<u8>>,
    pub(super) mac: Option<Vec<u8>>,
    pub(super) framed_addr: Option<IpAddr>,
    pub(super) tunnel_client: Option<Vec<u8>>,
    pub(super) connect_info: Option<Vec<u8>>,
    pub(super) reply_msg: Option<Vec<u8>>,
    pub(super) result: Option<&'static str>,
    pub(super) ttl: Option<Interval>,
}

/// `radius.log` (scripts/base/protocols/radius/main.zeek).
pub static LOG: Log = Log {
    path: "radius",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("username", "string"),
        column("mac", "string"),
        column("framed_addr", "addr"),
        column("tunnel_client", "string"),
        column("connect_info", "string"),
        column("reply_msg", "string"),
        column("result", "string"),
        column("ttl", "interval"),
    ],
};

impl Record for Radius {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.bytes(self.username.as_deref());
        row.bytes(self.mac.as_deref());
        row.addr(self.framed_addr);
        row.bytes(self.tunnel_client.as_deref());
        row.bytes(self.connect_info.as_deref());
        row.bytes(self.reply_msg.as_deref());
        row.symbol(self.result);
        row.interval(self.ttl);
    }
}
