//! `rdp.log`.

use std::borrow::Cow;

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `rdp.log`: a session.
#[derive(Debug)]
pub struct Rdp {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) cookie: Option<Vec<u8>>,
    pub(super) result: Option<Cow<'static, str>>,
    pub(super) security_protocol: Option<Cow<'static, str>>,
    pub(super) client_channels: Option<Vec<Vec<u8>>>,
    pub(super) keyboard_layout: Option<Cow<'static, str>>,
    pub(super) client_build: Option<Cow<'static, str>>,
    pub(super) client_name: Option<Vec<u8>>,
    pub(super) client_dig_product_id: Option<Vec<u8>>,
    pub(super) desktop_width: Option<u64>,
    pub(super) desktop_height: Option<u64>,
    pub(super) requested_color_depth: Option<Cow<'static, str>>,
    pub(super) cert_type: Option<Cow<'static, str>>,
    pub(super) cert_count: u64,
    pub(super) cert_permanent: Option<bool>,
    pub(super) encryption_level: Option<Cow<'static, str>>,
    pub(super) encryption_method: Option<Cow<'static, str>>,
}

/// `rdp.log` (scripts/base/protocols/rdp/main.zeek).
pub static LOG: Log = Log {
    path: "rdp",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("cookie", "string"),
        column("result", "string"),
        column("security_protocol", "string"),
        column("client_channels", "vector[string]"),
        column("keyboard_layout", "string"),
        column("client_build", "string"),
        column("client_name", "string"),
        column("client_dig_product_id", "string"),
        column("desktop_width", "count"),
        column("desktop_height", "count"),
        column("requested_color_depth", "string"),
        column("cert_type", "string"),
        column("cert_count", "count"),
        column("cert_permanent", "bool"),
        column("encryption_level", "string"),
        column("encryption_method", "string"),
    ],
};

impl Record for Rdp {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.bytes(self.cookie.as_deref());
        row.symbol(self.result.as_deref());
        row.symbol(self.security_protocol.as_deref());
        row.strings(self.client_channels.as_ref().map(|v| v.iter().map(Vec::as_slice)));
        row.symbol(self.keyboard_layout.as_deref());
        row.symbol(self.client_build.as_deref());
        row.bytes(self.client_name.as_deref());
        row.bytes(self.client_dig_product_id.as_deref());
        row.count(self.desktop_width);
        row.count(self.desktop_height);
        row.symbol(self.requested_color_depth.as_deref());
        row.symbol(self.cert_type.as_deref());
        row.count(Some(self.cert_count));
        row.bool(self.cert_permanent);
        row.symbol(self.encryption_level.as_deref());
        row.symbol(self.encryption_method.as_deref());
    }
}
