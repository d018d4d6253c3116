//! The document of a session, in the shape of Arkime's index.

use std::net::IpAddr;

use super::Session;
use crate::log::arkime::places;
use crate::log::arkime::tcp::Tcp;
use crate::log::{Fields, Json};
use crate::{FlowId, Time, Transport, Uid};

impl Session {
    /// Writes the document and a line feed. `node` is the sensor's name.
    pub fn write(&self, node: &str, out: &mut Vec<u8>) {
        self.document(node, &self.fields, out);
    }

    /// As [`Session::write`], for Malcolm: with the operator's tags, and with the provider and the dataset that its
    /// sensors have Arkime write.
    pub fn write_for_malcolm(&self, node: &str, tags: &[String], out: &mut Vec<u8>) {
        let begin = out.len();
        if tags.is_empty() {
            self.document(node, &self.fields, out);
        } else {
            let mut fields = self.fields.clone();
            tags.iter().for_each(|tag| fields.tag(tag));
            self.document(node, &fields, out);
        }
        // In place of the document's own brace.
        out.splice(begin..=begin, *br#"{"event":{"provider":"arkime","dataset":"session"},"#);
    }

    fn document(&self, node: &str, fields: &Fields, out: &mut Vec<u8>) {
        let millis = |at: Time| at.0.div_euclid(1_000_000);
        let (first, last) = (millis(self.first), millis(self.last));
        let (from, until) = (millis(self.range.0), millis(self.range.1));
        Json::object(out, |json| {
            json.child("packetRange", |json| {
                json.integer("gte", from);
                json.integer("lte", until);
            });
            json.integer("firstPacket", first);
            json.integer("lastPacket", last);
            json.integer("length", until - from);
            json.number("ipProtocol", u64::from(self.ip_proto));
            json.some_number("ethertype", self.ethertype.map(u64::from));
            if let Some(tcp) = &self.tcp {
                write_tcp(tcp, json);
            }
            json.integer("@timestamp", last);
            self.write_sides(json);
            json.number("segmentCnt", self.segment);
            json.str("node", node);
            json.some_str("rootId", self.root.as_deref());
            if !self.places.is_empty() || self.segment > 1 {
                json.integers("packetPos", places::coded(&self.places));
                json.integers("packetLen", self.places.iter().map(|place| i64::from(place.length)));
            }
            json.integers("fileId", places::files(&self.places));
            fields.write(json);
        });
        out.push(b'\n');
    }

    fn write_sides(&self, json: &mut Json<'_>) {
        let (orig, resp) = (&self.sides.orig, &self.sides.resp);
        let ends = [("source", self.source, orig), ("destination", self.destination, resp)];
        for (name, end, side) in ends {
            json.child(name, |json| {
                if self.ip_proto != 0 {
                    json.str("ip", &end.addr.to_string());
                    json.number("port", u64::from(end.port));
                }
                json.number("bytes", side.bytes);
                json.number("packets", side.packets);
                write_macs("mac", "mac-cnt", &side.macs, json);
            });
        }
        let names = [
            (orig, "srcPayload8", "srcTTL", "srcTTLCnt", "srcDscp", "srcDscpCnt", "srcOuterIp", "srcOuterIpCnt"),
            (resp, "dstPayload8", "dstTTL", "dstTTLCnt", "dstDscp", "dstDscpCnt", "dstOuterIp", "dstOuterIpCnt"),
        ];
        for (side, payload, ttl, ttl_count, dscp, dscp_count, outer, outer_count) in names {
            if !side.first.is_empty() {
                json.str(payload, &hex(&side.first));
            }
            write_bytes(ttl, ttl_count, &side.ttls, json);
            write_bytes(dscp, dscp_count, &side.dscps, json);
            if !side.outer.is_empty() {
                let texts: Vec<_> = side.outer.iter().map(IpAddr::to_string).collect();
                json.strings(outer, texts.iter().map(String::as_bytes));
                json.number(outer_count, texts.len() as u64);
            }
        }
        write_macs("srcOuterMac", "srcOuterMac-cnt", &orig.outer_macs, json);
        write_macs("dstOuterMac", "dstOuterMac-cnt", &resp.outer_macs, json);
        json.child("network", |json| {
            json.number("packets", orig.packets + resp.packets);
            json.number("bytes", orig.bytes + resp.bytes);
            json.some_str("community_id", self.community_id().as_deref());
            if !self.vlans.is_empty() {
                json.child("vlan", |json| {
                    json.integers("id", self.vlans.iter().map(|id| i64::from(*id)));
                    json.number("id-cnt", self.vlans.len() as u64);
                });
            }
        });
        if !self.vlans.is_empty() {
            json.child("dot1q", |json| {
                json.integers("id", self.vlans.iter().map(|id| i64::from(*id)));
                json.number("idCnt", self.vlans.len() as u64);
            });
        }
        json.child("client", |json| json.number("bytes", orig.data));
        json.child("server", |json| json.number("bytes", resp.data));
        json.number("totDataBytes", orig.data.saturating_add(resp.data));
    }

    /// Only of the protocols that Arkime computes it for.
    fn community_id(&self) -> Option<String> {
        if self.lease.is_some() {
            return None;
        }
        if !matches!(self.ip_proto, 1 | 6 | 17 | 50 | 58 | 132) || self.transport == Transport::Other(17) {
            return None;
        }
        let (mut orig, mut resp) = (self.source, self.destination);
        if let Some((kind, code)) = self.icmp {
            orig.port = u16::from(kind);
            resp.port = crate::icmp::counterpart(self.ip_proto, kind, code).0;
        }
        let uid = Uid::default();
        let flow = FlowId { uid, orig, resp, transport: self.transport };
        let id = if self.ip_proto == 50 { crate::community::id_with_ports } else { crate::community::id };
        Some(id(&flow, self.ip_proto))
    }
}

fn write_tcp(tcp: &Tcp, json: &mut Json<'_>) {
    let flags = tcp.flags;
    json.child("tcpflags", |json| {
        json.number("syn", flags.syn);
        json.number("syn-ack", flags.syn_ack);
        json.number("ack", flags.ack);
        json.number("psh", flags.psh);
        json.number("fin", flags.fin);
        json.number("rst", flags.rst);
        json.number("urg", flags.urg);
        json.number("ece", flags.ece);
        json.number("cwr", flags.cwr);
        json.number("ae", flags.ae);
        json.number("srcZero", flags.zero.orig);
        json.number("dstZero", flags.zero.resp);
    });
    if let Some(time) = tcp.round_trip() {
        json.integer("initRTT", time);
    }
    if tcp.has_syn() {
        json.child("tcpseq", |json| {
            json.some_number("src", tcp.seq.orig.map(u64::from));
            json.some_number("dst", tcp.seq.resp.map(u64::from));
        });
        json.bool("tcpSynValidated", tcp.syn_validated);
        json.bool("tcpSynAckValidated", tcp.syn_ack_validated);
    }
    if tcp.isn_count() > 0 {
        json.number("srcISNCnt", tcp.isn_count());
    }
}

fn write_macs(name: &str, count: &str, macs: &[[u8; 6]], json: &mut Json<'_>) {
    if macs.is_empty() {
        return;
    }
    let texts: Vec<_> = macs.iter().map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":")).collect();
    json.strings(name, texts.iter().map(String::as_bytes));
    json.number(count, texts.len() as u64);
}

fn write_bytes(name: &str, count: &str, values: &[u8], json: &mut Json<'_>) {
    if !values.is_empty() {
        json.integers(name, values.iter().map(|value| i64::from(*value)));
        json.number(count, values.len() as u64);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
