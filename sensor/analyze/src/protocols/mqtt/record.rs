//! `mqtt_connect.log`, `mqtt_publish.log` and `mqtt_subscribe.log`.

use std::borrow::Cow;

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `mqtt_connect.log`: a connect request and its answer.
#[derive(Clone, Debug)]
pub struct Connect {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) proto_name: Option<Vec<u8>>,
    pub(super) proto_version: Option<Cow<'static, str>>,
    pub(super) client_id: Option<Vec<u8>>,
    pub(super) connect_status: Option<Cow<'static, str>>,
    pub(super) will_topic: Option<Vec<u8>>,
    pub(super) will_payload: Option<Vec<u8>>,
}

/// `mqtt_connect.log` (scripts/base/protocols/mqtt/main.zeek).
pub static CONNECT_LOG: Log = Log {
    path: "mqtt_connect",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("proto_name", "string"),
        column("proto_version", "string"),
        column("client_id", "string"),
        column("connect_status", "string"),
        column("will_topic", "string"),
        column("will_payload", "string"),
    ],
};

impl Record for Connect {
    fn log(&self) -> &'static Log {
        &CONNECT_LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.bytes(self.proto_name.as_deref());
        row.symbol(self.proto_version.as_deref());
        row.bytes(self.client_id.as_deref());
        row.symbol(self.connect_status.as_deref());
        row.bytes(self.will_topic.as_deref());
        row.bytes(self.will_payload.as_deref());
    }
}

/// A line of `mqtt_publish.log`: a message published to or by the client.
#[derive(Debug)]
pub struct Publish {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) from_client: bool,
    pub(super) retain: bool,
    pub(super) qos: Cow<'static, str>,
    pub(super) status: &'static str,
    pub(super) topic: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) payload_len: u64,
}

/// `mqtt_publish.log` ().
pub static PUBLISH_LOG: Log = Log {
    path: "mqtt_publish",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("from_client", "bool"),
        column("retain", "bool"),
        column("qos", "string"),
        column("status", "string"),
        column("topic", "string"),
        column("payload", "string"),
        column("payload_len", "count"),
    ],
};

impl Record for Publish {
    fn log(&self) -> &'static Log {
        &PUBLISH_LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.bool(Some(self.from_client));
        row.bool(Some(self.retain));
        row.symbol(Some(&self.qos));
        row.symbol(Some(self.status));
        row.bytes(Some(&self.topic));
        row.bytes(Some(&self.payload));
        row.count(Some(self.payload_len));
    }
}

/// A line of `mqtt_subscribe.log`: a subscription or its end.
#[derive(Debug)]
pub struct Subscribe {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) action: &'static str,
    pub(super) topics: Vec<Vec<u8>>,
    pub(super) qos_levels: Option<Vec<u64>>,
    pub(super) granted_qos_level: Option<u64>,
    pub(super) ack: bool,
}

/// `mqtt_subscribe.log` ().
pub static SUBSCRIBE_LOG: Log = Log {
    path: "mqtt_subscribe",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("action", "enum"),
        column("topics", "vector[string]"),
        column("qos_levels", "vector[count]"),
        column("granted_qos_level", "count"),
        column("ack", "bool"),
    ],
};

impl Record for Subscribe {
    fn log(&self) -> &'static Log {
        &SUBSCRIBE_LOG
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.flow(self.at, &self.id);
        row.symbol(Some(self.action));
        row.strings(Some(self.topics.iter().map(Vec::as_slice)));
        row.counts(self.qos_levels.as_ref().map(|v| v.iter().copied()));
        row.count(self.granted_qos_level);
        row.bool(Some(self.ack));
    }
}
