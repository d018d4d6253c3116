//! Arkime sessions: one document a flow, in the shape of Arkime 6.7's index `sessions3`.
//!
//! Only what `conn.log` knows is here; the protocol groups come with the issue on sessions.

use super::json::Json;
use crate::{ConnRecord, Endpoint, Transport};

/// Appends the document of a flow and a line feed. `node` is the sensor's name.
pub fn session(record: &ConnRecord, node: &str, out: &mut Vec<u8>) {
    let first = record.at.micros().div_euclid(1000);
    let duration = record.duration.map_or(0, |duration| duration.0);
    let last = record.at.micros().saturating_add(duration).div_euclid(1000);
    Json::object(out, |json| {
        json.integer("firstPacket", first);
        json.integer("lastPacket", last);
        json.integer("length", last - first);
        json.number("ipProtocol", u64::from(record.ip_proto));
        json.integer("@timestamp", last);
        let side = |json: &mut Json<'_>, end: Endpoint, ip_bytes: u64, packets: u64| {
            json.str("ip", &end.addr.to_string());
            json.number("port", if record.id.transport == Transport::Icmp { 0 } else { u64::from(end.port) });
            json.number("bytes", ip_bytes);
            json.number("packets", packets);
        };
        json.child("source", |json| side(json, record.id.orig, record.ip_bytes.orig, record.packets.orig));
        json.child("destination", |json| side(json, record.id.resp, record.ip_bytes.resp, record.packets.resp));
        json.child("client", |json| json.number("bytes", record.bytes.orig));
        json.child("server", |json| json.number("bytes", record.bytes.resp));
        json.number("totDataBytes", record.bytes.orig.saturating_add(record.bytes.resp));
        json.child("network", |json| {
            json.number("packets", record.packets.orig + record.packets.resp);
            json.number("bytes", record.ip_bytes.orig + record.ip_bytes.resp);
            json.str("community_id", &crate::community::id(&record.id, record.ip_proto));
            if let Some(vlan) = record.vlan {
                let ids = [Some(vlan), record.inner_vlan];
                json.child("vlan", |json| {
                    json.integers("id", ids.into_iter().flatten().map(i64::from));
                    json.number("id-cnt", ids.iter().flatten().count() as u64);
                });
            }
        });
        let mut protocols: Vec<&str> = record.service.iter().map(|name| arkime_name(name)).collect();
        protocols.push(record.id.transport.name());
        protocols.sort_unstable();
        protocols.dedup();
        json.strings("protocol", protocols.iter().map(|name| name.as_bytes()));
        json.number("protocolCnt", protocols.len() as u64);
        json.number("segmentCnt", 1);
        json.str("node", node);
        json.child("event", |json| {
            json.str("provider", "arkime");
            json.str("dataset", "session");
        });
    });
    out.push(b'\n');
}

/// Arkime's name of a protocol that Zeek names otherwise.
fn arkime_name(service: &'static str) -> &'static str {
    match service {
        "ssl" => "tls",
        "krb" | "krb_tcp" => "krb5",
        "postgresql" => "postgresql",
        name => name,
    }
}
