//! One session: what its packets tell.

mod document;

use std::net::IpAddr;

use super::identity::Identity;
use super::lease::Lease;
use super::places::Place;
use super::stray::Stray;
use super::table::Alone;
use super::talk::Talk;
use super::tcp::{NO_ANSWER, Segment, Tcp};
use super::{Fields, SESSIONS};
use crate::flow::key::Key;
use crate::log::{Log, Record, Row};
use crate::packet::ip::Ip;
use crate::packet::{Below, Layers};
use crate::{Direction, Endpoint, Pair, Time, Transport};

/// Different values of a packet's header that are remembered of a session (addresses, tags, hop counts).
const MAX_VALUES: usize = 64;
/// Packets of each side whose headers are looked at for addresses, tags and hop counts: Arkime's are the same.
const EARLY: u64 = 10;
/// Hardware addresses that are remembered of each side.
const MAX_MACS: usize = 4;
/// Bytes of each side's payload that are shown.
const FIRST_BYTES: usize = 8;

/// What one side's packets tell.
#[derive(Clone, Debug, Default)]
struct Side {
    packets: u64,
    bytes: u64,
    data: u64,
    macs: Vec<[u8; 6]>,
    outer_macs: Vec<[u8; 6]>,
    outer: Vec<IpAddr>,
    ttls: Vec<u8>,
    dscps: Vec<u8>,
    first: Vec<u8>,
}

/// One session, or one segment of a long one.
#[derive(Debug)]
pub struct Session {
    seed: u64,
    serial: u64,
    key: Key,
    source: Endpoint,
    destination: Endpoint,
    transport: Transport,
    ip_proto: u8,
    first: Time,
    /// Time of the packet that came last; packets may come in another order than that of their times.
    last: Time,
    /// The least and the greatest time of a packet.
    range: (Time, Time),
    ethertype: Option<u16>,
    sides: Pair<Side>,
    vlans: Vec<u16>,
    places: Vec<Place>,
    tcp: Option<Box<Tcp>>,
    lease: Option<Lease>,
    /// Type and code of the first ICMP message.
    icmp: Option<(u8, u8)>,
    is_closed: bool,
    save_at: Option<Time>,
    segment: u64,
    /// Id of the first segment, once there is a second.
    root: Option<String>,
    /// A packet's checksum was wrong.
    pub(super) is_unsound: bool,
    /// Bytes are missing in the stream.
    pub(super) is_stalled: bool,
    /// It was one segment of a connection.
    is_alone: bool,
    /// Recognises the session by its first bytes, and reads what no analyzer does.
    talk: Talk,
    /// What the analyzers found.
    pub(super) fields: Fields,
}

impl Session {
    #[expect(clippy::too_many_arguments, reason = "what a session is known by, from its first packet")]
    pub(super) fn new(
        serial: u64,
        key: Key,
        source: Endpoint,
        destination: Endpoint,
        transport: Transport,
        ip_proto: u8,
        name: &'static str,
        below: &Below,
    ) -> Self {
        let mut fields = Fields::new(below.at);
        fields.protocol(name);
        Self {
            seed: 0,
            serial,
            key,
            source,
            destination,
            transport,
            ip_proto,
            first: below.at,
            last: below.at,
            range: (below.at, below.at),
            ethertype: below.ethertype,
            sides: Pair::default(),
            vlans: Vec::new(),
            places: Vec::new(),
            tcp: (ip_proto == 6).then(Box::default),
            lease: None,
            icmp: None,
            is_closed: false,
            save_at: None,
            segment: 1,
            root: None,
            is_unsound: false,
            is_stalled: false,
            is_alone: false,
            talk: Talk::default(),
            fields,
        }
    }

    /// All of one client's DHCP.
    pub(super) fn of_lease(mut self, lease: Option<Lease>) -> Self {
        self.lease = lease;
        lease.iter().for_each(|lease| self.fields.protocol(lease.name()));
        self
    }

    pub(super) const fn seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Whether what analyzers find is told: Arkime reads a TCP stream from its handshake on, as long as no bytes are
    /// missing.
    pub(super) fn is_followed(&self) -> bool {
        self.is_alone || !self.is_stalled && self.tcp.as_ref().is_none_or(|tcp| tcp.is_followed())
    }

    pub(super) fn begins_anew(&mut self) {
        self.talk.begins_anew();
    }

    pub(super) const fn serial(&self) -> u64 {
        self.serial
    }

    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    /// Time of the first packet.
    #[must_use]
    pub const fn first(&self) -> Time {
        self.first
    }

    /// Time of the last packet.
    #[must_use]
    pub const fn last(&self) -> Time {
        self.last
    }

    pub(super) const fn ip_proto(&self) -> u8 {
        self.ip_proto
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Where its packets are kept, in the order in which they came.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    pub(super) fn is_closing(&self) -> bool {
        self.tcp.as_ref().is_some_and(|tcp| tcp.is_closing())
    }

    pub(super) fn is_from(&self, src: Endpoint, dst: Endpoint) -> bool {
        if self.lease.is_some() {
            // Client and server may have other addresses from message to message.
            return self.source.port == src.port && self.destination.port == dst.port;
        }
        self.source == src && self.destination == dst
    }

    /// Counts a packet; whether it has closed the session.
    pub(super) fn packet(&mut self, from: Direction, packet: &Ip<'_>, below: &Below, segment: Option<Segment>) -> bool {
        self.frame_from(from, below);
        let side = self.sides.of_mut(from);
        if side.packets <= EARLY {
            remember(&mut side.ttls, packet.ttl);
            if packet.tos >> 2 != 0 {
                remember(&mut side.dscps, packet.tos >> 2);
            }
        }
        let header = match packet.protocol {
            6 => return segment.is_some_and(|segment| self.segment(from, packet, below, segment)),
            17 | 50 => 8,
            1 | 58 => {
                if let Some(&[kind, code, ..]) = packet.payload.get(..2) {
                    self.icmp.get_or_insert((kind, code));
                    self.fields.bare_number("icmp.type", i64::from(kind));
                    self.fields.bare_number("icmp.code", i64::from(code));
                }
                0
            }
            132 => 12,
            _ => return false,
        };
        let side = self.sides.of_mut(from);
        side.data = side.data.saturating_add(packet.payload_len.saturating_sub(header) as u64);
        if packet.protocol == 17 {
            let data = packet.payload.get(header..).unwrap_or_default();
            if let Some(lease) = self.lease {
                lease.read(data, &mut self.fields);
                return false;
            }
            if side.first.is_empty() {
                side.show(data);
            }
            let ports = Pair { orig: self.source.port, resp: self.destination.port };
            self.talk.datagram(from, ports, data, &mut self.fields);
        }
        false
    }

    /// Counts a frame that carries no IP, perhaps within a packet.
    pub(super) fn frame(&mut self, stray: Stray, payload: &[u8], below: &Below, carrier: Option<&Ip<'_>>) {
        self.frame_from(Direction::Originator, below);
        if let Some(carrier) = carrier {
            remember(&mut self.sides.orig.ttls, carrier.ttl);
        }
        stray.read(payload, &mut self.fields);
    }

    /// Ends it: what is only told at the end is told now. Gives back the only segment of a connection of which nothing
    /// else came, which the analyzers have not seen.
    pub(super) fn end(&mut self) -> Option<Alone> {
        let alone = self.tcp.as_mut().and_then(|tcp| tcp.lone()).map(|(from, data)| {
            self.is_alone = true;
            // Zeek's analyzers stay silent on it.
            self.is_unsound = true;
            let ports = Pair { orig: self.source.port, resp: self.destination.port };
            self.talk.stream(from, ports, &data, &mut self.fields);
            Alone { at: self.last, ends: Pair { orig: self.source, resp: self.destination }, from, data }
        });
        self.talk.end(&mut self.fields);
        alone
    }

    /// The session so far as a document of its own. What comes is counted anew, but keeps the time of the first packet,
    /// and what the session is known by.
    pub(super) fn cut(&mut self) -> Self {
        if self.root.is_none() {
            self.root = Some(self.id());
        }
        let done = Self {
            sides: self.sides.clone(),
            vlans: self.vlans.clone(),
            places: std::mem::take(&mut self.places),
            tcp: self.tcp.clone(),
            root: self.root.clone(),
            talk: Talk::default(),
            fields: self.fields.clone(),
            ..*self
        };
        self.segment += 1;
        self.fields.go_on();
        if let Some(tcp) = &mut self.tcp {
            tcp.go_on();
        }
        for side in [&mut self.sides.orig, &mut self.sides.resp] {
            *side = Side {
                macs: std::mem::take(&mut side.macs),
                outer_macs: std::mem::take(&mut side.outer_macs),
                first: std::mem::take(&mut side.first),
                ..Side::default()
            };
        }
        done
    }

    /// When a session that goes on is written next; nothing if time does not matter.
    pub(super) fn save_at(&self) -> Option<Time> {
        self.save_at.filter(|_| !self.is_closed)
    }

    /// Has it written when so many whole seconds have gone by.
    pub(super) fn save_after(&mut self, at: Time, secs: i64) {
        self.save_at = Some(Time::from_secs(at.secs().saturating_add(secs).saturating_add(1)));
    }

    fn segment(&mut self, from: Direction, packet: &Ip<'_>, below: &Below, segment: Segment) -> bool {
        let Some(tcp) = &mut self.tcp else { return false };
        let (sides, talk, fields) = (&mut self.sides, &mut self.talk, &mut self.fields);
        let ports = Pair { orig: self.source.port, resp: self.destination.port };
        let wanted = talk.is_interested();
        let outcome = tcp.segment(from, below.at, segment, packet, wanted, &mut |from, data, len| {
            let side = sides.of_mut(from);
            side.data = side.data.saturating_add(u64::from(len));
            side.show(data);
            talk.stream(from, ports, data, fields);
        });
        if let Some(tag) = outcome.tag {
            self.fields.tag(tag);
            // What Arkime reads although the answer to the SYN was not seen, Zeek leaves out.
            self.is_unsound |= tag == NO_ANSWER;
        }
        let closes = outcome.closed && !self.is_closed;
        self.is_closed |= outcome.closed;
        closes
    }

    fn frame_from(&mut self, from: Direction, below: &Below) {
        self.last = below.at;
        self.range = (self.range.0.min(below.at), self.range.1.max(below.at));
        let side = self.sides.of_mut(from);
        side.packets += 1;
        side.bytes += u64::from(below.captured);
        let is_early = side.packets <= EARLY;
        if is_early {
            self.note_layers(from, below);
        }
        for (layer, name) in LAYERS {
            if below.layers.has(layer) {
                self.fields.protocol(name);
            }
        }
        // Of encrypted payload Arkime keeps the first packet only, and says so.
        if self.ip_proto == 50 && self.sides.orig.packets + self.sides.resp.packets > 1 {
            return self.fields.tag("truncated-pcap");
        }
        if let Some(position) = below.position {
            self.places.push(Place { position, length: below.captured.saturating_add(RECORD_HEADER) });
        }
    }

    /// Notes addresses and tags below IP.
    fn note_layers(&mut self, from: Direction, below: &Below) {
        if below.ethertype.is_some() {
            below.l2_src.into_iter().for_each(|mac| note_mac(&mut self.sides.of_mut(from).macs, mac));
            below.l2_dst.into_iter().for_each(|mac| note_mac(&mut self.sides.of_mut(from.flip()).macs, mac));
        }
        // Of what carries a packet, Arkime does not ask who began; and the hardware addresses of its frame stand the
        // other way round, as in its documents.
        if let Some((src, dst)) = below.outer_l2 {
            note_mac(&mut self.sides.orig.outer_macs, dst);
            note_mac(&mut self.sides.resp.outer_macs, src);
        }
        if let Some((src, dst)) = below.outer {
            remember(&mut self.sides.orig.outer, src);
            remember(&mut self.sides.resp.outer, dst);
        }
        for vlan in [below.mirror_vlan, below.vlan, below.inner_vlan].into_iter().flatten() {
            remember(&mut self.vlans, vlan);
        }
        if let Some(vni) = below.vni.filter(|vni| *vni != 0) {
            self.fields.number("vni", i64::from(vni));
        }
    }

    /// The document's `_id`: of 31 characters, the same whenever the same frames are read with the same seed.
    #[must_use]
    pub fn id(&self) -> String {
        self.identity().id()
    }

    /// The index that the document belongs into, `arkime_sessions3-YYMMDD`.
    #[must_use]
    pub fn index(&self) -> String {
        self.identity().index()
    }

    /// The id of the first segment of a session that was written in several; nothing if this is the only one so far.
    #[must_use]
    pub fn root(&self) -> Option<&str> {
        self.root.as_deref()
    }

    const fn identity(&self) -> Identity {
        Identity { seed: self.seed, serial: self.serial, segment: self.segment, first: self.first, last: self.last }
    }
}

impl Record for Session {
    fn log(&self) -> &'static Log {
        &SESSIONS
    }

    fn at(&self) -> Time {
        self.first
    }

    fn zeek(&self, _row: &mut Row<'_>) {}

    fn session(&self) -> Option<&Session> {
        Some(self)
    }
}

impl Side {
    fn show(&mut self, bytes: &[u8]) {
        let room = FIRST_BYTES.saturating_sub(self.first.len());
        self.first.extend(bytes.iter().take(room));
    }
}

/// Bytes before each packet in a PCAP file, which Arkime counts as part of it.
const RECORD_HEADER: u32 = 16;

/// Encapsulations that Arkime names among the protocols.
const LAYERS: [(Layers, &str); 8] = [
    (Layers::GRE, "gre"),
    (Layers::VXLAN, "vxlan"),
    (Layers::VXLAN_GPE, "vxlan-gpe"),
    (Layers::GENEVE, "geneve"),
    (Layers::GTP, "gtp"),
    (Layers::MPLS, "mpls"),
    (Layers::PPPOE, "pppoe"),
    (Layers::PPP, "ppp"),
];

fn note_mac(macs: &mut Vec<[u8; 6]>, mac: [u8; 6]) {
    if macs.len() < MAX_MACS {
        remember(macs, mac);
    }
}

fn remember<T: PartialEq>(values: &mut Vec<T>, value: T) {
    if values.len() < MAX_VALUES && !values.contains(&value) {
        values.push(value);
    }
}
