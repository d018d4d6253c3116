//! `analyzer.log`: protocols that were confirmed and then broken.

use crate::log::{Log, Record, Row, column};
use crate::{FlowId, Time};

/// A line of `analyzer.log`.
#[derive(Debug)]
pub struct AnalyzerRecord {
    at: Time,
    id: FlowId,
    kind: &'static str,
    name: &'static str,
    reason: &'static str,
    data: Option<Vec<u8>>,
}

/// `analyzer.log` (scripts/base/frameworks/analyzer/logging.zeek).
pub static ANALYZER: Log = Log {
    path: "analyzer",
    columns: &[
        column("ts", "time"),
        column("analyzer_kind", "string"),
        column("analyzer_name", "string"),
        column("uid", "string"),
        column("fuid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("proto", "enum"),
        column("failure_reason", "string"),
        column("failure_data", "string"),
    ],
};

impl AnalyzerRecord {
    /// An application protocol; `data` is the beginning of what broke it.
    pub(crate) fn protocol(at: Time, id: FlowId, name: &'static str, reason: &'static str, data: &[u8]) -> Self {
        Self { at, id, kind: "protocol", name, reason, data: (!data.is_empty()).then(|| data.to_vec()) }
    }

    /// A tunnel.
    pub(crate) const fn packet(at: Time, id: FlowId, name: &'static str, reason: &'static str) -> Self {
        Self { at, id, kind: "packet", name, reason, data: None }
    }
}

impl Record for AnalyzerRecord {
    fn log(&self) -> &'static Log {
        &ANALYZER
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.time(Some(self.at));
        row.symbol(Some(self.kind));
        row.symbol(Some(self.name));
        row.uid(Some(self.id.uid));
        row.uid(None);
        row.tuple(Some(&self.id));
        row.symbol(Some(self.id.transport.name()));
        row.string(Some(self.reason));
        row.bytes(self.data.as_deref());
    }
}
