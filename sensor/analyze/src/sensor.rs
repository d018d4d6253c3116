//! The engine of one worker: frames in, records out.
//!
//! It owns the flow table, the timers, the fragments and the tunnels of its worker, and shares nothing.

mod datagrams;
mod lenient;
mod segments;
mod tunnels;

use ahash::{AHashMap, RandomState};

use crate::app::Scene;
use crate::detect::{Alert, Detect};
use crate::files::Chunk;
use crate::flow::key::Key;
use crate::flow::record::ConnRecord;
use crate::flow::timers::{FlowRef, TimerKind, Timers};
use crate::flow::{Flow, Kind};
use crate::log::{Active, Record};
use crate::output::Sink;
use crate::packet::Below;
use crate::packet::defrag::Defrag;
use crate::packet::ip::{self, Ip};
use crate::packet::link::{self, Found};
use crate::weird::Place;
use crate::{Direction, Endpoint, FlowId, Frame, Interval, Options, Time, Transport};

use self::tunnels::{Carriers, Tunnels};

/// Nanoseconds between two looks for files that wait in vain.
const SWEEP_NANOS: i64 = 10_000_000_000;
/// Zeek's `udp_inactivity_timeout`, which also holds for TCP until the handshake is done.
const SHORT_INACTIVITY: Interval = Interval::from_secs(60);
/// Zeek's `tcp_inactivity_timeout`.
const TCP_INACTIVITY: Interval = Interval::from_secs(300);

/// What a worker has counted since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Frames analysed.
    pub frames: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Frames that hold no IP.
    pub not_ip: u64,
    /// Packets that could not be read.
    pub malformed: u64,
    /// Flows seen.
    pub flows: u64,
    /// The same, by transport protocol.
    pub flows_by: ByTransport,
    /// Flows in the table now, by transport protocol.
    pub active_by: ByTransport,
    /// Bytes that wait in TCP streams for what is missing before them, now.
    pub waiting_bytes: u64,
    /// Flows ended early because the table was full.
    pub flows_evicted: u64,
    /// Records written.
    pub records: u64,
    /// Bytes that were missing in TCP streams.
    pub missed_bytes: u64,
    /// Packets given up in reassembly of IP fragments.
    pub fragments_dropped: u64,
}

impl Counters {
    /// Adds what another sensor has counted.
    pub fn add(&mut self, other: &Self) {
        let Self {
            frames,
            bytes,
            not_ip,
            malformed,
            flows,
            flows_by,
            active_by,
            waiting_bytes,
            flows_evicted,
            records,
            missed_bytes,
            fragments_dropped,
        } = *other;
        let sums = [
            (&mut self.frames, frames),
            (&mut self.bytes, bytes),
            (&mut self.not_ip, not_ip),
            (&mut self.malformed, malformed),
            (&mut self.flows, flows),
            (&mut self.waiting_bytes, waiting_bytes),
            (&mut self.flows_evicted, flows_evicted),
            (&mut self.records, records),
            (&mut self.missed_bytes, missed_bytes),
            (&mut self.fragments_dropped, fragments_dropped),
        ];
        sums.into_iter().for_each(|(sum, more)| *sum += more);
        self.flows_by.add(flows_by);
        self.active_by.add(active_by);
    }
}

/// A count of flows for each of the protocols that Zeek counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByTransport {
    /// TCP.
    pub tcp: u64,
    /// UDP.
    pub udp: u64,
    /// ICMP and ICMPv6.
    pub icmp: u64,
}

impl ByTransport {
    const fn add(&mut self, other: Self) {
        self.tcp += other.tcp;
        self.udp += other.udp;
        self.icmp += other.icmp;
    }

    const fn of(&mut self, transport: Transport) -> Option<&mut u64> {
        match transport {
            Transport::Tcp => Some(&mut self.tcp),
            Transport::Udp => Some(&mut self.udp),
            Transport::Icmp => Some(&mut self.icmp),
            Transport::Other(_) => None,
        }
    }
}

/// What was found since the last call of [`Sensor::take`].
#[derive(Default)]
pub struct Batch {
    /// Records, in the order in which they were completed.
    pub records: Vec<Box<dyn Record>>,
    /// Rules that matched.
    pub alerts: Vec<Alert>,
    /// Pieces of files for the carver.
    pub chunks: Vec<Chunk>,
}

struct Slot {
    generation: u32,
    flow: Option<Box<Flow>>,
}

/// The analysis of one worker.
pub struct Sensor {
    sink: Sink,
    table: AHashMap<Key, u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    timers: Timers,
    defrag: Defrag,
    tunnels: Tunnels,
    now: Time,
    last_frame: Time,
    next_sweep: Time,
    counters: Counters,
    active: usize,
    waiting_bytes: usize,
    /// Analyses for Arkime's sessions what this one leaves out.
    lenient: Option<Box<Sensor>>,
    /// Records that the sessions have been shown already.
    shown: usize,
}

impl Sensor {
    /// Starts with empty tables.
    pub fn new(options: Options) -> Self {
        // Keys derived from the seed: the same input gives the same output, and an attacker who does not know the
        // seed cannot choose colliding flows.
        let hasher = RandomState::with_seeds(options.seed, !options.seed, options.seed.rotate_left(17), 0x7465_6e72_6563);
        Self {
            lenient: None,
            shown: 0,
            sink: Sink::new(options),
            table: AHashMap::with_hasher(hasher),
            slots: Vec::new(),
            free: Vec::new(),
            timers: Timers::default(),
            defrag: Defrag::default(),
            tunnels: Tunnels::default(),
            now: Time::default(),
            last_frame: Time::default(),
            next_sweep: Time::default(),
            counters: Counters::default(),
            active: 0,
            waiting_bytes: 0,
        }
    }

    /// As [`Sensor::new`], with rules that look on.
    pub fn with_rules(options: Options, rules: Box<dyn Detect>) -> Self {
        let mut sensor = Self::new(options);
        sensor.sink.detect = Some(rules);
        sensor
    }

    /// Analyses one frame.
    pub fn frame(&mut self, frame: &Frame<'_>) {
        self.counters.frames += 1;
        self.counters.bytes += u64::from(frame.wire_len);
        self.pass(frame.at);
        self.last_frame = self.now;
        let cut = (frame.wire_len as usize).saturating_sub(frame.data.len());
        let mut below = Below::new(frame.at, cut);
        below.captured = u32::try_from(frame.data.len()).unwrap_or(u32::MAX);
        below.position = frame.position;
        match link::open(frame.link, frame.data, &mut below) {
            Found::Ip(bytes) => self.ip(bytes, &below, &Carriers::none()),
            Found::Other(payload) => {
                self.counters.not_ip += 1;
                if let Some(sessions) = &mut self.sink.sessions {
                    sessions.frame(payload, &below, None);
                }
            }
            Found::Weird(name) => {
                self.counters.malformed += 1;
                let (source, addl) = link_source(name);
                self.sink.weird_at(frame.at, Place::Nowhere, name, addl, source);
            }
        }
        self.idle_sessions(frame.at);
    }

    /// Lets time pass without a frame: timers fire. Time never goes back.
    pub fn clock(&mut self, at: Time) {
        self.pass(at);
        self.idle_sessions(at);
    }

    /// Ends the sessions that have been idle; after a frame, since Arkime lets a session go on whose own packet comes
    /// first, and at the frame's own time, which may go back.
    fn idle_sessions(&mut self, at: Time) {
        if let Some(sessions) = &mut self.sink.sessions {
            sessions.advance(at);
        }
        self.alone();
    }

    fn pass(&mut self, at: Time) {
        if at <= self.now {
            return;
        }
        self.now = at;
        if at >= self.next_sweep {
            // At whole multiples, however often the clock is looked at: live and read end the same files.
            let sweep = Time(at.0 - at.0.rem_euclid(SWEEP_NANOS));
            self.sink.expire(sweep);
            self.next_sweep = Time(sweep.0.saturating_add(SWEEP_NANOS));
        }
        while let Some((due, flow, kind)) = self.timers.due(at) {
            self.timer(due, flow, kind);
        }
    }

    /// Ends all flows, as at the end of a file or of the sensor.
    pub fn finish(&mut self) {
        // Not the clock's time, which depends on how long nothing came: a capture that is read has the same end.
        self.now = self.last_frame;
        for index in 0..self.slots.len() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            self.remove(index);
        }
        self.sink.finish();
        self.finish_lenient();
        if let Some(sessions) = &mut self.sink.sessions {
            self.sink.records.iter().for_each(|record| record.arkime(sessions));
            self.shown = self.sink.records.len();
            if !sessions.is_lent {
                sessions.finish();
            }
        }
        self.alone();
    }

    /// What was found since the last call.
    pub fn take(&mut self) -> Batch {
        let mut records = std::mem::take(&mut self.sink.records);
        if let Some(sessions) = &mut self.sink.sessions {
            records.iter().skip(std::mem::take(&mut self.shown)).for_each(|record| record.arkime(sessions));
            sessions.take(self.now, &mut records);
        }
        self.counters.records += records.len() as u64;
        let alerts = match &mut self.sink.detect {
            Some(detect) => {
                records.iter().for_each(|record| detect.record(record.as_ref()));
                detect.take()
            }
            None => Vec::new(),
        };
        Batch { records, alerts, chunks: self.sink.files.take_chunks() }
    }

    /// Whether [`Sensor::take`] would give anything.
    pub fn has_output(&self) -> bool {
        !self.sink.records.is_empty()
            || self.sink.files.has_chunks()
            || self.sink.sessions.as_ref().is_some_and(|sessions| sessions.has_ended(self.now))
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Counters {
        Counters { fragments_dropped: self.defrag.dropped, waiting_bytes: self.waiting_bytes as u64, ..self.counters }
    }

    /// Flows in the table.
    pub const fn active_flows(&self) -> usize {
        self.active
    }

    /// Arkime's sessions: those that are open, and how many were begun. None unless they are asked for.
    pub fn sessions(&self) -> (Active, u64) {
        self.sink.sessions.as_ref().map_or_else(Default::default, |sessions| (sessions.active(), sessions.begun()))
    }

    fn ip(&mut self, bytes: &[u8], below: &Below, carriers: &Carriers) {
        let mut odd: [Option<&'static str>; 2] = [None; 2];
        let parsed = ip::parse(bytes, below.cut, self.sink.options.checksums, &mut |name| {
            if let Some(slot) = odd.iter_mut().find(|slot| slot.is_none()) {
                *slot = Some(name);
            }
        });
        let packet = match parsed {
            Ok(packet) => packet,
            Err(name) => {
                self.counters.malformed += 1;
                if name == "bad_IP_checksum" {
                    self.leniently(below.at, |sensor| {
                        sensor.sink.counts = true;
                        sensor.ip(bytes, below, carriers);
                        sensor.sink.counts = false;
                    });
                }
                let place = ip::addresses(bytes).map_or(Place::Nowhere, |(src, dst)| Place::Packet(src, dst));
                let place = if name == "invalid_IP_header_size" || name == "truncated_IP" { Place::Nowhere } else { place };
                return self.sink.weird_at(below.at, place, name, None, Some("IP"));
            }
        };
        for name in odd.into_iter().flatten() {
            self.sink.weird_at(below.at, Place::Packet(packet.src, packet.dst), name, None, None);
        }
        if packet.fragment.is_none() {
            return self.transport(&packet, below, carriers);
        }
        if packet.payload.len() < packet.payload_len {
            self.sink.weird_at(below.at, Place::Packet(packet.src, packet.dst), "incompletely_captured_fragment", None, Some("IP"));
            return;
        }
        let mut names = Vec::new();
        let whole = self.defrag.add(below.at, &packet, &mut |name| names.push(name));
        for name in names {
            self.sink.weird_at(below.at, Place::Packet(packet.src, packet.dst), name, None, None);
        }
        if let Some(whole) = whole {
            let part = packet.total_len;
            let header = packet.total_len.saturating_sub(packet.payload_len);
            let (protocol, skip) = ip::after_fragments(&packet, &whole);
            let payload = whole.get(skip..).unwrap_or_default();
            let packet = Ip { protocol, payload, payload_len: payload.len(), total_len: header + whole.len(), fragment: None, ..packet };
            // Arkime's length of a packet that came in parts is that of the whole, under the last part's lower layers.
            let lower = (below.captured as usize).saturating_sub(part);
            let captured = u32::try_from(lower + packet.total_len).unwrap_or(u32::MAX);
            self.transport(&packet, &Below { cut: 0, captured, ..*below }, carriers);
        }
    }

    fn transport(&mut self, packet: &Ip<'_>, below: &Below, carriers: &Carriers) {
        match packet.protocol {
            6 => self.tcp(packet, below, carriers),
            17 => self.udp(packet, below, carriers),
            1 | 58 => self.icmp(packet, below, carriers),
            4 | 41 | 47 => self.ip_tunnel(packet, below, carriers),
            // ESP is opaque; mobility headers and "no next header" carry nothing.
            50 | 135 | 59 => drop(self.count(packet, below, true)),
            _ => self.other(packet, below, carriers),
        }
    }

    /// Finds the flow of a packet, or starts one.
    fn flow(&mut self, seed: &NewFlow<'_>) -> (FlowRef, Direction) {
        let key = Key::new(seed.src, seed.dst, seed.transport, seed.one_way);
        if let Some(&index) = self.table.get(&key)
            && let Some(slot) = self.slots.get_mut(index as usize)
            && let Some(flow) = slot.flow.as_deref_mut()
        {
            let from = if flow.id.orig == seed.src { Direction::Originator } else { Direction::Responder };
            return (FlowRef { index, generation: slot.generation }, from);
        }
        self.start(key, seed)
    }

    fn start(&mut self, key: Key, seed: &NewFlow<'_>) -> (FlowRef, Direction) {
        if self.active >= self.sink.options.max_flows {
            self.evict();
        }
        self.counters.flows += 1;
        self.active += 1;
        if let (Some(flows), Some(active)) = (self.counters.flows_by.of(seed.transport), self.counters.active_by.of(seed.transport)) {
            *flows += 1;
            *active += 1;
        }
        let id = FlowId { uid: self.sink.uids.flow(), orig: seed.src, resp: seed.dst, transport: seed.transport };
        let kind = if seed.transport == Transport::Tcp { Kind::Tcp(Box::default()) } else { Kind::Datagrams };
        let mut flow = Box::new(Flow::new(id, seed.ip_proto, key, kind, SHORT_INACTIVITY, seed.below));
        let mut from = Direction::Originator;
        if seed.flip {
            flow.flip();
            from = Direction::Responder;
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot { generation: 0, flow: None });
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.tunnels.carry(&mut flow, seed.below.at, seed.carriers, &mut self.sink);
        let (app, mut scene) = split(&mut flow, seed.below.at, &mut self.sink);
        app.start(&mut scene);
        let Some(slot) = self.slots.get_mut(index as usize) else { unreachable!("the index was just taken from the table") };
        slot.generation = slot.generation.wrapping_add(1);
        slot.flow = Some(flow);
        self.table.insert(key, index);
        let flow = FlowRef { index, generation: slot.generation };
        self.timers.add(seed.below.at + SHORT_INACTIVITY, flow, TimerKind::Inactivity);
        if seed.transport == Transport::Tcp {
            self.timers.add(seed.below.at + segments::EXPIRE_FIRST, flow, TimerKind::Expire);
        }
        (flow, from)
    }

    /// Ends a flow and writes what is left to write.
    fn remove(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        let Some(mut flow) = slot.flow.take() else { return };
        self.table.remove(&flow.key);
        self.free.push(index);
        self.active = self.active.saturating_sub(1);
        if let Some(active) = self.counters.active_by.of(flow.id.transport) {
            *active = active.saturating_sub(1);
        }
        if let Kind::Tcp(tcp) = &flow.kind {
            let waiting = tcp.side(Direction::Originator).stream.waiting_bytes() + tcp.side(Direction::Responder).stream.waiting_bytes();
            self.waiting_bytes = self.waiting_bytes.saturating_sub(waiting);
        }
        let (app, mut scene) = split(&mut flow, self.now, &mut self.sink);
        app.finish(&mut scene);
        self.counters.missed_bytes += flow.missed;
        self.tunnels.closed(&flow, self.now, &mut self.sink);
        if let Some(detect) = &mut self.sink.detect {
            detect.ended(flow.id.uid);
        }
        let record = ConnRecord::of(&flow, &self.sink.options);
        self.sink.records.push(Box::new(record));
    }

    /// Makes room: ends the flow that has been idle for longest among a sample, as a full search would cost too much
    /// when it is needed most.
    fn evict(&mut self) {
        const SAMPLE: usize = 64;
        let start = (self.counters.flows as usize).wrapping_mul(SAMPLE) % self.slots.len().max(1);
        let oldest = self
            .slots
            .iter()
            .enumerate()
            .cycle()
            .skip(start)
            .take(self.slots.len().min(SAMPLE))
            .filter_map(|(index, slot)| slot.flow.as_ref().map(|flow| (flow.last, index)))
            .min();
        if let Some((_, index)) = oldest {
            self.counters.flows_evicted += 1;
            self.remove(u32::try_from(index).unwrap_or(u32::MAX));
        }
    }

    fn get(&mut self, flow: FlowRef) -> Option<&mut Flow> {
        let slot = self.slots.get_mut(flow.index as usize)?;
        if slot.generation != flow.generation {
            return None;
        }
        slot.flow.as_deref_mut()
    }

    fn timer(&mut self, due: Time, flow_ref: FlowRef, kind: TimerKind) {
        let Some(flow) = self.get(flow_ref) else { return };
        if let Kind::Tcp(tcp) = &flow.kind
            && tcp.timers_cancelled
            && kind != TimerKind::Delete
        {
            return;
        }
        match kind {
            TimerKind::Inactivity => {
                let until = flow.last + flow.inactivity;
                if until <= due {
                    self.remove(flow_ref.index);
                } else {
                    self.timers.add(until, flow_ref, TimerKind::Inactivity);
                }
            }
            TimerKind::Delete => self.remove(flow_ref.index),
            kind => self.tcp_timer(due, flow_ref, kind),
        }
    }
}

/// A packet that may start a flow.
struct NewFlow<'a> {
    src: Endpoint,
    dst: Endpoint,
    transport: Transport,
    ip_proto: u8,
    one_way: bool,
    /// The packet comes from the side that is likely to be the server.
    flip: bool,
    below: &'a Below,
    carriers: &'a Carriers,
}

/// Parts of a flow that its analyzers and their output need at the same time.
fn split<'a>(flow: &'a mut Flow, at: Time, sink: &'a mut Sink) -> (&'a mut crate::app::App, Scene<'a>) {
    (&mut flow.app, Scene { at, id: flow.id, notes: &mut flow.notes, sink })
}

/// Zeek's name of the packet analyzer that raises a weird of the link layers.
fn link_source(name: &str) -> (Option<&'static str>, Option<&'static [u8]>) {
    match name {
        "triple_tagged_vlan_unsupported" => (Some("VLAN"), Some(b"inner VLAN tag overwritten")),
        name if name.contains("VLAN") => (Some("VLAN"), None),
        name if name.contains("mpls") => (Some("MPLS"), None),
        name if name.contains("ppp_") => (Some("PPP"), None),
        name if name.contains("pppoe") => (Some("PPPOE"), None),
        name if name.contains("SLL2") => (Some("LINUXSLL2"), None),
        name if name.contains("SLL") => (Some("LINUXSLL"), None),
        name if name.contains("802_11") => (Some("IEEE802_11"), None),
        name if name.contains("radiotap") => (Some("IEEE802_11_RADIO"), None),
        name if name.contains("nflog") => (Some("NFLOG"), None),
        name if name.contains("null") => (Some("NULL"), None),
        name if name.contains("pbb") => (Some("PBB"), None),
        name if name.contains("vntag") => (Some("VNTAG"), None),
        _ => (Some("ETHERNET"), None),
    }
}
