//! `kerberos.log`.

use std::borrow::Cow;

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time, Uid};

/// A line of `kerberos.log`: a request and its reply.
#[derive(Debug)]
pub struct Kerberos {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) request_type: Option<&'static str>,
    pub(super) client: Option<Vec<u8>>,
    pub(super) service: Option<Vec<u8>>,
    pub(super) success: Option<bool>,
    pub(super) error_msg: Option<Vec<u8>>,
    pub(super) from: Option<Time>,
    pub(super) till: Option<Time>,
    pub(super) cipher: Option<Cow<'static, str>>,
    pub(super) forwardable: Option<bool>,
    pub(super) renewable: Option<bool>,
    pub(super) client_cert_subject: Option<Vec<u8>>,
    pub(super) client_cert_fuid: Option<Uid>,
    pub(super) server_cert_subject: Option<Vec<u8>>,
    pub(super) server_cert_fuid: Option<Uid>,
}

/// `kerberos.log` (scripts/base/protocols/krb/main.zeek, files.zeek).
pub static LOG: Log = Log {
    path: "kerberos",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("request_type", "string"),
        column("client", "string"),
        column("service", "string"),
        column("success", "bool"),
        column("error_msg", "string"),
        column("from", "time"),
        column("till", "time"),
        column("cipher", "string"),
        column("forwardable", "bool"),
        column("renewable", "bool"),
        column("client_cert_subject", "string"),
        column("client_cert_fuid", "string"),
        column("server_cert_subject", "string"),
        column("server_cert_fuid", "string"),
    ],
};

impl Record for Kerberos {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.symbol(self.request_type);
        row.bytes(self.client.as_deref());
        row.bytes(self.service.as_deref());
        row.bool(self.success);
        row.bytes(self.error_msg.as_deref());
        row.time(self.from);
        row.time(self.till);
        row.symbol(self.cipher.as_deref());
        row.bool(self.forwardable);
        row.bool(self.renewable);
        row.bytes(self.client_cert_subject.as_deref());
        row.uid(self.client_cert_fuid);
        row.bytes(self.server_cert_subject.as_deref());
        row.uid(self.server_cert_fuid);
    }
}
