//! `sip.log`.

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `sip.log`: a request and a response to it.
#[derive(Clone, Debug)]
pub struct Sip {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) trans_depth: u64,
    pub(super) method: Option<Vec<u8>>,
    pub(super) uri: Option<Vec<u8>>,
    pub(super) date: Option<Vec<u8>>,
    pub(super) request_from: Option<Vec<u8>>,
    pub(super) request_to: Option<Vec<u8>>,
    pub(super) response_from: Option<Vec<u8>>,
    pub(super) response_to: Option<Vec<u8>>,
    pub(super) reply_to: Option<Vec<u8>>,
    pub(super) call_id: Option<Vec<u8>>,
    pub(super) seq: Option<Vec<u8>>,
    pub(super) subject: Option<Vec<u8>>,
    pub(super) request_path: Vec<Vec<u8>>,
    pub(super) response_path: Vec<Vec<u8>>,
    pub(super) user_agent: Option<Vec<u8>>,
    pub(super) status_code: Option<u64>,
    pub(super) status_msg: Option<Vec<u8>>,
    pub(super) warning: Option<Vec<u8>>,
    pub(super) request_body_len: Option<u64>,
    pub(super) response_body_len: Option<u64>,
    pub(super) content_type: Option<Vec<u8>>,
}

/// `sip.log` (scripts/base/protocols/sip/main.zeek).
pub static LOG: Log = Log {
    path: "sip",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("trans_depth", "count"),
        column("method", "string"),
        column("uri", "string"),
        column("date", "string"),
        column("request_from", "string"),
        column("request_to", "string"),
        column("response_from", "string"),
        column("response_to", "string"),
        column("reply_to", "string"),
        column("call_id", "string"),
        column("seq", "string"),
        column("subject", "string"),
        column("request_path", "vector[string]"),
        column("response_path", "vector[string]"),
        column("user_agent", "string"),
        column("status_code", "count"),
        column("status_msg", "string"),
        column("warning", "string"),
        column("request_body_len", "count"),
        column("response_body_len", "count"),
        column("content_type", "string"),
    ],
};

impl Record for Sip {
    fn log(&self) -> &'static Log {
        &LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.count(Some(self.trans_depth));
        row.bytes(self.method.as_deref());
        row.bytes(self.uri.as_deref());
        row.bytes(self.date.as_deref());
        row.bytes(self.request_from.as_deref());
        row.bytes(self.request_to.as_deref());
        row.bytes(self.response_from.as_deref());
        row.bytes(self.response_to.as_deref());
        row.bytes(self.reply_to.as_deref());
        row.bytes(self.call_id.as_deref());
        row.bytes(self.seq.as_deref());
        row.bytes(self.subject.as_deref());
        row.strings(Some(self.request_path.iter().map(Vec::as_slice)));
        row.strings(Some(self.response_path.iter().map(Vec::as_slice)));
        row.bytes(self.user_agent.as_deref());
        row.count(self.status_code);
        row.bytes(self.status_msg.as_deref());
        row.bytes(self.warning.as_deref());
        row.count(self.request_body_len);
        row.count(self.response_body_len);
        row.bytes(self.content_type.as_deref());
    }
}
