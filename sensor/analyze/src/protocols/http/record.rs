//! `http.log`.

use crate::log::{Eve, Log, Record, Row, column, malcolm};
use crate::{Direction, FlowId, Time, Uid};

/// Files of one direction of a transaction that are logged. Zeek's `HTTP::max_files_orig` and `_resp`.
const MAX_FILES: usize = 15;

/// Files that were transferred in one direction.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Their uids.
    pub fuids: Vec<Uid>,
    /// Names that headers told, of those that had one.
    pub names: Vec<Vec<u8>>,
    /// MIME types by content, of those that have one.
    pub mimes: Vec<&'static str>,
}

impl Files {
    pub(super) fn opened(&mut self, fuid: Uid, name: Option<Vec<u8>>) {
        if self.fuids.len() < MAX_FILES {
            self.fuids.push(fuid);
            self.names.extend(name);
        }
    }

    pub(super) fn judged(&mut self, mime: Option<&'static str>) {
        if self.mimes.len() < MAX_FILES {
            self.mimes.extend(mime);
        }
    }
}

/// Fields by which WebSocket is agreed on (RFC 6455 §4).
#[derive(Clone, Debug, Default)]
pub(super) struct Offer {
    pub(super) subprotocol: Option<Vec<u8>>,
    pub(super) client_protocols: Vec<Vec<u8>>,
    pub(super) server_extensions: Vec<Vec<u8>>,
    pub(super) client_extensions: Vec<Vec<u8>>,
}

/// A line of `http.log`: a request and its response.
#[derive(Clone, Debug)]
pub struct HttpRecord {
    /// Time of the request.
    pub at: Time,
    /// The flow.
    pub id: FlowId,
    /// Place of the transaction in its connection, from 1.
    pub trans_depth: u64,
    /// Method.
    pub method: Option<Vec<u8>>,
    /// `Host` field.
    pub host: Option<Vec<u8>>,
    /// Request target, unescaped.
    pub uri: Option<Vec<u8>>,
    /// `Referer` field.
    pub referrer: Option<Vec<u8>>,
    /// Version of the response.
    pub version: Option<(u8, u8)>,
    /// `User-Agent` field.
    pub user_agent: Option<Vec<u8>>,
    /// `Origin` field.
    pub origin: Option<Vec<u8>>,
    /// Bytes of the request's body, decoded.
    pub request_body_len: u64,
    /// Bytes of the response's body, decoded.
    pub response_body_len: u64,
    /// Status of the response.
    pub status_code: Option<u64>,
    /// Reason phrase.
    pub status_msg: Option<Vec<u8>>,
    /// Last status of class 1xx.
    pub info_code: Option<u64>,
    /// Its reason phrase.
    pub info_msg: Option<Vec<u8>>,
    /// User name of basic authentication.
    pub username: Option<Vec<u8>>,
    /// Fields that tell of a proxy, as `NAME -> value`.
    pub proxied: Vec<Vec<u8>>,
    /// Files of the request.
    pub orig_files: Files,
    /// Files of the response.
    pub resp_files: Files,
    /// Names of the request's fields, upper case (Malcolm).
    pub client_header_names: Vec<Vec<u8>>,
    /// Names of the response's fields, upper case (Malcolm).
    pub server_header_names: Vec<Vec<u8>>,
    /// Whether a part of the resource was asked for.
    pub(super) is_range: bool,
    /// What both sides said of WebSocket.
    pub(super) websocket: Offer,
    /// Name of the entity at hand.
    pub(super) filename: Option<Vec<u8>>,
}

/// `http.log` (scripts/base/protocols/http/{main,entities}.zeek; Malcolm's columns: zeek-columns of 26.08).
pub static HTTP: Log = Log {
    path: "http",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("trans_depth", "count"),
        column("method", "string"),
        column("host", "string"),
        column("uri", "string"),
        column("referrer", "string"),
        column("version", "string"),
        column("user_agent", "string"),
        column("origin", "string"),
        column("request_body_len", "count"),
        column("response_body_len", "count"),
        column("status_code", "count"),
        column("status_msg", "string"),
        column("info_code", "count"),
        column("info_msg", "string"),
        column("tags", "set[enum]"),
        column("username", "string"),
        column("password", "string"),
        column("proxied", "set[string]"),
        malcolm("ja4h", "string"),
        column("orig_fuids", "vector[string]"),
        column("orig_filenames", "vector[string]"),
        column("orig_mime_types", "vector[string]"),
        column("resp_fuids", "vector[string]"),
        column("resp_filenames", "vector[string]"),
        column("resp_mime_types", "vector[string]"),
        malcolm("client_header_names", "vector[string]"),
        malcolm("server_header_names", "vector[string]"),
        malcolm("post_username", "string"),
        malcolm("post_password_plain", "string"),
        malcolm("post_password_md5", "string"),
        malcolm("post_password_sha1", "string"),
        malcolm("post_password_sha256", "string"),
    ],
};

impl HttpRecord {
    pub(super) fn new(at: Time, id: FlowId, trans_depth: u64) -> Self {
        Self {
            at,
            id,
            trans_depth,
            method: None,
            host: None,
            uri: None,
            referrer: None,
            version: None,
            user_agent: None,
            origin: None,
            request_body_len: 0,
            response_body_len: 0,
            status_code: None,
            status_msg: None,
            info_code: None,
            info_msg: None,
            username: None,
            proxied: Vec::new(),
            orig_files: Files::default(),
            resp_files: Files::default(),
            client_header_names: Vec::new(),
            server_header_names: Vec::new(),
            is_range: false,
            websocket: Offer::default(),
            filename: None,
        }
    }

    pub(super) fn is_informational(&self) -> bool {
        self.status_code.is_some_and(|code| (100..200).contains(&code))
    }
}

impl Record for HttpRecord {
    fn log(&self) -> &'static Log {
        &HTTP
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.count(Some(self.trans_depth));
        row.bytes(self.method.as_deref());
        row.bytes(self.host.as_deref());
        row.bytes(self.uri.as_deref());
        row.bytes(self.referrer.as_deref());
        row.symbol(self.version.map(|(major, minor)| format!("{major}.{minor}")).as_deref());
        row.bytes(self.user_agent.as_deref());
        row.bytes(self.origin.as_deref());
        row.count(Some(self.request_body_len));
        row.count(Some(self.response_body_len));
        row.count(self.status_code);
        row.bytes(self.status_msg.as_deref());
        row.count(self.info_code);
        row.bytes(self.info_msg.as_deref());
        row.strings(Some(std::iter::empty()));
        row.bytes(self.username.as_deref());
        // Zeek's HTTP::default_capture_password is off, and so is ours.
        row.symbol(None);
        row.strings(some(&self.proxied));
        // JA4H is under a licence that this product cannot meet.
        row.symbol(None);
        for files in [&self.orig_files, &self.resp_files] {
            row.uids((!files.fuids.is_empty()).then(|| files.fuids.iter().copied()));
            row.strings(some(&files.names));
            row.strings((!files.mimes.is_empty()).then(|| files.mimes.iter().map(|mime| mime.as_bytes())));
        }
        row.strings(some(&self.client_header_names));
        row.strings(some(&self.server_header_names));
        for _ in 0..5 {
            row.symbol(None);
        }
    }

    fn buffers(&self, show: &mut dyn FnMut(&'static str, Direction, &[u8])) {
        let status = self.status_code.map(|code| code.to_string());
        for (name, from, value) in [
            ("http.method", Direction::Originator, self.method.as_deref()),
            ("http.uri", Direction::Originator, self.uri.as_deref()),
            ("http.host", Direction::Originator, self.host.as_deref()),
            ("http.user_agent", Direction::Originator, self.user_agent.as_deref()),
            ("http.referer", Direction::Originator, self.referrer.as_deref()),
            ("http.stat_code", Direction::Responder, status.as_deref().map(str::as_bytes)),
            ("http.stat_msg", Direction::Responder, self.status_msg.as_deref()),
        ] {
            if let Some(value) = value {
                show(name, from, value);
            }
        }
    }

    fn flow(&self) -> Option<&FlowId> {
        Some(&self.id)
    }

    /// Suricata's `http` event.
    fn eve(&self, eve: &mut Eve<'_>) {
        eve.event("http", self.at, &self.id, |json| {
            json.number("tx_id", self.trans_depth.saturating_sub(1));
            json.child("http", |json| {
                json.some_bytes("hostname", self.host.as_deref());
                json.some_bytes("url", self.uri.as_deref());
                json.some_bytes("http_user_agent", self.user_agent.as_deref());
                json.some_bytes("http_refer", self.referrer.as_deref());
                json.some_bytes("http_method", self.method.as_deref());
                json.some_str("protocol", self.version.map(|(major, minor)| format!("HTTP/{major}.{minor}")).as_deref());
                json.some_number("status", self.status_code);
                json.number("length", self.response_body_len);
            });
        });
    }
}

fn some(values: &[Vec<u8>]) -> Option<impl Iterator<Item = &[u8]>> {
    (!values.is_empty()).then(|| values.iter().map(Vec::as_slice))
}
