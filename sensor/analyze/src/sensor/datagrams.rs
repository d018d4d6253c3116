//! UDP, ICMP, and whatever else travels over IP.

use super::tunnels::Carriers;
use super::{NewFlow, Sensor, split};
use crate::flow::ports;
use crate::packet::ip::Ip;
use crate::packet::{Below, checksum};
use crate::weird::Place;
use crate::{Direction, Endpoint, Reader, Transport, detect, icmp};

impl Sensor {
    pub(super) fn udp(&mut self, packet: &Ip<'_>, below: &Below, carriers: &Carriers) {
        if !self.has_header(packet, below, 8, "UDP") {
            return;
        }
        let mut r = Reader::new(packet.payload);
        let (Some(src_port), Some(dst_port), Some(len), Some(sum)) = (r.u16(), r.u16(), r.u16(), r.u16()) else { return };
        let src = Endpoint { addr: packet.src, port: src_port };
        let dst = Endpoint { addr: packet.dst, port: dst_port };
        let flip = ports::is_server(Transport::Udp, src_port) && !ports::is_server(Transport::Udp, dst_port) && !is_broadcast(packet);
        let (flow_ref, from) =
            self.flow(&NewFlow { src, dst, transport: Transport::Udp, ip_proto: packet.protocol, one_way: false, flip, below, carriers });
        let checksums = self.sink.options.checksums;
        let Some(index) = self.slots.get_mut(flow_ref.index as usize) else { return };
        let Some(flow) = index.flow.as_deref_mut() else { return };
        let volume = flow.volume.of_mut(from);
        volume.packets += 1;
        volume.ip_bytes += packet.total_len as u64;
        self.tunnels.carry(flow, below.at, carriers, &mut self.sink);
        let is_whole = packet.payload.len() >= packet.payload_len;
        // VXLAN's outer checksum may be zero also over IPv6 (RFC 6935).
        let optional = sum == 0 && (packet.src.is_ipv4() || dst_port == 4789);
        if checksums && is_whole && !optional {
            let start = checksum::pseudo(packet.src, packet.dst, 17, packet.payload.len());
            if !checksum::is_valid(checksum::sum(packet.payload, start)) {
                flow.history.scaled(from, b'C', flow.bad_checksums.of_mut(from));
                let id = flow.id;
                self.sink.weird(below.at, Some(&id), "bad_UDP_checksum", None, None);
                return self.leniently(below.at, |sensor| {
                    sensor.sink.counts = true;
                    sensor.udp(packet, below, carriers);
                    sensor.sink.counts = false;
                });
            }
        }
        flow.last = below.at;
        let on_wire = u64::from(len).saturating_sub(8);
        let id = flow.id;
        let payload = &mut flow.volume.of_mut(from).payload;
        *payload = Some(payload.unwrap_or(0) + on_wire);
        flow.notes.bytes = flow.notes.bytes.saturating_add(on_wire);
        flow.history.once(from, b'D');
        if usize::from(len) != packet.payload_len {
            let addl = format!("{len} != {}", packet.payload_len);
            self.sink.weird(below.at, Some(&id), "UDP_datagram_length_mismatch", Some(addl.as_bytes()), None);
        }
        // What follows the datagram in the packet is padding.
        let data = r.take_up_to(packet.payload_len.saturating_sub(8));
        let is_established = flow.volume.orig.payload.is_some() && flow.volume.resp.payload.is_some();
        detect::show(self.sink.detect.as_mut(), below.at, &id, from, is_established, &flow.notes, data);
        let inner_below = Below { cut: packet.payload_len.saturating_sub(packet.payload.len()), ..*below };
        if self.udp_tunnel(flow_ref, from, packet, data, &inner_below, carriers) {
            return;
        }
        if self.count_of(flow_ref, packet, below, true) {
            self.leniently(below.at, |sensor| sensor.udp(packet, below, carriers));
        }
        let Some(flow) = self.slots.get_mut(flow_ref.index as usize).and_then(|slot| slot.flow.as_deref_mut()) else { return };
        if flow.app.is_interested() {
            let (app, mut scene) = split(flow, below.at, &mut self.sink);
            app.datagram(&mut scene, from, data);
            if std::mem::take(&mut flow.notes.flip) {
                flow.flip();
            }
        }
    }

    pub(super) fn icmp(&mut self, packet: &Ip<'_>, below: &Below, carriers: &Carriers) {
        if !self.has_header(packet, below, 8, "ICMP") {
            return;
        }
        self.count(packet, below, true);
        let mut r = Reader::new(packet.payload);
        let (Some(kind), Some(code)) = (r.u8(), r.u8()) else { return };
        let (resp_port, one_way) = icmp::counterpart(packet.protocol, kind, code);
        let (flow_ref, from) = self.flow(&NewFlow {
            src: Endpoint { addr: packet.src, port: u16::from(kind) },
            dst: Endpoint { addr: packet.dst, port: resp_port },
            transport: Transport::Icmp,
            ip_proto: packet.protocol,
            one_way,
            flip: false,
            below,
            carriers,
        });
        let checksums = self.sink.options.checksums;
        let Some(flow) = self.slots.get_mut(flow_ref.index as usize).and_then(|slot| slot.flow.as_deref_mut()) else { return };
        self.tunnels.carry(flow, below.at, carriers, &mut self.sink);
        let volume = flow.volume.of_mut(from);
        volume.packets += 1;
        volume.ip_bytes += packet.total_len as u64;
        let id = flow.id;
        if checksums && packet.payload.len() >= packet.payload_len {
            let start = if packet.protocol == 58 { checksum::pseudo(packet.src, packet.dst, 58, packet.payload.len()) } else { 0 };
            if !checksum::is_valid(checksum::sum(packet.payload, start)) {
                return self.sink.weird(below.at, Some(&id), "bad_ICMP_checksum", None, None);
            }
        }
        flow.last = below.at;
        let payload = &mut flow.volume.of_mut(from).payload;
        *payload = Some(payload.unwrap_or(0) + packet.payload_len.saturating_sub(8) as u64);
        let data = packet.payload.get(8..).unwrap_or_default();
        detect::show(self.sink.detect.as_mut(), below.at, &id, from, !from.is_orig(), &flow.notes, data);
    }

    /// Protocols without ports: a flow by addresses and protocol number.
    pub(super) fn other(&mut self, packet: &Ip<'_>, below: &Below, carriers: &Carriers) {
        self.count(packet, below, true);
        let (flow_ref, from) = self.flow(&NewFlow {
            src: Endpoint { addr: packet.src, port: 0 },
            dst: Endpoint { addr: packet.dst, port: 0 },
            transport: Transport::Other(packet.protocol),
            ip_proto: packet.protocol,
            one_way: false,
            flip: false,
            below,
            carriers,
        });
        let Some(flow) = self.slots.get_mut(flow_ref.index as usize).and_then(|slot| slot.flow.as_deref_mut()) else { return };
        self.tunnels.carry(flow, below.at, carriers, &mut self.sink);
        let volume = flow.volume.of_mut(from);
        volume.packets += 1;
        volume.ip_bytes += packet.total_len as u64;
        flow.last = below.at;
    }

    /// Whether the transport header is there; names what is wrong otherwise.
    pub(super) fn has_header(&mut self, packet: &Ip<'_>, below: &Below, len: usize, label: &'static str) -> bool {
        let name = if packet.payload_len < len {
            "truncated_header"
        } else if packet.payload.len() < len {
            "internally_truncated_header"
        } else {
            return true;
        };
        self.counters.malformed += 1;
        self.sink.weird_at(below.at, Place::Packet(packet.src, packet.dst), name, None, Some(label));
        false
    }
}

pub(super) fn is_broadcast(packet: &Ip<'_>) -> bool {
    matches!(packet.dst, std::net::IpAddr::V4(v4) if v4.is_broadcast())
}

/// The side that a packet of a flow comes from, when the flow may just have been turned round.
pub(super) const fn after_flip(from: Direction, flipped: bool) -> Direction {
    if flipped { from.flip() } else { from }
}
