//! The sessions that are open, and when they end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr};

use ahash::AHashMap;

use super::Fields;
use super::lease::Lease;
use super::session::Session;
use super::stray::Stray;
use super::tcp::Segment;
use crate::flow::key::Key;
use crate::log::{Profile, Record};
use crate::packet::Below;
use crate::packet::ip::Ip;
use crate::{Direction, Endpoint, FlowId, Interval, Pair, Time, Transport};

/// Arkime's `tcpTimeout`, also in Malcolm.
const TCP_IDLE: Interval = Interval::from_secs(600);
/// Arkime's `udpTimeout`, if nothing is configured.
const UDP_IDLE: Interval = Interval::from_secs(60);
/// `udpTimeout` in Malcolm's configuration of Arkime (arkime/etc/config.ini).
const UDP_IDLE_MALCOLM: Interval = Interval::from_secs(30);
/// Arkime's `icmpTimeout`.
const ICMP_IDLE: Interval = Interval::from_secs(10);
/// Arkime's `sctpTimeout`.
const SCTP_IDLE: Interval = Interval::from_secs(60);
/// Arkime's `espTimeout`, and that of all that has no own.
const OTHER_IDLE: Interval = Interval::from_secs(600);
/// How long a TCP session stays after both sides have closed.
const CLOSED: Interval = Interval::from_secs(5);
/// Arkime's `tcpSaveTimeout`, also in Malcolm: so long after its beginning, or after the last time, a connection that
/// goes on is written as far as it has come.
const SAVE: i64 = 720;
/// Arkime's `maxPackets`, also in Malcolm: a session with so many is written, and goes on as the next segment.
const MAX_PACKETS: usize = 10_000;
/// How long an ended session waits for records of flows that Zeek's timeouts keep for longer.
const LINGER: Interval = Interval::from_secs(65);
/// Sessions open or waiting at once; beyond it no new one is begun.
const MAX_SESSIONS: usize = 1_000_000;

/// Sessions that are open, by protocol as Arkime counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Active {
    /// TCP.
    pub tcp: u64,
    /// UDP.
    pub udp: u64,
    /// ICMP and ICMPv6.
    pub icmp: u64,
    /// SCTP.
    pub sctp: u64,
    /// ESP.
    pub esp: u64,
    /// All others.
    pub other: u64,
}

impl Active {
    const fn of(&mut self, ip_proto: u8) -> &mut u64 {
        match ip_proto {
            6 => &mut self.tcp,
            17 => &mut self.udp,
            1 | 58 => &mut self.icmp,
            132 => &mut self.sctp,
            50 => &mut self.esp,
            _ => &mut self.other,
        }
    }
}

/// A segment that came alone, in a session that has ended.
#[derive(Debug)]
pub(crate) struct Alone {
    pub(crate) at: Time,
    pub(crate) ends: Pair<Endpoint>,
    pub(crate) from: Direction,
    pub(crate) data: Vec<u8>,
}

/// All sessions of one worker.
#[derive(Default)]
pub struct Sessions {
    /// Makes the ids.
    seed: u64,
    udp_idle: Interval,
    /// Where in `slots` each open session is.
    open: AHashMap<Key, u32>,
    slots: Vec<Option<Box<Session>>>,
    free: Vec<u32>,
    deadlines: BinaryHeap<Reverse<(Time, u64, Key)>>,
    /// Ended, in the order in which they did, with the time until which records are waited for.
    ended: BTreeMap<u64, (Time, Box<Session>)>,
    ended_by_key: AHashMap<Key, u64>,
    begun: u64,
    ends: u64,
    /// Segments that were the only ones of their sessions, for the analyzers.
    pub(crate) alone: Vec<Alone>,
    /// Open ones, by protocol.
    active: Active,
    /// Whether these are in the hands of the sensor that does not look at checksums.
    pub(crate) is_lent: bool,
    /// Sessions that were not begun for want of room.
    pub refused: u64,
}

impl Sessions {
    /// None yet. The seed makes the ids of their documents, the profile says whose Arkime they are like.
    pub(crate) fn new(seed: u64, profile: Profile) -> Self {
        let udp_idle = if profile == Profile::Malcolm { UDP_IDLE_MALCOLM } else { UDP_IDLE };
        Self { seed, udp_idle, ..Self::default() }
    }

    /// Sessions that are open.
    pub(crate) const fn active(&self) -> Active {
        self.active
    }

    /// Sessions begun so far.
    pub(crate) const fn begun(&self) -> u64 {
        self.begun
    }

    /// Counts an IP packet that carries no other one; whether its session has had wrong checksums. `hint` is where the
    /// session of its flow was the last time, and is set to where it is now: a look at one place instead of a search.
    pub(crate) fn packet(&mut self, packet: &Ip<'_>, below: &Below, is_sound: bool, hint: &mut u32) -> bool {
        let segment = if packet.protocol == 6 { Segment::read(packet.payload) } else { None };
        let ports = match (packet.protocol, segment) {
            (6, Some(segment)) => (segment.src_port, segment.dst_port),
            (6, None) => return false,
            (17 | 132, _) => {
                let mut r = crate::Reader::new(packet.payload);
                let (Some(src), Some(dst)) = (r.u16(), r.u16()) else { return false };
                (src, dst)
            }
            _ => (0, 0),
        };
        let src = Endpoint { addr: packet.src, port: ports.0 };
        let dst = Endpoint { addr: packet.dst, port: ports.1 };
        let transport = transport(packet.protocol);
        // Reports to groups are one session, whoever sends them.
        let key = match packet.protocol {
            2 | 103 => {
                let group = Endpoint { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: 0 };
                Key::new(group, group, transport, false)
            }
            _ => Key::new(src, dst, transport, false),
        };
        let lease = if packet.protocol == 17 { Lease::of(ports, packet.payload.get(8..).unwrap_or_default()) } else { None };
        let key = lease.map_or(key, |(_, key)| key);
        let lease = lease.map(|(lease, _)| lease);
        let is_lent = self.is_lent;
        let flipped = segment.is_some_and(Segment::is_answer);
        let mut place =
            if self.at(*hint).is_some_and(|session| *session.key() == key) { Some(*hint) } else { self.open.get(&key).copied() };
        if segment.is_some_and(Segment::is_call) && place.and_then(|place| self.at(place)).is_some_and(Session::is_closing) {
            self.end(&key);
            place = None;
        }
        let place = place.or_else(|| {
            self.begin(key, below.at, |serial| {
                let (from, to) = if flipped { (dst, src) } else { (src, dst) };
                Session::new(serial, key, from, to, transport, packet.protocol, name(packet.protocol), below).of_lease(lease)
            })
        });
        let Some(session) = place.and_then(|place| self.slots.get_mut(place as usize)?.as_deref_mut()) else { return false };
        place.iter().for_each(|place| *hint = *place);
        if !is_sound || is_lent {
            session.is_unsound = true;
        }
        let is_from = matches!(packet.protocol, 2 | 103) || session.is_from(src, dst);
        let from = if is_from { Direction::Originator } else { Direction::Responder };
        let closes = session.packet(from, packet, below, segment);
        let (is_unsound, is_long, serial) = (session.is_unsound, session.places().len() >= MAX_PACKETS, session.serial());
        if closes {
            self.deadlines.push(Reverse((below.at + CLOSED, serial, key)));
        }
        if is_long {
            self.save(&key, below.at);
        }
        is_unsound
    }

    /// Counts a frame that carries no IP; within a packet it is the packet's.
    pub(crate) fn frame(&mut self, payload: &[u8], below: &Below, carrier: Option<&Ip<'_>>) {
        let Some(stray) = Stray::of(below, payload) else { return };
        let nowhere = |port| Endpoint { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port };
        let end = |addr| Endpoint { addr, port: 0 };
        let (src, dst, proto, name) = match carrier {
            None => (nowhere(stray.kind), nowhere(u16::MAX), 0, stray.name),
            Some(ip) => (end(ip.src), end(ip.dst), ip.protocol, if stray.name == "arp" { "arp" } else { "corrupt-ip" }),
        };
        let transport = Transport::Other(proto);
        let key = Key::new(src, dst, transport, false);
        // What a packet carries has that packet's type, whatever the frame within it says.
        let ethertype = carrier.map_or(below.ethertype, |ip| Some(if ip.src.is_ipv4() { 0x0800 } else { 0x86dd }));
        let below = Below { outer: None, ethertype, ..*below };
        let place = self.open.get(&key).copied();
        let new = |serial| Session::new(serial, key, src, dst, transport, proto, name, &below);
        let place = place.or_else(|| self.begin(key, below.at, new));
        let Some(session) = place.and_then(|place| self.slots.get_mut(place as usize)?.as_deref_mut()) else { return };
        session.frame(stray, payload, &below, carrier);
        if session.places().len() >= MAX_PACKETS {
            self.save(&key, below.at);
        }
    }

    /// The fields of the session that a flow belongs to, at the time of something that happened on it; of a session
    /// with wrong checksums only for the sensor that does not look at them.
    pub fn of(&mut self, id: &FlowId, at: Time) -> Option<&mut Fields> {
        let is_lent = self.is_lent;
        let session = self.find(id, at)?;
        (session.is_unsound == is_lent && session.is_followed()).then_some(&mut session.fields)
    }

    /// Bytes are missing in the stream of a flow: what comes after them is not told any more.
    pub(crate) fn stall(&mut self, id: &FlowId, at: Time) {
        let is_lent = self.is_lent;
        if let Some(session) = self.find(id, at)
            && session.is_unsound == is_lent
        {
            session.is_stalled = true;
        }
    }

    /// What a flow carries begins here (after SOCKS, or CONNECT): its first bytes name it once more.
    pub(crate) fn begins_anew(&mut self, id: &FlowId, at: Time) {
        let is_lent = self.is_lent;
        if let Some(session) = self.find(id, at)
            && session.is_unsound == is_lent
        {
            session.begins_anew();
        }
    }

    fn find(&mut self, id: &FlowId, at: Time) -> Option<&mut Session> {
        let ports = matches!(id.transport, Transport::Tcp | Transport::Udp);
        let end = |end: Endpoint| if ports { end } else { Endpoint { port: 0, ..end } };
        let key = Key::new(end(id.orig), end(id.resp), id.transport, false);
        if let Some(&place) = self.open.get(&key)
            && self.at(place).is_some_and(|session| session.first() <= at)
        {
            return self.slots.get_mut(place as usize)?.as_deref_mut();
        }
        let end = self.ended_by_key.get(&key)?;
        self.ended.get_mut(end).map(|(_, session)| session.as_mut())
    }

    /// Ends what has been idle for too long.
    pub(crate) fn advance(&mut self, now: Time) {
        while let Some(Reverse((due, serial, key))) = self.deadlines.peek().copied()
            && due < now
        {
            self.deadlines.pop();
            let open = self.open.get(&key).and_then(|place| self.at(*place));
            let Some(session) = open.filter(|session| session.serial() == serial) else { continue };
            let until = session.last() + if session.is_closed() { CLOSED } else { idle(session.ip_proto(), self.udp_idle) };
            if until < now {
                self.end(&key);
            } else if !session.is_closed() {
                match session.save_at() {
                    Some(save) if save <= now => {
                        self.save(&key, now);
                        self.deadlines.push(Reverse((now + Interval::from_secs(SAVE), serial, key)));
                    }
                    save => self.deadlines.push(Reverse((save.map_or(until, |save| until.min(save)), serial, key))),
                }
            }
        }
    }

    /// Ends all.
    pub(crate) fn finish(&mut self) {
        let mut all: Vec<_> = self.slots.iter().flatten().map(|session| (session.serial(), *session.key())).collect();
        all.sort_unstable();
        for (_, key) in all {
            self.end(&key);
        }
        for (until, _) in self.ended.values_mut() {
            *until = Time::default();
        }
    }

    /// Hands over the sessions for which no more is to come.
    pub(crate) fn take(&mut self, now: Time, out: &mut Vec<Box<dyn Record>>) {
        while let Some(entry) = self.ended.first_entry()
            && entry.get().0 < now
        {
            let end = *entry.key();
            let (_, session) = entry.remove();
            if self.ended_by_key.get(session.key()) == Some(&end) {
                self.ended_by_key.remove(session.key());
            }
            out.push(session);
        }
    }

    /// Whether [`Sessions::take`] would give anything.
    pub(crate) fn has_ended(&self, now: Time) -> bool {
        self.ended.first_key_value().is_some_and(|(_, (until, _))| *until < now)
    }

    fn at(&self, place: u32) -> Option<&Session> {
        self.slots.get(place as usize)?.as_deref()
    }

    fn begin(&mut self, key: Key, at: Time, new: impl FnOnce(u64) -> Session) -> Option<u32> {
        if self.open.len() + self.ended.len() >= MAX_SESSIONS {
            self.refused += 1;
            return None;
        }
        self.begun += 1;
        let mut session = Box::new(new(self.begun));
        session.seed(self.seed);
        if session.ip_proto() == 6 {
            session.save_after(at, SAVE);
        }
        self.deadlines.push(Reverse((at + idle(session.ip_proto(), self.udp_idle), self.begun, key)));
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.slots.push(None);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        *self.active.of(session.ip_proto()) += 1;
        *self.slots.get_mut(place as usize)? = Some(session);
        self.open.insert(key, place);
        Some(place)
    }

    fn save(&mut self, key: &Key, now: Time) {
        let Some(&place) = self.open.get(key) else { return };
        let Some(session) = self.slots.get_mut(place as usize).and_then(Option::as_deref_mut) else { return };
        let segment = session.cut();
        if session.save_at().is_some() {
            session.save_after(now, SAVE);
        }
        self.ends += 1;
        self.ended.insert(self.ends, (segment.last(), Box::new(segment)));
    }

    fn end(&mut self, key: &Key) {
        let Some(place) = self.open.remove(key) else { return };
        self.free.push(place);
        let Some(mut session) = self.slots.get_mut(place as usize).and_then(Option::take) else { return };
        *self.active.of(session.ip_proto()) -= 1;
        self.alone.extend(session.end());
        self.ends += 1;
        self.ended_by_key.insert(*key, self.ends);
        self.ended.insert(self.ends, (session.last() + LINGER, session));
    }
}

const fn transport(protocol: u8) -> Transport {
    match protocol {
        6 => Transport::Tcp,
        17 => Transport::Udp,
        1 | 58 => Transport::Icmp,
        other => Transport::Other(other),
    }
}

/// Arkime's name of what travels over IP.
const fn name(protocol: u8) -> &'static str {
    match protocol {
        1 | 58 => "icmp",
        2 => "igmp",
        6 => "tcp",
        17 => "udp",
        50 => "esp",
        89 => "ospf",
        103 => "pim",
        132 => "sctp",
        _ => "unknown-ip",
    }
}

const fn idle(protocol: u8, udp: Interval) -> Interval {
    match protocol {
        6 => TCP_IDLE,
        17 => udp,
        1 | 58 => ICMP_IDLE,
        132 => SCTP_IDLE,
        _ => OTHER_IDLE,
    }
}
