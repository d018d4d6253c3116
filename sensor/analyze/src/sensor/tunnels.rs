//! Going into tunnels.

use std::net::IpAddr;

use ahash::{AHashMap, AHashSet};

use super::Sensor;
use crate::flow::Flow;
use crate::flow::timers::FlowRef;
use crate::output::Sink;
use crate::packet::ip::Ip;
use crate::packet::link::{self, Found};
use crate::packet::{Below, Layers};
use crate::tunnel::{self, Inner, MAX_CHANGES, MAX_DEPTH, Opened, TunnelRecord, Udp};
use crate::violation::AnalyzerRecord;
use crate::weird::Place;
use crate::{Direction, Endpoint, FlowId, Link, Time, Transport, Uid};

/// Tunnels over IP that are known at once.
const MAX_TUNNELS: usize = 65_536;

/// One tunnel on the way to a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carrier {
    id: FlowId,
    kind: &'static str,
}

/// The tunnels that a packet came through, outermost first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Carriers(Vec<Carrier>);

impl Carriers {
    /// Not tunnelled.
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }

    fn with(&self, carrier: Carrier) -> Self {
        let mut all = self.0.clone();
        all.push(carrier);
        Self(all)
    }

    fn last_uid(&self) -> Option<Uid> {
        self.0.last().map(|carrier| carrier.id.uid)
    }
}

/// What is known of tunnels.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    /// Tunnels directly over IP, which have no flow of their own.
    over_ip: AHashMap<(IpAddr, IpAddr, &'static str), FlowId>,
    /// Tunnels that were logged.
    logged: AHashSet<Uid>,
}

impl Tunnels {
    /// Notes by which tunnels a flow is carried, and logs those that are new.
    pub(super) fn carry(&mut self, flow: &mut Flow, at: Time, carriers: &Carriers, sink: &mut Sink) {
        let current = carriers.last_uid();
        if flow.carrier == current && flow.carrier_known {
            return;
        }
        if flow.carrier_known {
            flow.carrier_changes = flow.carrier_changes.saturating_add(1);
            if flow.carrier_changes > MAX_CHANGES {
                if flow.carrier_changes == MAX_CHANGES + 1 {
                    flow.history.push(b'X');
                }
                return;
            }
        }
        flow.carrier_known = true;
        flow.carrier = current;
        if let Some(uid) = current
            && !flow.tunnels.contains(&uid)
        {
            flow.tunnels.push(uid);
        }
        for carrier in &carriers.0 {
            if self.logged.len() >= MAX_TUNNELS {
                self.logged.clear();
            }
            if self.logged.insert(carrier.id.uid) {
                sink.records.push(Box::new(TunnelRecord::new(at, carrier.id, carrier.kind, "Tunnel::DISCOVER")));
            }
        }
    }

    /// The flow has ended: if it carried a tunnel, so has that.
    pub(super) fn closed(&mut self, flow: &Flow, at: Time, sink: &mut Sink) {
        if let Some(kind) = flow.tunnel
            && self.logged.remove(&flow.id.uid)
        {
            sink.records.push(Box::new(TunnelRecord::new(at, flow.id, kind.kind(), "Tunnel::CLOSE")));
        }
    }
}

impl Sensor {
    /// IP in IP, and GRE.
    pub(super) fn ip_tunnel(&mut self, packet: &Ip<'_>, below: &Below, carriers: &Carriers) {
        let is_gre = packet.protocol == 47;
        let (label, kind) = if is_gre { ("GRE", "Tunnel::GRE") } else { ("IPTUNNEL", "Tunnel::IP") };
        if self.is_too_deep(packet, below, carriers, label) {
            return;
        }
        let inner = if is_gre {
            match tunnel::gre(packet.payload) {
                Opened::Packet(inner) => inner,
                Opened::Weird(name) => {
                    return self.sink.weird_at(below.at, Place::Packet(packet.src, packet.dst), name, None, Some(label));
                }
                Opened::Empty | Opened::Not(_) => return,
            }
        } else {
            Inner::Ip(packet.payload)
        };
        let mut inner_below =
            Below { cut: packet.payload_len.saturating_sub(packet.payload.len()), outer: Some((packet.src, packet.dst)), ..*below };
        if is_gre {
            inner_below.layers.add(Layers::GRE);
            inner_below.mirror_vlan = tunnel::mirrored(packet.payload);
        }
        self.enter_over_ip(packet, kind, inner, &inner_below, carriers);
    }

    fn enter_over_ip(&mut self, packet: &Ip<'_>, kind: &'static str, inner: Inner<'_>, below: &Below, carriers: &Carriers) {
        // What is inside has to be a packet before the tunnel is believed.
        let mut inner_below = *below;
        let Some(bytes) = self.unwrap_inner(packet, inner, &mut inner_below) else { return };
        let id = self.tunnel_over_ip(packet.src, packet.dst, kind);
        self.ip(bytes, &inner_below, &carriers.with(Carrier { id, kind }));
    }

    fn tunnel_over_ip(&mut self, src: IpAddr, dst: IpAddr, kind: &'static str) -> FlowId {
        let key = if src <= dst { (src, dst, kind) } else { (dst, src, kind) };
        if self.tunnels.over_ip.len() >= MAX_TUNNELS && !self.tunnels.over_ip.contains_key(&key) {
            self.tunnels.over_ip.clear();
        }
        let uids = &mut self.sink.uids;
        *self.tunnels.over_ip.entry(key).or_insert_with(|| FlowId {
            uid: uids.flow(),
            orig: Endpoint { addr: src, port: 0 },
            resp: Endpoint { addr: dst, port: 0 },
            transport: Transport::Other(0),
        })
    }

    /// Looks for a tunnel in a datagram; whether the datagram belongs to one.
    pub(super) fn udp_tunnel(
        &mut self,
        flow_ref: FlowRef,
        from: Direction,
        packet: &Ip<'_>,
        data: &[u8],
        below: &Below,
        carriers: &Carriers,
    ) -> bool {
        let Some(flow) = self.get(flow_ref) else { return false };
        let id = flow.id;
        let by_port = Udp::by_port(id.resp.port);
        let candidates: [Option<Udp>; 3] = match flow.tunnel.or(by_port) {
            Some(kind) => [Some(kind), None, None],
            None if flow.volume.orig.packets + flow.volume.resp.packets > 8 => return false,
            None => [Some(Udp::Teredo), Some(Udp::Ayiya), Some(Udp::Gtp)],
        };
        for kind in candidates.into_iter().flatten() {
            // By content alone only a datagram that carries a packet counts; by port, signalling does too.
            let is_sure = flow_is_tunnel(self, flow_ref) || by_port == Some(kind);
            match tunnel::open(kind, data) {
                Opened::Packet(inner) => {
                    if self.is_too_deep(packet, below, carriers, kind.label()) {
                        return true;
                    }
                    let mut inner_below = Below { outer: Some((packet.src, packet.dst)), ..*below };
                    inner_below.vni = tunnel::network(kind, data);
                    if tunnel::is_generic(kind, data) {
                        inner_below.layers.add(Layers::VXLAN_GPE);
                    } else if let Some(layer) = kind.layer() {
                        inner_below.layers.add(layer);
                    }
                    if !is_sure && !looks_like_ip(&inner) {
                        continue;
                    }
                    let bytes = self.unwrap_inner(packet, inner, &mut inner_below);
                    if kind == Udp::Gre {
                        if let Some(bytes) = bytes {
                            let id = self.tunnel_over_ip(packet.src, packet.dst, kind.kind());
                            self.ip(bytes, &inner_below, &carriers.with(Carrier { id, kind: kind.kind() }));
                        }
                        return true;
                    }
                    self.confirm_tunnel(flow_ref, from, kind);
                    if let Some(bytes) = bytes {
                        let id = self.get(flow_ref).map_or(id, |flow| flow.id);
                        self.ip(bytes, &inner_below, &carriers.with(Carrier { id, kind: kind.kind() }));
                    }
                    return true;
                }
                Opened::Empty if is_sure => {
                    return true;
                }
                Opened::Weird(name) if is_sure => {
                    self.confirm_tunnel(flow_ref, from, kind);
                    self.sink.weird_at(below.at, Place::Packet(packet.src, packet.dst), name, None, Some(kind.label()));
                    return true;
                }
                Opened::Not(reason) => {
                    if let Some(flow) = self.get(flow_ref)
                        && flow.tunnel == Some(kind)
                    {
                        let record = AnalyzerRecord::packet(below.at, flow.id, kind.label(), reason);
                        self.sink.records.push(Box::new(record));
                        return true;
                    }
                }
                Opened::Empty | Opened::Weird(_) => {}
            }
        }
        false
    }

    fn confirm_tunnel(&mut self, flow_ref: FlowRef, _from: Direction, kind: Udp) {
        let Some(flow) = self.get(flow_ref) else { return };
        flow.tunnel = Some(kind);
        if let Some(service) = kind.service()
            && !flow.notes.services.contains(&service)
        {
            flow.notes.services.push(service);
        }
    }

    /// The IP packet inside, past what lies below it.
    fn unwrap_inner<'a>(&mut self, packet: &Ip<'_>, inner: Inner<'a>, below: &mut Below) -> Option<&'a [u8]> {
        let found = match inner {
            Inner::Ip(bytes) => Found::Ip(bytes),
            Inner::Ethernet(bytes) => {
                // The inner frame has tags and addresses of its own.
                *below = below.inside();
                link::open(Link::ETHERNET, bytes, below)
            }
            Inner::Type(0x8200, bytes) => link::open(Link::IEEE802_11, bytes, below),
            Inner::Type(kind, bytes) => link::open_ethertype(kind, bytes, below),
            Inner::Ppp(bytes) => link::open_ppp(bytes, below),
        };
        match found {
            Found::Ip(bytes) => Some(bytes),
            Found::Other(payload) => {
                if self.sink.counts
                    && let Some(sessions) = &mut self.sink.sessions
                {
                    sessions.frame(payload, below, Some(packet));
                }
                None
            }
            Found::Weird(name) => {
                let (source, addl) = super::link_source(name);
                self.sink.weird_at(below.at, Place::Nowhere, name, addl, source);
                None
            }
        }
    }

    fn is_too_deep(&mut self, packet: &Ip<'_>, below: &Below, carriers: &Carriers, label: &'static str) -> bool {
        if carriers.0.len() < MAX_DEPTH {
            return false;
        }
        let place = Place::Packet(packet.src, packet.dst);
        self.sink.weird_at(below.at, place, "exceeded_tunnel_max_depth_in_tunnel", None, Some(label));
        true
    }
}

fn flow_is_tunnel(sensor: &mut Sensor, flow: FlowRef) -> bool {
    sensor.get(flow).is_some_and(|flow| flow.tunnel.is_some())
}

/// Whether an inner packet found by content alone is whole: lengths have to fit exactly.
fn looks_like_ip(inner: &Inner<'_>) -> bool {
    let Inner::Ip(bytes) = inner else { return false };
    match bytes.first().map(|b| b >> 4) {
        Some(4) => bytes.get(2..4).is_some_and(|len| {
            usize::from(u16::from_be_bytes([len.first().copied().unwrap_or(0), len.get(1).copied().unwrap_or(0)])) == bytes.len()
        }),
        Some(6) => bytes.get(4..6).is_some_and(|len| {
            usize::from(u16::from_be_bytes([len.first().copied().unwrap_or(0), len.get(1).copied().unwrap_or(0)])) + 40 == bytes.len()
        }),
        _ => false,
    }
}
