//! `websocket.log`.

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `websocket.log`: a connection that was agreed on.
#[derive(Clone, Debug)]
pub struct WebSocketRecord {
    /// When the server agreed.
    pub at: Time,
    /// The flow.
    pub id: FlowId,
    /// `Host` field of the request.
    pub host: Option<Vec<u8>>,
    /// Request target.
    pub uri: Option<Vec<u8>>,
    /// `User-Agent` field of the request.
    pub user_agent: Option<Vec<u8>>,
    /// Subprotocol that the server chose.
    pub subprotocol: Option<Vec<u8>>,
    /// Subprotocols that the client offered.
    pub client_protocols: Vec<Vec<u8>>,
    /// Extensions that the server chose.
    pub server_extensions: Vec<Vec<u8>>,
    /// Extensions that the client offered.
    pub client_extensions: Vec<Vec<u8>>,
}

/// `websocket.log` (scripts/base/protocols/websocket/main.zeek).
pub static LOG: Log = Log {
    path: "websocket",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("host", "string"),
        column("uri", "string"),
        column("user_agent", "string"),
        column("subprotocol", "string"),
        column("client_protocols", "vector[string]"),
        column("server_extensions", "vector[string]"),
        column("client_extensions", "vector[string]"),
    ],
};

impl Record for WebSocketRecord {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.bytes(self.host.as_deref());
        row.bytes(self.uri.as_deref());
        row.bytes(self.user_agent.as_deref());
        row.bytes(self.subprotocol.as_deref());
        for list in [&self.client_protocols, &self.server_extensions, &self.client_extensions] {
            row.strings((!list.is_empty()).then(|| list.iter().map(Vec::as_slice)));
        }
    }
}
