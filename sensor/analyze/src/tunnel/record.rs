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

impl Record for TunnelRecord {
    fn log(&self) -> &'static Log {
        &TUNNEL
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.symbol(Some(self.kind));
        row.symbol(Some(self.action));
    }
}
