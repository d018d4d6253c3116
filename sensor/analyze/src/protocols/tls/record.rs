//! `ssl.log`.

use std::borrow::Cow;

use super::names;
use crate::log::{Eve, Log, Record, Row, column, malcolm};
use crate::protocols::x509::Fingerprint;
use crate::{FlowId, Time};

/// A line of `ssl.log`.
#[derive(Clone, Debug)]
pub struct Ssl {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) version: Option<u16>,
    pub(super) cipher: Option<u32>,
    pub(super) curve: Option<u16>,
    pub(super) server_name: Option<Vec<u8>>,
    pub(super) resumed: bool,
    pub(super) last_alert: Option<u8>,
    pub(super) next_protocol: Option<Vec<u8>>,
    pub(super) established: bool,
    pub(super) history: Vec<u8>,
    /// Fingerprints of the server's and the client's chain, once any certificate was sent.
    pub(super) chains: Option<(Vec<Fingerprint>, Vec<Fingerprint>)>,
    pub(super) sni_matches_cert: Option<bool>,
    pub(super) ja4: Option<String>,
}

/// `ssl.log` (scripts/base/protocols/ssl/main.zeek and files.zeek). Malcolm's `ja4s` stays unset: that fingerprint
/// is not free to be sold. `validation_status` is unset too: nothing is verified here.
pub static LOG: Log = Log {
    path: "ssl",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("version", "string"),
        column("cipher", "string"),
        column("curve", "string"),
        column("server_name", "string"),
        column("resumed", "bool"),
        column("last_alert", "string"),
        column("next_protocol", "string"),
        column("established", "bool"),
        column("ssl_history", "string"),
        column("cert_chain_fps", "vector[string]"),
        column("client_cert_chain_fps", "vector[string]"),
        column("sni_matches_cert", "bool"),
        malcolm("ja4", "string"),
        malcolm("ja4s", "string"),
        malcolm("validation_status", "string"),
    ],
};

impl Record for Ssl {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.symbol(self.version.map(names::version_name).as_deref());
        row.symbol(self.cipher.map(super::ciphers::name).as_deref());
        row.symbol(self.curve.map(names::group).as_deref());
        row.bytes(self.server_name.as_deref());
        row.bool(Some(self.resumed));
        row.symbol(self.last_alert.map(names::alert).as_deref());
        row.bytes(self.next_protocol.as_deref());
        row.bool(Some(self.established));
        row.bytes(Some(&self.history));
        let (server, client) = self.chains.as_ref().map_or((None, None), |(server, client)| (Some(server), Some(client)));
        for chain in [server, client] {
            let hex: Option<Vec<String>> = chain.map(|chain| chain.iter().map(hex::encode).collect());
            row.strings(hex.as_ref().map(|hex| hex.iter().map(String::as_bytes)));
        }
        row.bool(self.sni_matches_cert);
        row.symbol(self.ja4.as_deref());
        let none: Option<Cow<'static, str>> = None;
        row.symbol(none.as_deref());
        row.symbol(none.as_deref());
    }

    fn buffers(&self, show: &mut dyn FnMut(&'static str, crate::Direction, &[u8])) {
        if let Some(name) = &self.server_name {
            show("tls.sni", crate::Direction::Originator, name);
        }
    }

    fn flow(&self) -> Option<&FlowId> {
        Some(&self.id)
    }

    /// Suricata's `tls` event.
    fn eve(&self, eve: &mut Eve<'_>) {
        eve.event("tls", self.at, &self.id, |json| {
            json.child("tls", |json| {
                json.some_bytes("sni", self.server_name.as_deref());
                json.some_str("version", self.version.map(eve_version));
                json.bool("session_resumed", self.resumed);
                json.some_str("ja4", self.ja4.as_deref());
                if let Some(alpn) = &self.next_protocol {
                    json.strings("server_alpns", [alpn.as_slice()]);
                }
            });
        });
    }
}

/// Suricata's spelling of a version.
const fn eve_version(version: u16) -> &'static str {
    match version {
        0x0002 => "SSLv2",
        0x0300 => "SSLv3",
        0x0301 => "TLSv1",
        0x0302 => "TLS 1.1",
        0x0303 => "TLS 1.2",
        0x0304 => "TLS 1.3",
        0xfeff => "DTLS 1.0",
        0xfefd => "DTLS 1.2",
        0xfefc => "DTLS 1.3",
        _ => "UNDETERMINED",
    }
}
