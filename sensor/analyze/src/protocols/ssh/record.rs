//! `ssh.log`.

use crate::log::{Log, Record, Row, column, malcolm};
use crate::{FlowId, Time};

/// A line of `ssh.log`.
#[derive(Clone, Debug)]
pub struct Ssh {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) version: Option<u8>,
    pub(super) auth_success: Option<bool>,
    pub(super) auth_attempts: u64,
    pub(super) direction: Option<&'static str>,
    pub(super) client: Option<Vec<u8>>,
    pub(super) server: Option<Vec<u8>>,
    pub(super) algorithms: Option<Box<Algorithms>>,
    pub(super) host_key_fingerprint: Option<String>,
    pub(super) client_hassh: Option<Box<Hassh>>,
    pub(super) server_hassh: Option<Box<Hassh>>,
}

/// What both sides have in common.
#[derive(Clone, Debug)]
pub(super) struct Algorithms {
    pub(super) cipher: Vec<u8>,
    pub(super) mac: Vec<u8>,
    pub(super) compression: Vec<u8>,
    pub(super) kex: Vec<u8>,
    pub(super) host_key: Vec<u8>,
}

/// The fingerprint of one side's KEXINIT (Salesforce's HASSH).
#[derive(Clone, Debug)]
pub(super) struct Hassh {
    pub(super) hash: String,
    pub(super) algorithms: Vec<u8>,
    pub(super) host_keys: Vec<u8>,
}

/// `ssh.log` (scripts/base/protocols/ssh/main.zeek; the HASSH columns are of Malcolm's package). Locations stay
/// unset: the collector looks addresses up.
pub static LOG: Log = Log {
    path: "ssh",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("version", "count"),
        column("auth_success", "bool"),
        column("auth_attempts", "count"),
        column("direction", "enum"),
        column("client", "string"),
        column("server", "string"),
        column("cipher_alg", "string"),
        column("mac_alg", "string"),
        column("compression_alg", "string"),
        column("kex_alg", "string"),
        column("host_key_alg", "string"),
        column("host_key_fingerprint", "string"),
        malcolm("remote_location.country_code", "string"),
        malcolm("remote_location.region", "string"),
        malcolm("remote_location.city", "string"),
        malcolm("remote_location.latitude", "double"),
        malcolm("remote_location.longitude", "double"),
        malcolm("hasshVersion", "string"),
        malcolm("hassh", "string"),
        malcolm("hasshServer", "string"),
        malcolm("cshka", "string"),
        malcolm("hasshAlgorithms", "string"),
        malcolm("sshka", "string"),
        malcolm("hasshServerAlgorithms", "string"),
    ],
};

impl Record for Ssh {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        let agreed = self.algorithms.as_deref();
        let (client, server) = (self.client_hassh.as_deref(), self.server_hassh.as_deref());
        row.flow(self.at, &self.id);
        row.count(self.version.map(u64::from));
        row.bool(self.auth_success);
        row.count(Some(self.auth_attempts));
        row.symbol(self.direction);
        row.bytes(self.client.as_deref());
        row.bytes(self.server.as_deref());
        row.bytes(agreed.map(|a| a.cipher.as_slice()));
        row.bytes(agreed.map(|a| a.mac.as_slice()));
        row.bytes(agreed.map(|a| a.compression.as_slice()));
        row.bytes(agreed.map(|a| a.kex.as_slice()));
        row.bytes(agreed.map(|a| a.host_key.as_slice()));
        row.symbol(self.host_key_fingerprint.as_deref());
        row.symbol(None);
        row.symbol(None);
        row.symbol(None);
        row.double(None);
        row.double(None);
        row.symbol((client.is_some() || server.is_some()).then_some("1.0"));
        row.symbol(client.map(|h| h.hash.as_str()));
        row.symbol(server.map(|h| h.hash.as_str()));
        row.bytes(client.map(|h| h.host_keys.as_slice()));
        row.bytes(client.map(|h| h.algorithms.as_slice()));
        row.bytes(server.map(|h| h.host_keys.as_slice()));
        row.bytes(server.map(|h| h.algorithms.as_slice()));
    }
}
