//! `dns.log`.

use std::borrow::Cow;

use crate::log::{Eve, Log, Record, Row, column};
use crate::{FlowId, Interval, Time};

/// A line of `dns.log`: a query, its reply, or both once they have met.
#[derive(Debug)]
pub struct Dns {
    pub(super) at: Time,
    pub(super) id: FlowId,
    pub(super) trans_id: u16,
    pub(super) rtt: Option<Interval>,
    pub(super) query: Option<Vec<u8>>,
    pub(super) qclass: Option<u16>,
    pub(super) qtype: Option<(u16, Cow<'static, str>)>,
    pub(super) rcode: Option<u8>,
    pub(super) authoritative: bool,
    pub(super) truncated: bool,
    pub(super) recursion_desired: bool,
    pub(super) recursion_available: bool,
    pub(super) zero: u8,
    pub(super) answers: Vec<(Vec<u8>, u32)>,
    pub(super) rejected: bool,
    pub(super) opcode: u8,
    pub(super) saw_query: bool,
    pub(super) saw_reply: bool,
}

/// `dns.log` (scripts/base/protocols/dns/main.zeek).
pub static DNS: Log = Log {
    path: "dns",
    columns: &[
        column("ts", "time"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("proto", "enum"),
        column("trans_id", "count"),
        column("rtt", "interval"),
        column("query", "string"),
        column("qclass", "count"),
        column("qclass_name", "string"),
        column("qtype", "count"),
        column("qtype_name", "string"),
        column("rcode", "count"),
        column("rcode_name", "string"),
        column("AA", "bool"),
        column("TC", "bool"),
        column("RD", "bool"),
        column("RA", "bool"),
        column("Z", "count"),
        column("answers", "vector[string]"),
        column("TTLs", "vector[interval]"),
        column("rejected", "bool"),
        column("opcode", "count"),
        column("opcode_name", "string"),
    ],
};

impl Record for Dns {
    fn log(&self) -> &'static Log {
        &DNS
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        let answers = (!self.answers.is_empty()).then_some(&self.answers);
        row.flow(self.at, &self.id);
        row.symbol(Some(self.id.transport.name()));
        row.count(Some(u64::from(self.trans_id)));
        row.interval(self.rtt);
        row.bytes(self.query.as_deref());
        row.count(self.qclass.map(u64::from));
        row.symbol(self.qclass.map(super::consts::query_class).as_deref());
        row.count(self.qtype.as_ref().map(|&(n, _)| u64::from(n)));
        row.symbol(self.qtype.as_ref().map(|(_, name)| &**name));
        row.count(self.rcode.map(u64::from));
        row.symbol(self.rcode.map(super::consts::rcode).as_deref());
        row.bool(Some(self.authoritative));
        row.bool(Some(self.truncated));
        row.bool(Some(self.recursion_desired));
        row.bool(Some(self.recursion_available));
        row.count(Some(u64::from(self.zero)));
        row.strings(answers.map(|all| all.iter().map(|(text, _)| text.as_slice())));
        row.intervals(answers.map(|all| all.iter().map(|&(_, ttl)| Interval::from_secs(i64::from(ttl)))));
        row.bool(Some(self.rejected));
        row.count(Some(u64::from(self.opcode)));
        row.symbol(Some(&super::consts::opcode_name(self.opcode, self.id.resp.port == super::NETBIOS_PORT)));
    }

    fn buffers(&self, show: &mut dyn FnMut(&'static str, crate::Direction, &[u8])) {
        if let Some(query) = &self.query {
            show("dns.query", crate::Direction::Originator, query);
        }
    }

    fn flow(&self) -> Option<&FlowId> {
        Some(&self.id)
    }

    /// Suricata's `dns` events (version 3): one for the request, one for the response.
    fn eve(&self, eve: &mut Eve<'_>) {
        let mut event = |at, kind: &str, is_response: bool| {
            eve.event("dns", at, &self.id, |json| {
                json.child("dns", |json| {
                    json.number("version", 3);
                    json.str("type", kind);
                    json.number("tx_id", 0);
                    json.number("id", u64::from(self.trans_id));
                    json.bool("rd", self.recursion_desired);
                    if is_response {
                        json.bool("ra", self.recursion_available);
                        json.some_str("rcode", self.rcode.map(super::consts::rcode).as_deref());
                    }
                    json.number("opcode", u64::from(self.opcode));
                    json.objects("queries", self.query.iter(), |json, query| {
                        json.bytes("rrname", query);
                        json.some_str("rrtype", self.qtype.as_ref().map(|(_, name)| &**name));
                    });
                    if is_response {
                        json.objects("answers", &self.answers, |json, (text, ttl)| {
                            json.bytes("rdata", text);
                            json.number("ttl", u64::from(*ttl));
                        });
                    }
                });
            });
        };
        if self.saw_query {
            event(self.at, "request", false);
        }
        if self.saw_reply {
            event(self.rtt.map_or(self.at, |rtt| self.at + rtt), "response", true);
        }
    }
}
