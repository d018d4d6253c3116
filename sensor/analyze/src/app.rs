//! The application layer of one flow: finds out what it speaks, and feeds the analyzers that know it.
//!
//! Analyzers are attached by the responder's port at once, and by content as soon as a protocol recognises the
//! beginning; several may run on one flow until they take themselves off. What came before an analyzer was attached
//! is shown to it again.

use crate::log::Record as _;
use crate::output::Sink;
use crate::protocol::{Analyzer, Beginning, IDENTIFY_BYTES, MAX_UNCONSUMED, Match, Protocol, Step};
use crate::protocols::PROTOCOLS;
use crate::violation::AnalyzerRecord;
use crate::{Direction, FlowId, FlowNotes, Output, Pair, Time, Transport};

/// Times that one flow may change its protocol (STARTTLS, CONNECT, SOCKS within SOCKS …).
const MAX_CHANGES: u8 = 16;
/// Payload bytes of a flow after which a violation is not held against it.
const IGNORE_VIOLATIONS_AFTER: u64 = 10 * 1024;

/// Bytes that a violation quotes.
const FAILURE_DATA: usize = 40;

/// What runs on a flow.
#[derive(Default)]
pub(crate) struct App {
    active: Vec<Active>,
    identify: Option<Box<Identify>>,
    changes: u8,
}

struct Active {
    protocol: &'static Protocol,
    analyzer: Box<dyn Analyzer>,
    unconsumed: Pair<Vec<u8>>,
}

/// The beginning of a flow, while it is not known what it is.
struct Identify {
    seen: Pair<Vec<u8>>,
    /// Sender and length of each piece of `seen`, in order of arrival.
    order: Vec<(Direction, u16)>,
    /// Whether `seen` no longer holds all that came.
    overflowed: bool,
    /// Protocols that are out of question or attached, by their place in the table.
    settled: u128,
}

/// Where a call comes from: all that [`Output`] needs but the analyzer's name.
pub(crate) struct Scene<'a> {
    pub(crate) at: Time,
    pub(crate) id: FlowId,
    pub(crate) notes: &'a mut FlowNotes,
    pub(crate) sink: &'a mut Sink,
}

impl Scene<'_> {
    fn output(&mut self, protocol: &'static Protocol) -> Output<'_> {
        Output { at: self.at, id: self.id, name: protocol.name, notes: self.notes, sink: self.sink }
    }
}

impl App {
    /// Attaches what the responder's port stands for, and starts to identify.
    pub(crate) fn start(&mut self, scene: &mut Scene<'_>) {
        if !matches!(scene.id.transport, Transport::Tcp | Transport::Udp) {
            return;
        }
        let mut identify = Box::new(Identify { seen: Pair::default(), order: Vec::new(), overflowed: false, settled: 0 });
        if let Some(protocol) = scene.sink.expected(scene.at, &scene.id) {
            // Announced by another flow (FTP data): nothing else is looked for.
            self.attach(protocol, &scene.id);
            return;
        }
        let port = scene.id.resp.port;
        for (place, protocol) in PROTOCOLS.iter().enumerate() {
            let ports = if scene.id.transport == Transport::Tcp { protocol.tcp } else { protocol.udp };
            if ports.contains(&port) {
                identify.settle(place);
                self.attach(protocol, &scene.id);
            }
        }
        self.identify = Some(identify);
    }

    /// One protocol alone, without identification.
    #[cfg(test)]
    pub(crate) fn only(protocol: &'static Protocol, id: &FlowId) -> Self {
        let mut app = Self::default();
        app.attach(protocol, id);
        app
    }

    /// Starts to identify a stream within another one, of which no port tells anything.
    pub(crate) fn start_unknown(&mut self) {
        self.identify = Some(Box::new(Identify { seen: Pair::default(), order: Vec::new(), overflowed: false, settled: 0 }));
    }

    /// Whether bytes are of any use here.
    pub(crate) fn is_interested(&self) -> bool {
        !self.active.is_empty() || self.identify.is_some()
    }

    /// In-order bytes of a TCP stream.
    pub(crate) fn stream(&mut self, scene: &mut Scene<'_>, from: Direction, bytes: &[u8]) {
        self.identify(scene, from, bytes);
        // Those that take the place of others on the way have been fed when they come.
        let mut index = 0;
        for _ in 0..self.active.len() {
            let Some(active) = self.active.get_mut(index) else { return };
            let verdict = active.feed(scene, from, bytes);
            if matches!(verdict, Verdict::Keep) || self.settle(scene, index, from, verdict) {
                index += 1;
            }
        }
    }

    /// One datagram.
    pub(crate) fn datagram(&mut self, scene: &mut Scene<'_>, from: Direction, bytes: &[u8]) {
        self.identify(scene, from, bytes);
        let mut index = 0;
        for _ in 0..self.active.len() {
            let Some(active) = self.active.get_mut(index) else { return };
            let verdict = active.feed(scene, from, bytes);
            active.unconsumed.of_mut(from).clear();
            if matches!(verdict, Verdict::Keep) || self.settle(scene, index, from, verdict) {
                index += 1;
            }
        }
    }

    /// Bytes that are missing in a TCP stream.
    pub(crate) fn gap(&mut self, scene: &mut Scene<'_>, from: Direction, len: u64) {
        if let Some(identify) = &mut self.identify {
            identify.overflowed = true;
        }
        let mut index = 0;
        while let Some(active) = self.active.get_mut(index) {
            active.unconsumed.of_mut(from).clear();
            let step = active.analyzer.gap(from, len, &mut scene.output(active.protocol));
            match step {
                Step::Consumed(_) | Step::NeedMore => index += 1,
                Step::Done | Step::Become(..) | Step::Identify(_) => {
                    self.settle(scene, index, from, Verdict::Remove);
                }
                Step::Violation(reason) => {
                    self.settle(scene, index, from, Verdict::Violation(reason, Vec::new()));
                }
            }
        }
    }

    /// One direction of a TCP stream has ended.
    pub(crate) fn end(&mut self, scene: &mut Scene<'_>, from: Direction) {
        for active in &mut self.active {
            let rest = std::mem::take(active.unconsumed.of_mut(from));
            active.analyzer.end(from, &rest, &mut scene.output(active.protocol));
        }
    }

    /// The flow is over.
    pub(crate) fn finish(&mut self, scene: &mut Scene<'_>) {
        for active in &mut self.active {
            active.analyzer.finish(&mut scene.output(active.protocol));
        }
        self.active.clear();
        self.identify = None;
    }

    fn attach(&mut self, protocol: &'static Protocol, id: &FlowId) {
        self.active.push(Active { protocol, analyzer: (protocol.analyzer)(id), unconsumed: Pair::default() });
    }

    /// Shows the beginning with `bytes` to all protocols that are still possible; attaches those that know it.
    fn identify(&mut self, scene: &mut Scene<'_>, from: Direction, bytes: &[u8]) {
        let Some(mut identify) = self.identify.take() else { return };
        let before = identify.order.len();
        identify.see(from, bytes);
        let mut undecided = false;
        for (place, protocol) in PROTOCOLS.iter().enumerate() {
            if identify.is_settled(place) {
                continue;
            }
            let beginning = Beginning { transport: scene.id.transport, orig: &identify.seen.orig, resp: &identify.seen.resp };
            match (protocol.recognises)(&beginning) {
                Match::Yes => {
                    identify.settle(place);
                    if !identify.overflowed {
                        self.attach(protocol, &scene.id);
                        self.replay(scene, &identify, before);
                    }
                }
                Match::No => identify.settle(place),
                Match::Maybe => undecided = true,
            }
        }
        if undecided && !identify.overflowed {
            self.identify = Some(identify);
        }
    }

    /// Shows the analyzer that was attached last what came before the present piece.
    fn replay(&mut self, scene: &mut Scene<'_>, identify: &Identify, pieces: usize) {
        let is_udp = scene.id.transport == Transport::Udp;
        let mut at = Pair { orig: 0usize, resp: 0usize };
        for &(from, len) in identify.order.iter().take(pieces) {
            let start = *at.of(from);
            let end = start.saturating_add(usize::from(len));
            *at.of_mut(from) = end;
            let Some(index) = self.active.len().checked_sub(1) else { return };
            let Some(active) = self.active.last_mut() else { return };
            let verdict = active.feed(scene, from, identify.seen.of(from).get(start..end).unwrap_or_default());
            if is_udp {
                active.unconsumed.of_mut(from).clear();
            }
            match verdict {
                Verdict::Keep => {}
                verdict => {
                    self.settle(scene, index, from, verdict);
                    return;
                }
            }
        }
    }

    /// Does what an analyzer's last step asked for; true if another has taken its place.
    fn settle(&mut self, scene: &mut Scene<'_>, index: usize, from: Direction, verdict: Verdict) -> bool {
        if index >= self.active.len() {
            return false;
        }
        let mut gone = self.active.remove(index);
        gone.analyzer.finish(&mut scene.output(gone.protocol));
        let rest = gone.unconsumed;
        match verdict {
            Verdict::Keep | Verdict::Remove => {}
            Verdict::Violation(reason, data) => violated(scene, gone.protocol, reason, &data),
            Verdict::Become(protocol) => {
                if self.may_change(scene) {
                    self.active.insert(index, Active { protocol, analyzer: (protocol.analyzer)(&scene.id), unconsumed: Pair::default() });
                    return self.refeed(scene, index, from, &rest);
                }
            }
            Verdict::Identify => {
                if self.may_change(scene) {
                    if let Some(sessions) = &mut scene.sink.sessions {
                        sessions.begins_anew(&scene.id, scene.at);
                    }
                    self.identify = Some(Box::new(Identify { seen: Pair::default(), order: Vec::new(), overflowed: false, settled: 0 }));
                    // What is left over is for those alone that know it.
                    let others = std::mem::take(&mut self.active);
                    for from in [from, from.flip()] {
                        if !rest.of(from).is_empty() {
                            self.stream(scene, from, rest.of(from));
                        }
                    }
                    let found = std::mem::replace(&mut self.active, others);
                    self.active.extend(found);
                }
            }
        }
        false
    }

    /// Shows a new analyzer what the one before it had left over, first of the direction that changed; true if it
    /// stays.
    fn refeed(&mut self, scene: &mut Scene<'_>, index: usize, from: Direction, rest: &Pair<Vec<u8>>) -> bool {
        for from in [from, from.flip()] {
            if rest.of(from).is_empty() {
                continue;
            }
            let Some(active) = self.active.get_mut(index) else { return false };
            let verdict = active.feed(scene, from, rest.of(from));
            if !matches!(verdict, Verdict::Keep) {
                return self.settle(scene, index, from, verdict);
            }
        }
        true
    }

    fn may_change(&mut self, scene: &mut Scene<'_>) -> bool {
        self.changes = self.changes.saturating_add(1);
        if self.changes > MAX_CHANGES {
            let id = scene.id;
            scene.sink.weird(scene.at, Some(&id), "too_many_protocol_changes", None, None);
            return false;
        }
        true
    }
}

/// What is shown of the bytes that an analyzer could not read: of a line what stands before its end, as in Zeek.
fn failed(rest: &[u8]) -> &[u8] {
    let rest = rest.get(..FAILURE_DATA).unwrap_or(rest);
    rest.strip_suffix(b"\r\n").unwrap_or(rest)
}

/// What becomes of an analyzer.
enum Verdict {
    Keep,
    Remove,
    Violation(&'static str, Vec<u8>),
    Become(&'static Protocol),
    Identify,
}

impl Active {
    /// Shows `bytes` after what was left over, until the analyzer wants no more. What is left over afterwards is kept,
    /// also for a successor.
    fn feed(&mut self, scene: &mut Scene<'_>, from: Direction, bytes: &[u8]) -> Verdict {
        let mut kept = std::mem::take(self.unconsumed.of_mut(from));
        let borrowed = kept.is_empty();
        if !borrowed {
            kept.extend_from_slice(bytes);
        }
        let all: &[u8] = if borrowed { bytes } else { &kept };
        let mut at = 0usize;
        let verdict = loop {
            let rest = all.get(at..).unwrap_or_default();
            if rest.is_empty() && at > 0 {
                break Verdict::Keep;
            }
            match self.analyzer.advance(from, rest, &mut scene.output(self.protocol)) {
                Step::Consumed(0) | Step::NeedMore => break Verdict::Keep,
                Step::Consumed(n) => at = at.saturating_add(n),
                Step::Done => break Verdict::Remove,
                Step::Violation(reason) => break Verdict::Violation(reason, failed(rest).to_vec()),
                Step::Become(n, protocol) => {
                    at = at.saturating_add(n);
                    break Verdict::Become(protocol);
                }
                Step::Identify(n) => {
                    at = at.saturating_add(n);
                    break Verdict::Identify;
                }
            }
        };
        let rest = all.get(at..).unwrap_or_default();
        if rest.len() > MAX_UNCONSUMED {
            return Verdict::Violation("unit larger than the limit", Vec::new());
        }
        // Copies only what an analyzer has to see again together with the next segment.
        *self.unconsumed.of_mut(from) = if borrowed {
            rest.to_vec()
        } else {
            let at = at.min(kept.len());
            kept.drain(..at);
            kept
        };
        verdict
    }
}

impl Identify {
    fn see(&mut self, from: Direction, bytes: &[u8]) {
        let seen = self.seen.of_mut(from);
        let room = IDENTIFY_BYTES.saturating_sub(seen.len());
        // What came before the present piece must be whole for a replay; the present one is fed in full.
        if room == 0 && !bytes.is_empty() {
            self.overflowed = true;
            return;
        }
        let kept = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        seen.extend_from_slice(kept);
        self.order.push((from, u16::try_from(kept.len()).unwrap_or(u16::MAX)));
    }

    const fn settle(&mut self, place: usize) {
        if place < 128 {
            self.settled |= 1 << place;
        }
    }

    const fn is_settled(&self, place: usize) -> bool {
        place >= 128 || self.settled & (1 << place) != 0
    }
}

/// A protocol that was confirmed and then broken is no longer a service of the flow, and is logged.
fn violated(scene: &mut Scene<'_>, protocol: &'static Protocol, reason: &'static str, data: &[u8]) {
    // Zeek's DPD::ignore_violations_after: late in a connection a violation is rather a parser's limit.
    if scene.notes.bytes > IGNORE_VIOLATIONS_AFTER {
        return;
    }
    let Some(place) = scene.notes.services.iter().position(|name| *name == protocol.name) else { return };
    scene.notes.services.remove(place);
    scene.notes.failed.push(protocol.name);
    let record = AnalyzerRecord::protocol(scene.at, scene.id, protocol.label, reason, data);
    debug_assert_eq!(record.log().path, "analyzer");
    scene.sink.records.push(Box::new(record));
}
