//! Community ID v1: a hash of the flow's tuple that other tools compute the same way
//! (the specification of Corelight, github.com/corelight/community-id-spec, seed 0).

use std::net::IpAddr;

use sha1::{Digest, Sha1};

use crate::{FlowId, Transport};

/// The identifier, with its version prefix `1:`.
pub(crate) fn id(flow: &FlowId, ip_proto: u8) -> String {
    hash(flow, ip_proto, matches!(ip_proto, 1 | 6 | 17 | 58 | 132))
}

/// As [`id`], with the ports in any case: what Arkime does for ESP, whose ports are zero.
pub(crate) fn id_with_ports(flow: &FlowId, ip_proto: u8) -> String {
    hash(flow, ip_proto, true)
}

fn hash(flow: &FlowId, ip_proto: u8, has_ports: bool) -> String {
    let (orig, resp) = (flow.orig, flow.resp);
    // One-way ICMP types have no counterpart: the tuple is not ordered.
    let one_way = flow.transport == Transport::Icmp && !crate::icmp::has_counterpart(ip_proto, orig.port);
    let ordered = one_way || (bytes(orig.addr), orig.port) <= (bytes(resp.addr), resp.port);
    let (low, high) = if ordered { (orig, resp) } else { (resp, orig) };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    hash.update(bytes(low.addr));
    hash.update(bytes(high.addr));
    hash.update([ip_proto, 0]);
    if has_ports {
        hash.update(low.port.to_be_bytes());
        hash.update(high.port.to_be_bytes());
    }
    let mut text = String::from("1:");
    base64(&hash.finalize(), &mut text);
    text
}

fn bytes(addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// RFC 4648 §4, with padding.
pub(crate) fn base64(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let mut word = [0u8; 4];
        for (slot, byte) in word.iter_mut().skip(1).zip(chunk) {
            *slot = *byte;
        }
        let word = u32::from_be_bytes(word);
        for place in 0..4 {
            if place <= chunk.len() {
                let digit = (word >> (18 - 6 * place)) & 63;
                out.push(char::from(DIGITS.get(digit as usize).copied().unwrap_or(b'A')));
            } else {
                out.push('=');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoint, UidSource};

    fn flow(orig: &str, orig_port: u16, resp: &str, resp_port: u16, transport: Transport) -> FlowId {
        FlowId {
            uid: UidSource::new(1).flow(),
            orig: Endpoint { addr: orig.parse().unwrap(), port: orig_port },
            resp: Endpoint { addr: resp.parse().unwrap(), port: resp_port },
            transport,
        }
    }

    // Vectors from the specification's baseline for its tcp.pcap, udp.pcap and icmp.pcap.
    #[test]
    fn the_vectors_of_the_specification_are_met() {
        let tcp = flow("128.232.110.120", 34855, "66.35.250.204", 80, Transport::Tcp);
        assert_eq!(id(&tcp, 6), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        let udp = flow("192.168.1.52", 54585, "8.8.8.8", 53, Transport::Udp);
        assert_eq!(id(&udp, 17), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
        let icmp = flow("192.168.0.89", 8, "192.168.0.1", 0, Transport::Icmp);
        assert_eq!(id(&icmp, 1), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
    }
}
