//! `ocsp.log`.

use std::borrow::Cow;

use crate::log::{Log, Record, Row, column};
use crate::{Time, Uid};

/// A line of `ocsp.log`: what a server says of a certificate.
#[derive(Debug)]
pub struct Ocsp {
    pub(super) at: Time,
    pub(super) fuid: Uid,
    pub(super) algorithm: Cow<'static, str>,
    pub(super) name_hash: String,
    pub(super) key_hash: String,
    pub(super) serial: String,
    pub(super) status: &'static str,
    pub(super) revoked: Option<Time>,
    pub(super) reason: Option<Cow<'static, str>>,
    pub(super) this_update: Time,
    pub(super) next_update: Option<Time>,
}

/// `ocsp.log` (scripts/policy/files/x509/log-ocsp.zeek).
pub static LOG: Log = Log {
    path: "ocsp",
    columns: &[
        column("ts", "time"),
        column("id", "string"),
        column("hashAlgorithm", "string"),
        column("issuerNameHash", "string"),
        column("issuerKeyHash", "string"),
        column("serialNumber", "string"),
        column("certStatus", "string"),
        column("revoketime", "time"),
        column("revokereason", "string"),
        column("thisUpdate", "time"),
        column("nextUpdate", "time"),
    ],
};

impl Record for Ocsp {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.time(Some(self.at));
        row.uid(Some(self.fuid));
        row.symbol(Some(&self.algorithm));
        row.symbol(Some(&self.name_hash));
        row.symbol(Some(&self.key_hash));
        row.symbol(Some(&self.serial));
        row.symbol(Some(self.status));
        row.time(self.revoked);
        row.symbol(self.reason.as_deref());
        row.time(Some(self.this_update));
        row.time(self.next_update);
    }
}
