//! `dhcp.log`.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::log::{Log, Record, Row, column, malcolm};
use crate::{Interval, Time, Uid};

/// A line of `dhcp.log`: the messages of a transaction, on however many flows.
#[derive(Debug, Default)]
pub struct Dhcp {
    pub(super) at: Time,
    pub(super) uids: Vec<Uid>,
    pub(super) client_addr: Option<IpAddr>,
    pub(super) server_addr: Option<IpAddr>,
    pub(super) mac: Option<Vec<u8>>,
    pub(super) host_name: Option<Vec<u8>>,
    pub(super) client_fqdn: Option<Vec<u8>>,
    pub(super) domain: Option<Vec<u8>>,
    pub(super) requested_addr: Option<IpAddr>,
    pub(super) assigned_addr: Option<IpAddr>,
    pub(super) lease_time: Option<Interval>,
    pub(super) client_message: Option<Vec<u8>>,
    pub(super) server_message: Option<Vec<u8>>,
    pub(super) msg_types: Vec<Cow<'static, str>>,
    pub(super) duration: Interval,
    pub(super) client_software: Option<Vec<u8>>,
    pub(super) server_software: Option<Vec<u8>>,
}

/// `dhcp.log` (scripts/base/protocols/dhcp/main.zeek; Malcolm adds policy/protocols/dhcp/software.zeek).
pub static LOG: Log = Log {
    path: "dhcp",
    columns: &[
        column("ts", "time"),
        column("uids", "set[string]"),
        column("client_addr", "addr"),
        column("server_addr", "addr"),
        column("mac", "string"),
        column("host_name", "string"),
        column("client_fqdn", "string"),
        column("domain", "string"),
        column("requested_addr", "addr"),
        column("assigned_addr", "addr"),
        column("lease_time", "interval"),
        column("client_message", "string"),
        column("server_message", "string"),
        column("msg_types", "vector[string]"),
        column("duration", "interval"),
        malcolm("client_software", "string"),
        malcolm("server_software", "string"),
    ],
};

impl Record for Dhcp {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.time(Some(self.at));
        row.uids(Some(self.uids.iter().copied()));
        row.addr(self.client_addr);
        row.addr(self.server_addr);
        row.bytes(self.mac.as_deref());
        row.bytes(self.host_name.as_deref());
        row.bytes(self.client_fqdn.as_deref());
        row.bytes(self.domain.as_deref());
        row.addr(self.requested_addr);
        row.addr(self.assigned_addr);
        row.interval(self.lease_time);
        row.bytes(self.client_message.as_deref());
        row.bytes(self.server_message.as_deref());
        row.strings(Some(self.msg_types.iter().map(|name| name.as_bytes())));
        row.interval(Some(self.duration));
        row.bytes(self.client_software.as_deref());
        row.bytes(self.server_software.as_deref());
    }
}
