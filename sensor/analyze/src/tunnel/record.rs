//! `tunnel.log`.

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `tunnel.log`.
#[derive(Debug)]
pub struct TunnelRecord {
    /// When it was found or closed.
    pub at: Time,
    /// The flow that carries the tunnel; ports are 0 for tunnels over IP.
    pub id: FlowId,
    /// Whether the flow's uid is told: tunnels of proxies have none of their own.
    pub has_uid: bool,
    /// `Tunnel::GRE` and so on.
    pub kind: &'static str,
    /// `Tunnel::DISCOVER` or `Tunnel::CLOSE`.
    pub action: &'static str,
}

/// `tunnel.log` (scripts/base/frameworks/tunnels/main.zeek).
pub static TUNNEL: Log = Log {
    path: "tunnel",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("tunnel_type", "enum"),
        column("action", "enum"),
    ],
};

impl TunnelRecord {
    /// A tunnel over IP or UDP.
    pub(crate) const fn new(at: Time, id: FlowId, kind: &'static str, action: &'static str) -> Self {
        Self { at, id, has_uid: true, kind, action }
    }

    /// A tunnel through a proxy.
    pub(crate) const fn without_uid(at: Time, id: FlowId, kind: &'static str, action: &'static str) -> Self {
        Self { at, id, has_uid: false, kind, action }
    }
}

impl Record for TunnelRecord {
    fn log(&self) -> &'static Log {
        &TUNNEL
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.time(Some(self.at));
        row.uid(self.has_uid.then_some(self.id.uid));
        row.tuple(Some(&self.id));
        row.symbol(Some(self.kind));
        row.symbol(Some(self.action));
    }
}
