//! Requests and responses paired, as `http.log` pairs them.
//!
//! Zeek numbers requests and responses apart and lets them meet by number; a message that ends after its pair was
//! written starts a new one. The bookkeeping here is that of scripts/base/protocols/http/main.zeek.

use std::collections::BTreeMap;

use super::record::{Files, HttpRecord};
use super::wire::Version;
use crate::log::Profile;
use crate::protocols::websocket::WebSocketRecord;
use crate::{Direction, FlowId, Output, Time, Uid, mime};

/// Requests without a response. Zeek's `HTTP::max_pending_requests`.
const MAX_PENDING: usize = 100;

/// Fields that tell of a proxy. Zeek's `HTTP::proxy_headers`.
const PROXY_FIELDS: &[&[u8]] =
    &[b"FORWARDED", b"X-FORWARDED-FOR", b"X-FORWARDED-FROM", b"CLIENT-IP", b"VIA", b"XROXY-CONNECTION", b"PROXY-CONNECTION"];

/// Zeek's `HTTP::http_methods`; others are named as weird.
const METHODS: &[&[u8]] = &[
    b"GET",
    b"POST",
    b"HEAD",
    b"OPTIONS",
    b"PUT",
    b"DELETE",
    b"TRACE",
    b"CONNECT",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"POLL",
    b"REPORT",
    b"SUBSCRIBE",
    b"BMOVE",
    b"SEARCH",
    b"QUERY",
];

/// Names of header fields kept of one message (Malcolm's columns).
const MAX_FIELD_NAMES: usize = 100;

/// The transactions of one connection.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    pending: BTreeMap<u64, HttpRecord>,
    request: u64,
    response: u64,
    depth: u64,
}

impl Transactions {
    /// A request line came.
    pub(super) fn request(&mut self, method: &[u8], uri: Vec<u8>, out: &mut Output<'_>) {
        if self.request < self.response {
            out.weird("HTTP_response_before_request");
            self.request = self.response;
        }
        if self.pending.len() > MAX_PENDING {
            out.weird("HTTP_excessive_pipelining");
            self.response = self.response.max(1);
            while self.response < self.request {
                if let Some(record) = self.pending.remove(&self.response) {
                    out.record(record);
                }
                self.response += 1;
            }
        }
        self.request += 1;
        let record = self.of(Direction::Originator, out.at, out.id);
        record.method = Some(method.to_vec());
        record.uri = Some(uri);
        if !METHODS.contains(&method) {
            out.weird_detail("unknown_HTTP_method", Some(method), None);
        }
    }

    /// A status line came.
    pub(super) fn response(&mut self, version: Version, code: u64, reason: Vec<u8>, out: &mut Output<'_>) {
        let goes_on = self.pending.get(&self.response).is_some_and(|r| r.status_code.is_none() || r.is_informational());
        if !goes_on {
            self.response += 1;
        }
        let record = self.of(Direction::Responder, out.at, out.id);
        record.status_code = Some(code);
        record.version = Some(version);
        if (100..200).contains(&code) {
            record.info_code = Some(code);
            record.info_msg = Some(reason.clone());
        }
        record.status_msg = Some(reason);
    }

    /// The WebSocket connection that the response at hand agrees to.
    pub(super) fn websocket(&mut self, out: &Output<'_>) -> WebSocketRecord {
        let record = self.of(Direction::Responder, out.at, out.id).clone();
        WebSocketRecord {
            at: out.at,
            id: out.id,
            host: record.host,
            uri: record.uri,
            user_agent: record.user_agent,
            subprotocol: record.websocket.subprotocol,
            client_protocols: record.websocket.client_protocols,
            server_extensions: record.websocket.server_extensions,
            client_extensions: record.websocket.client_extensions,
        }
    }

    /// Whether the response at hand answers a request of this method.
    pub(super) fn is_method(&self, method: &[u8]) -> bool {
        self.pending.get(&self.response).and_then(|r| r.method.as_deref()) == Some(method)
    }

    /// Whether the request of the response at hand asked for a part.
    pub(super) fn is_range(&self) -> bool {
        self.pending.get(&self.response).is_some_and(|r| r.is_range)
    }

    /// What the resource of the response at hand is called, for parts of it that come on several connections.
    pub(super) fn resource(&self) -> Vec<u8> {
        let Some(record) = self.pending.get(&self.response) else { return Vec::new() };
        let mut name = record.host.clone().unwrap_or_default();
        name.extend_from_slice(record.uri.as_deref().unwrap_or_default());
        name
    }

    /// An entity begins.
    pub(super) fn entity(&mut self, from: Direction, out: &Output<'_>) {
        self.of(from, out.at, out.id).filename = None;
    }

    /// A header field came.
    pub(super) fn field(&mut self, from: Direction, name: &[u8], value: &[u8], top: bool, out: &mut Output<'_>) {
        let named = out.options().profile == Profile::Malcolm;
        let record = self.of(from, out.at, out.id);
        let upper = name.to_ascii_uppercase();
        if named && top {
            let names = if from.is_orig() { &mut record.client_header_names } else { &mut record.server_header_names };
            if names.len() < MAX_FIELD_NAMES {
                names.push(upper.clone());
            }
        }
        match &*upper {
            b"CONTENT-DISPOSITION" if has_name(value, b"filename") => record.filename = super::wire::filename(value),
            b"CONTENT-TYPE" if has_name(value, b"name") => record.filename = super::wire::filename(value),
            b"SEC-WEBSOCKET-PROTOCOL" if from.is_orig() => record.websocket.client_protocols = list(value),
            b"SEC-WEBSOCKET-PROTOCOL" => record.websocket.subprotocol = Some(value.to_vec()),
            b"SEC-WEBSOCKET-EXTENSIONS" if from.is_orig() => record.websocket.client_extensions = list(value),
            b"SEC-WEBSOCKET-EXTENSIONS" => record.websocket.server_extensions = list(value),
            _ => {}
        }
        if !from.is_orig() {
            return;
        }
        let value = || Some(value.to_vec());
        match &*upper {
            b"REFERER" => record.referrer = value(),
            b"HOST" => record.host = value(),
            b"RANGE" => record.is_range = true,
            b"ORIGIN" => record.origin = value(),
            b"USER-AGENT" => record.user_agent = value(),
            b"AUTHORIZATION" | b"PROXY-AUTHORIZATION" => {
                if let Some(credentials) = basic(value().unwrap_or_default().as_slice()) {
                    let (user, missing) = user_of(credentials, value().unwrap_or_default().as_slice());
                    record.username = Some(user);
                    if let Some(missing) = missing {
                        let addl = format!("incomplete base64 group, padding with {} bits of 0", u32::from(missing) * 6);
                        out.weird_detail("base64_illegal_encoding", Some(addl.as_bytes()), None);
                    }
                }
            }
            name if PROXY_FIELDS.contains(&name) => {
                let text = [name, b" -> ", value().unwrap_or_default().as_slice()].concat();
                if !record.proxied.contains(&text) {
                    record.proxied.push(text);
                }
            }
            _ => {}
        }
    }

    /// A file of the message at hand begins: notes it, and gives the name that its header told.
    pub(super) fn file_name(&mut self, from: Direction, out: &Output<'_>) -> Option<Vec<u8>> {
        self.of(from, out.at, out.id).filename.clone()
    }

    pub(super) fn file_opened(&mut self, from: Direction, fuid: Uid, out: &Output<'_>) {
        let record = self.of(from, out.at, out.id);
        let name = record.filename.clone();
        files(record, from).opened(fuid, name);
    }

    /// The type of a file became known.
    pub(super) fn file_judged(&mut self, from: Direction, mime: Option<&'static str>, out: &Output<'_>) {
        let record = self.of(from, out.at, out.id);
        files(record, from).judged(mime);
    }

    /// A message has ended; the response's end writes the record.
    pub(super) fn done(&mut self, from: Direction, body_len: u64, out: &mut Output<'_>) {
        let record = self.of(from, out.at, out.id);
        if from.is_orig() {
            record.request_body_len = body_len;
            return;
        }
        record.response_body_len = body_len;
        if !record.is_informational()
            && let Some(record) = self.pending.remove(&self.response)
        {
            out.record(record);
        }
    }

    /// The connection is over: what is pending is written as it is.
    pub(super) fn finish(&mut self, out: &mut Output<'_>) {
        for (number, record) in std::mem::take(&mut self.pending) {
            if number != 0 {
                out.record(record);
            }
        }
    }

    fn of(&mut self, from: Direction, at: Time, id: FlowId) -> &mut HttpRecord {
        let number = if from.is_orig() { self.request } else { self.response };
        let depth = &mut self.depth;
        self.pending.entry(number).or_insert_with(|| {
            *depth += 1;
            HttpRecord::new(at, id, *depth)
        })
    }
}

/// The items of a list in one field; a bounded number of them.
fn list(value: &[u8]) -> Vec<Vec<u8>> {
    value.split(|b| *b == b',').map(|item| item.trim_ascii().to_vec()).filter(|item| !item.is_empty()).take(MAX_FIELD_NAMES).collect()
}

fn files(record: &mut HttpRecord, from: Direction) -> &mut Files {
    if from.is_orig() { &mut record.orig_files } else { &mut record.resp_files }
}

/// Whether a value has a parameter of this name (with or without RFC 5987's star).
fn has_name(value: &[u8], name: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    memchr::memmem::find(&lower, name).is_some_and(|at| {
        let rest = lower.get(at + name.len()..).unwrap_or_default().trim_ascii_start();
        rest.strip_prefix(b"*").unwrap_or(rest).starts_with(b"=")
    })
}

/// The credentials of basic authentication (RFC 7617).
fn basic(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    scheme.eq_ignore_ascii_case(b"basic ").then(|| rest.trim_ascii())
}

/// The user, and how many digits the encoding lacked.
fn user_of(credentials: &[u8], value: &[u8]) -> (Vec<u8>, Option<u8>) {
    let (decoded, missing) = match mime::decode_base64(credentials) {
        Ok(decoded) => (decoded, None),
        Err((decoded, missing)) => (decoded, Some(missing)),
    };
    match memchr::memchr(b':', &decoded) {
        Some(colon) => (decoded.get(..colon).unwrap_or_default().to_vec(), missing),
        None => ([b"<problem-decoding> (", value, b")"].concat(), missing),
    }
}
