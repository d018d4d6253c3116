//! EVE: the same records as events of Suricata 8's `eve.json`.

use std::net::IpAddr;

use super::json::Json;
use crate::{FlowId, Time, Transport, Uid};

/// Takes the events of records, one line each.
pub struct Eve<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Eve<'o> {
    /// Appends lines to `out`.
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Writes one event of a flow: the fields that all have, then those that `write` adds.
    pub fn event(&mut self, kind: &str, at: Time, id: &FlowId, write: impl FnOnce(&mut Json<'_>)) {
        Json::object(self.out, |json| {
            json.str("timestamp", &timestamp(at));
            json.number("flow_id", flow_number(id.uid));
            json.str("event_type", kind);
            json.str("src_ip", &address(id.orig.addr));
            if matches!(id.transport, Transport::Tcp | Transport::Udp) {
                json.number("src_port", u64::from(id.orig.port));
            }
            json.str("dest_ip", &address(id.resp.addr));
            if matches!(id.transport, Transport::Tcp | Transport::Udp) {
                json.number("dest_port", u64::from(id.resp.port));
            }
            json.str("proto", &protocol(id));
            json.number("ip_v", if id.orig.addr.is_ipv4() { 4 } else { 6 });
            write(json);
        });
        self.out.push(b'\n');
    }
}

/// Suricata's spelling of a time in UTC: `2009-10-05T06:06:08.219663+0000`.
pub fn timestamp(at: Time) -> String {
    let (year, month, day) = crate::time::civil(at.secs());
    let rest = at.secs().rem_euclid(86_400);
    let micros = at.micros().rem_euclid(1_000_000);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}+0000", rest / 3600, rest / 60 % 60, rest % 60)
}

/// A number for the flow that JSON readers keep exact: the low 53 bits of what the uid is made of.
fn flow_number(uid: Uid) -> u64 {
    uid.low() & ((1 << 53) - 1)
}

/// Suricata writes IPv6 addresses with all their digits.
fn address(addr: IpAddr) -> String {
    match addr {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => v6.segments().iter().map(|s| format!("{s:04x}")).collect::<Vec<_>>().join(":"),
    }
}

fn protocol(id: &FlowId) -> String {
    match id.transport {
        Transport::Tcp => "TCP".to_owned(),
        Transport::Udp => "UDP".to_owned(),
        Transport::Icmp if id.orig.addr.is_ipv4() => "ICMP".to_owned(),
        Transport::Icmp => "IPv6-ICMP".to_owned(),
        Transport::Other(132) => "SCTP".to_owned(),
        Transport::Other(number) => format!("{number:03}"),
    }
}
