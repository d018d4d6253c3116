//! Drives analyzers in tests: conversations split anywhere, and captures through a small stand-in for the engine
//! (no fragments, no tunnels, every segment in order of its number).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ahash::AHashMap;

use super::PROTOCOLS;
use crate::log::{Format, Profile, Row};
use crate::output::Sink;
use crate::{Analyzer, Beginning, Direction, Endpoint, FlowId, FlowNotes, Match, Options, Output, Pair, Protocol, Step, Time, Transport};

/// Bytes of one side.
pub(crate) type Said<'a> = (Direction, &'a [u8]);

/// Short for [`Direction::Originator`].
pub(crate) const ORIG: Direction = Direction::Originator;
/// Short for [`Direction::Responder`].
pub(crate) const RESP: Direction = Direction::Responder;

/// Rows that a conversation leaves, each line as `log<TAB>row`; the bytes of each side arrive in pieces of `piece`.
pub(crate) fn converse(protocol: &'static Protocol, transport: Transport, port: u16, said: &[Said<'_>], piece: usize) -> Vec<String> {
    let mut world = World::new(Profile::Malcolm);
    let end = |last: u8, port| Endpoint { addr: IpAddr::from([10, 0, 0, last]), port };
    let uid = world.sink.uids.flow();
    let mut flow = Flow::new(FlowId { uid, orig: end(1, 40_000), resp: end(2, port), transport });
    flow.attach(protocol);
    for (i, (from, bytes)) in said.iter().enumerate() {
        let at = Time::from_secs(i64::try_from(i).unwrap());
        if transport == Transport::Udp {
            flow.datagram(&mut world.sink, at, *from, bytes);
        } else {
            for piece in bytes.chunks(piece) {
                flow.bytes(&mut world.sink, at, *from, piece);
            }
        }
    }
    flow.finish(&mut world.sink);
    world.rows()
}

/// A conversation gives the same rows however it is split, and no prefix of it panics.
pub(crate) fn any_split_gives_the_same_rows(protocol: &'static Protocol, port: u16, said: &[Said<'_>]) -> Vec<String> {
    let whole = converse(protocol, Transport::Tcp, port, said, usize::MAX);
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(converse(protocol, Transport::Tcp, port, said, piece), whole, "pieces of {piece}");
    }
    every_truncation_is_survived(protocol, Transport::Tcp, port, said);
    whole
}

/// No prefix of any message panics.
pub(crate) fn every_truncation_is_survived(protocol: &'static Protocol, transport: Transport, port: u16, said: &[Said<'_>]) {
    for (i, (from, bytes)) in said.iter().enumerate() {
        for len in (0..bytes.len()).step_by(1 + bytes.len() / 512) {
            let mut cut = said[..i].to_vec();
            cut.push((*from, &bytes[..len]));
            cut.extend(said.get(i + 1..).unwrap_or_default());
            converse(protocol, transport, port, &cut, usize::MAX);
        }
    }
}

/// Rows of a capture under `/work/shared/conformance` or `testdata`, as `log<TAB>row`.
pub(crate) fn capture(path: &str, profile: Profile) -> Vec<String> {
    let mut world = World::new(profile);
    let file = std::fs::read(path).unwrap();
    for (at, link, frame) in frames(&file) {
        world.frame(at, link, &frame);
    }
    world.end();
    world.rows()
}

struct World {
    sink: Sink,
    flows: AHashMap<(Endpoint, Endpoint, Transport), usize>,
    all: Vec<Flow>,
    profile: Profile,
}

impl World {
    fn new(profile: Profile) -> Self {
        let options = Options { profile, ..Options::default() };
        Self { sink: Sink::new(options), flows: AHashMap::new(), all: Vec::new(), profile }
    }

    fn frame(&mut self, at: Time, link: u32, frame: &[u8]) -> Option<()> {
        let mut ip = match link {
            0 => frame.get(4..)?,
            12 | 14 | 101 | 228 | 229 => frame,
            113 => frame.get(16..)?,
            276 => frame.get(20..)?,
            _ => {
                let mut rest = frame.get(12..)?;
                while matches!(rest.get(..2)?, [0x81, 0] | [0x88, 0xa8]) {
                    rest = rest.get(4..)?;
                }
                if !matches!(rest.get(..2)?, [8, 0] | [0x86, 0xdd]) {
                    return None;
                }
                rest.get(2..)?
            }
        };
        let (src, dst, proto);
        match ip.first()? >> 4 {
            4 => {
                let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
                src = IpAddr::from(<[u8; 4]>::try_from(ip.get(12..16)?).ok()?);
                dst = IpAddr::from(<[u8; 4]>::try_from(ip.get(16..20)?).ok()?);
                proto = ip[9];
                ip = ip.get(..total).unwrap_or(ip).get(usize::from(ip[0] & 15) * 4..)?;
            }
            6 => {
                let total = usize::from(u16::from_be_bytes([ip[4], ip[5]])) + 40;
                src = IpAddr::from(<[u8; 16]>::try_from(ip.get(8..24)?).ok()?);
                dst = IpAddr::from(<[u8; 16]>::try_from(ip.get(24..40)?).ok()?);
                proto = ip[6];
                ip = ip.get(..total).unwrap_or(ip).get(40..)?;
            }
            _ => return None,
        }
        let port = |i: usize| Some(u16::from_be_bytes([*ip.get(i)?, *ip.get(i + 1)?]));
        let (from, to) = (Endpoint { addr: src, port: port(0)? }, Endpoint { addr: dst, port: port(2)? });
        match proto {
            17 => {
                let len = usize::from(port(4)?);
                let (flow, dir) = self.flow(from, to, Transport::Udp);
                self.all[flow].datagram(&mut self.sink, at, dir, ip.get(8..len.max(8)).or_else(|| ip.get(8..))?);
            }
            6 => {
                let flags = *ip.get(13)?;
                let (flow, dir) =
                    if flags & 0x12 == 0x12 && !self.flows.contains_key(&(from, to, Transport::Tcp)) && !self.flows.contains_key(&(to, from, Transport::Tcp)) {
                        let (flow, dir) = self.flow(to, from, Transport::Tcp);
                        (flow, dir.flip())
                    } else {
                        self.flow(from, to, Transport::Tcp)
                    };
                let seq = u32::from_be_bytes(ip.get(4..8)?.try_into().ok()?);
                let ack = u32::from_be_bytes(ip.get(8..12)?.try_into().ok()?);
                let data = ip.get(usize::from(ip.get(12)? >> 4) * 4..)?;
                self.all[flow].segment(&mut self.sink, at, dir, seq, ack, flags, data);
            }
            _ => {}
        }
        Some(())
    }

    fn flow(&mut self, from: Endpoint, to: Endpoint, transport: Transport) -> (usize, Direction) {
        if let Some(&i) = self.flows.get(&(from, to, transport)) {
            let dir = if self.all[i].id.orig == from { ORIG } else { RESP };
            return (i, dir);
        }
        let uid = self.sink.uids.flow();
        self.all.push(Flow::new(FlowId { uid, orig: from, resp: to, transport }));
        let i = self.all.len() - 1;
        self.flows.insert((from, to, transport), i);
        self.flows.insert((to, from, transport), i);
        (i, ORIG)
    }

    fn end(&mut self) {
        for flow in &mut self.all {
            flow.finish(&mut self.sink);
        }
    }

    fn rows(mut self) -> Vec<String> {
        let mut rows = Vec::new();
        for record in std::mem::take(&mut self.sink.records) {
            let mut row = format!("{}\t", record.log().path).into_bytes();
            Row::write(&*record, Format::Tsv, self.profile, &mut row);
            rows.push(String::from_utf8_lossy(&row).trim_end_matches('\n').to_owned());
        }
        for flow in &self.all {
            rows.push(format!("#services\t{}\t{:?}\t-{:?}\t{:?}", flow.id.uid, flow.notes.services, flow.notes.failed, flow.violation));
        }
        rows
    }
}

struct Flow {
    id: FlowId,
    notes: FlowNotes,
    analyzers: Vec<(&'static Protocol, Box<dyn Analyzer>)>,
    identified: bool,
    beginning: Pair<Vec<u8>>,
    buffer: Pair<Vec<u8>>,
    next: [Option<u32>; 2],
    late: [BTreeMap<u32, Vec<u8>>; 2],
    at: Time,
    violation: Option<(&'static str, &'static str)>,
    gapped: bool,
}

impl Flow {
    fn new(id: FlowId) -> Self {
        Self {
            id,
            notes: FlowNotes::default(),
            analyzers: Vec::new(),
            identified: false,
            beginning: Pair { orig: Vec::new(), resp: Vec::new() },
            buffer: Pair { orig: Vec::new(), resp: Vec::new() },
            next: [None, None],
            late: [BTreeMap::new(), BTreeMap::new()],
            at: Time(0),
            violation: None,
            gapped: false,
        }
    }

    fn attach(&mut self, protocol: &'static Protocol) {
        self.identified = true;
        self.analyzers.push((protocol, (protocol.analyzer)(&self.id)));
    }

    fn identify(&mut self) {
        let beginning = Beginning { transport: self.id.transport, orig: &self.beginning.orig, resp: &self.beginning.resp };
        let ports = |p: &Protocol| match self.id.transport {
            Transport::Tcp => p.tcp.contains(&self.id.resp.port),
            _ => p.udp.contains(&self.id.resp.port) || (p.udp.contains(&self.id.orig.port)),
        };
        let found = PROTOCOLS
            .iter()
            .copied()
            .find(|p| (p.recognises)(&beginning) == Match::Yes)
            .or_else(|| PROTOCOLS.iter().copied().find(|p| ports(p)));
        if let Some(protocol) = found {
            self.attach(protocol);
        }
    }

    fn out<'a>(notes: &'a mut FlowNotes, sink: &'a mut Sink, id: FlowId, at: Time, name: &'static str) -> Output<'a> {
        Output { at, id, name, notes, sink }
    }

    fn datagram(&mut self, sink: &mut Sink, at: Time, from: Direction, bytes: &[u8]) {
        self.at = at;
        if !self.identified {
            *self.beginning.of_mut(from) = bytes.to_vec();
            self.identify();
        }
        for i in (0..self.analyzers.len()).rev() {
            let (protocol, analyzer) = &mut self.analyzers[i];
            let mut out = Self::out(&mut self.notes, sink, self.id, at, protocol.name);
            let mut rest = bytes;
            loop {
                match analyzer.advance(from, rest, &mut out) {
                    Step::Consumed(n) if n > 0 && n < rest.len() => rest = &rest[n..],
                    Step::Consumed(_) | Step::NeedMore => break,
                    Step::Violation(reason) => {
                        self.violation = Some((protocol.label, reason));
                        analyzer.finish(&mut out);
                        self.analyzers.remove(i);
                        break;
                    }
                    _ => {
                        analyzer.finish(&mut out);
                        self.analyzers.remove(i);
                        break;
                    }
                }
            }
        }
        if std::mem::take(&mut self.notes.flip) {
            std::mem::swap(&mut self.id.orig, &mut self.id.resp);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a segment has many parts")]
    fn segment(&mut self, sink: &mut Sink, at: Time, from: Direction, mut seq: u32, ack: u32, flags: u8, data: &[u8]) {
        self.at = at;
        let side = usize::from(!from.is_orig());
        if flags & 2 != 0 {
            seq = seq.wrapping_add(1);
            self.next[side] = Some(seq);
        }
        let next = *self.next[side].get_or_insert(seq);
        if !data.is_empty() {
            let behind = next.wrapping_sub(seq);
            if behind < 1 << 31 {
                if let Some(new) = data.get(behind as usize..).filter(|d| !d.is_empty()) {
                    self.next[side] = Some(next.wrapping_add(new.len() as u32));
                    let new = new.to_vec();
                    self.bytes(sink, at, from, &new);
                    self.drain(sink, at, from, side);
                }
            } else {
                self.late[side].insert(seq, data.to_vec());
            }
        }
        // The other side's acknowledgement of what was not seen names a gap.
        let other = 1 - side;
        if flags & 16 != 0
            && let Some(their) = self.next[other]
            && let missing = ack.wrapping_sub(their)
            && missing > 1
            && missing < 1 << 24
        {
            let upto = self.late[other].keys().next().map_or(missing, |k| k.wrapping_sub(their)).min(missing);
            self.gap(sink, at, from.flip(), u64::from(upto));
            self.next[other] = Some(their.wrapping_add(upto));
            self.drain(sink, at, from.flip(), other);
        }
        if flags & 5 != 0 && self.late[side].is_empty() {
            let rest = std::mem::take(self.buffer.of_mut(from));
            for (protocol, analyzer) in &mut self.analyzers {
                let mut out = Self::out(&mut self.notes, sink, self.id, at, protocol.name);
                analyzer.end(from, &rest, &mut out);
            }
        }
    }

    fn drain(&mut self, sink: &mut Sink, at: Time, from: Direction, side: usize) {
        while let Some((seq, data)) = self.late[side].pop_first() {
            let next = self.next[side].unwrap();
            let behind = next.wrapping_sub(seq);
            if behind >= 1 << 31 {
                self.late[side].insert(seq, data);
                return;
            }
            if let Some(new) = data.get(behind as usize..).filter(|d| !d.is_empty()) {
                self.next[side] = Some(next.wrapping_add(new.len() as u32));
                self.bytes(sink, at, from, new);
            }
        }
    }

    fn gap(&mut self, sink: &mut Sink, at: Time, from: Direction, len: u64) {
        self.gapped = true;
        self.buffer.of_mut(from).clear();
        let mut i = 0;
        while i < self.analyzers.len() {
            let (protocol, analyzer) = &mut self.analyzers[i];
            let mut out = Self::out(&mut self.notes, sink, self.id, at, protocol.name);
            match analyzer.gap(from, len, &mut out) {
                Step::Consumed(_) | Step::NeedMore => i += 1,
                _ => {
                    analyzer.finish(&mut out);
                    self.analyzers.remove(i);
                }
            }
        }
    }

    fn bytes(&mut self, sink: &mut Sink, at: Time, from: Direction, bytes: &[u8]) {
        self.at = at;
        if !self.identified {
            self.beginning.of_mut(from).extend_from_slice(bytes);
            if !self.gapped {
                self.identify();
            }
            if !self.identified {
                return;
            }
            let beginning = std::mem::take(&mut self.beginning);
            for dir in [from.flip(), from] {
                self.offer(sink, at, dir, beginning.of(dir));
            }
            return;
        }
        self.offer(sink, at, from, bytes);
    }

    fn offer(&mut self, sink: &mut Sink, at: Time, from: Direction, bytes: &[u8]) {
        self.buffer.of_mut(from).extend_from_slice(bytes);
        let Some((protocol, analyzer)) = self.analyzers.last_mut() else { return };
        let (mut out, name) = (Self::out(&mut self.notes, sink, self.id, at, protocol.name), protocol.label);
        loop {
            let buffer = self.buffer.of_mut(from);
            if buffer.is_empty() {
                return;
            }
            let step = analyzer.advance(from, buffer, &mut out);
            match step {
                Step::Consumed(0) | Step::NeedMore => return,
                Step::Consumed(n) => drop(buffer.drain(..n)),
                Step::Done | Step::Violation(_) => {
                    if let Step::Violation(reason) = step {
                        self.violation = Some((name, reason));
                        if out.is_confirmed() {
                            out.notes.services.retain(|s| *s != protocol.name);
                            out.notes.failed.push(protocol.name);
                        }
                    }
                    analyzer.finish(&mut out);
                    self.analyzers.pop();
                    return;
                }
                Step::Become(n, new) => {
                    buffer.drain(..n);
                    analyzer.finish(&mut out);
                    self.analyzers.clear();
                    self.attach(new);
                    self.offer(sink, at, from, &[]);
                    return self.offer(sink, at, from.flip(), &[]);
                }
                Step::Identify(n) => {
                    buffer.drain(..n);
                    analyzer.finish(&mut out);
                    self.analyzers.clear();
                    self.identified = false;
                    let rest = std::mem::take(&mut self.buffer);
                    for dir in [from, from.flip()] {
                        if !rest.of(dir).is_empty() {
                            self.bytes(sink, at, dir, rest.of(dir));
                        }
                    }
                    return;
                }
            }
        }
    }

    fn finish(&mut self, sink: &mut Sink) {
        for (protocol, analyzer) in &mut self.analyzers {
            let mut out = Self::out(&mut self.notes, sink, self.id, self.at, protocol.name);
            analyzer.finish(&mut out);
        }
        self.analyzers.clear();
    }
}

/// Frames of a PCAP or PCAPNG file with time and link type.
fn frames(file: &[u8]) -> Vec<(Time, u32, Vec<u8>)> {
    let mut all = Vec::new();
    let magic = u32::from_le_bytes(file[..4].try_into().unwrap());
    if magic == 0x0a0d_0d0a {
        let mut at = 0;
        let mut links = Vec::new();
        let word = |i: usize| u32::from_le_bytes(file[i..i + 4].try_into().unwrap());
        while at + 12 <= file.len() {
            let len = word(at + 4) as usize;
            match word(at) {
                1 => {
                    let mut unit = 1_000i64;
                    let mut option = at + 16;
                    while option + 4 < at + len - 4 {
                        let (code, size) = (word(option) & 0xffff, (word(option) >> 16) as usize);
                        if code == 9 {
                            unit = 10i64.pow(9 - u32::from(file[option + 4]));
                        }
                        if code == 0 {
                            break;
                        }
                        option += 4 + size.div_ceil(4) * 4;
                    }
                    links.push((word(at + 8) & 0xffff, unit));
                }
                6 => {
                    let (link, unit) = links[word(at + 8) as usize];
                    let ticks = (i64::from(word(at + 12)) << 32) | i64::from(word(at + 16));
                    all.push((Time(ticks * unit), link, file[at + 28..at + 28 + word(at + 20) as usize].to_vec()));
                }
                _ => {}
            }
            at += len;
        }
        return all;
    }
    let swapped = matches!(magic, 0xd4c3_b2a1 | 0x4d3c_b2a1);
    let unit = if matches!(magic, 0xa1b2_3c4d | 0x4d3c_b2a1) { 1 } else { 1000 };
    let word = |i: usize| {
        let raw: [u8; 4] = file[i..i + 4].try_into().unwrap();
        if swapped { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) }
    };
    let mut at = 24;
    while at + 16 <= file.len() {
        let len = word(at + 8) as usize;
        let Some(data) = file.get(at + 16..at + 16 + len) else { break };
        all.push((Time(i64::from(word(at)) * 1_000_000_000 + i64::from(word(at + 4)) * unit), word(20) & 0xffff, data.to_vec()));
        at += 16 + len;
    }
    all
}

/// `CAPTURE=file OUT=dir cargo test -p analyze dump_a_capture -- --ignored` writes the logs of a capture.
#[test]
#[ignore = "a tool, not a test"]
fn dump_a_capture() {
    let (Ok(path), Ok(out)) = (std::env::var("CAPTURE"), std::env::var("OUT")) else { return };
    let profile = if std::env::var("MALCOLM").is_ok() { Profile::Malcolm } else { Profile::Stock };
    let mut world = World::new(profile);
    for (at, link, frame) in frames(&std::fs::read(&path).unwrap()) {
        world.frame(at, link, &frame);
    }
    world.end();
    let mut logs: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for record in &world.sink.records {
        let log = record.log();
        let text = logs.entry(log.path).or_insert_with(|| crate::log::header(log, profile, "2026-01-01-00-00-00").into_bytes());
        Row::write(&**record, Format::Tsv, profile, text);
    }
    for (name, text) in logs {
        std::fs::write(format!("{out}/{name}.log"), text).unwrap();
    }
    for row in world.rows().iter().filter(|r| r.starts_with('#')) {
        eprintln!("{row}");
    }
}
