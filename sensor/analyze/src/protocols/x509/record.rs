//! `x509.log`.

use std::borrow::Cow;
use std::net::IpAddr;

use super::{Fingerprint, Key};
use crate::Time;
use crate::log::{Log, Record, Row, column};

/// A line of `x509.log`.
#[derive(Debug)]
pub struct X509 {
    pub(super) at: Time,
    pub(super) fingerprint: Fingerprint,
    pub(super) version: u64,
    pub(super) serial: String,
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) not_valid_before: Time,
    pub(super) not_valid_after: Time,
    pub(super) key_alg: Cow<'static, str>,
    pub(super) sig_alg: Cow<'static, str>,
    pub(super) key: Key,
    pub(super) dns: Vec<Vec<u8>>,
    pub(super) uri: Vec<Vec<u8>>,
    pub(super) email: Vec<Vec<u8>>,
    pub(super) ip: Vec<IpAddr>,
    pub(super) authority: Option<bool>,
    pub(super) path_len: Option<u64>,
    pub(super) host_cert: bool,
    pub(super) client_cert: bool,
}

/// `x509.log` (scripts/base/files/x509/main.zeek).
pub static LOG: Log = Log {
    path: "x509",
    columns: &[
        column("ts", "time"),
        column("fingerprint", "string"),
        column("certificate.version", "count"),
        column("certificate.serial", "string"),
        column("certificate.subject", "string"),
        column("certificate.issuer", "string"),
        column("certificate.not_valid_before", "time"),
        column("certificate.not_valid_after", "time"),
        column("certificate.key_alg", "string"),
        column("certificate.sig_alg", "string"),
        column("certificate.key_type", "string"),
        column("certificate.key_length", "count"),
        column("certificate.exponent", "string"),
        column("certificate.curve", "string"),
        column("san.dns", "vector[string]"),
        column("san.uri", "vector[string]"),
        column("san.email", "vector[string]"),
        column("san.ip", "vector[addr]"),
        column("basic_constraints.ca", "bool"),
        column("basic_constraints.path_len", "count"),
        column("host_cert", "bool"),
        column("client_cert", "bool"),
    ],
};

impl Record for X509 {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.time(Some(self.at));
        row.symbol(Some(&hex::encode(self.fingerprint)));
        row.count(Some(self.version));
        row.symbol(Some(&self.serial));
        row.bytes(Some(&self.subject));
        row.bytes(Some(&self.issuer));
        row.time(Some(self.not_valid_before));
        row.time(Some(self.not_valid_after));
        row.symbol(Some(&self.key_alg));
        row.symbol(Some(&self.sig_alg));
        row.symbol(self.key.kind);
        row.count(self.key.length);
        row.symbol(self.key.exponent.as_deref());
        row.symbol(self.key.curve);
        for names in [&self.dns, &self.uri, &self.email] {
            row.strings((!names.is_empty()).then(|| names.iter().map(Vec::as_slice)));
        }
        row.addrs((!self.ip.is_empty()).then(|| self.ip.iter().copied()));
        row.bool(self.authority);
        row.count(self.path_len);
        row.bool(Some(self.host_cert));
        row.bool(Some(self.client_cert));
    }
}
