//! `quic.log`.

use std::borrow::Cow;

use super::wire;
use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `quic.log`.
#[derive(Debug)]
pub struct Quic {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) version: u32,
    pub(super) client_initial_dcid: Option<Vec<u8>>,
    pub(super) client_scid: Option<Vec<u8>>,
    pub(super) server_scid: Option<Vec<u8>>,
    pub(super) server_name: Option<Vec<u8>>,
    pub(super) client_protocol: Option<Vec<u8>>,
    pub(super) history: Vec<u8>,
}

/// `quic.log` (scripts/base/protocols/quic/main.zeek).
pub static LOG: Log = Log {
    path: "quic",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("version", "string"),
        column("client_initial_dcid", "string"),
        column("client_scid", "string"),
        column("server_scid", "string"),
        column("server_name", "string"),
        column("client_protocol", "string"),
        column("history", "string"),
    ],
};

impl Record for Quic {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        let version: Cow<'static, str> = wire::version_name(self.version);
        row.flow(self.at, &self.id);
        row.symbol(Some(&version));
        for id in [&self.client_initial_dcid, &self.client_scid, &self.server_scid] {
            row.string(id.as_ref().map(hex::encode).as_deref());
        }
        row.bytes(self.server_name.as_deref());
        row.bytes(self.client_protocol.as_deref());
        row.bytes(Some(&self.history));
    }
}
