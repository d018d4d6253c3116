//! One session: what its packets tell, and the document.

use std::net::IpAddr;

use super::identity::Identity;
use super::lease::Lease;
use super::places::{self, Place};
use super::stray::Stray;
use super::table::Alone;
use super::talk::Talk;
use super::tcp::{NO_ANSWER, Segment, Tcp};
use super::{Fields, SESSIONS};
use crate::flow::key::Key;
use crate::log::{Json, Log, Record, Row};
use crate::packet::ip::Ip;
use crate::packet::{Below, Layers};
use crate::{Direction, Endpoint, FlowId, Pair, Time, Transport, Uid};

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

    /// Writes the document and a line feed. `node` is the sensor's name.
    pub fn write(&self, node: &str, out: &mut Vec<u8>) {
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
            self.fields.write(json);
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
