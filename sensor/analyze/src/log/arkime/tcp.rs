//! TCP as Arkime counts it: flags, the handshake, and the bytes that came in order.

use crate::packet::ip::Ip;
use crate::{Direction, Pair, Reader, Time};

/// Arkime's `maxTcpOutOfOrderPackets`: when more segments of both directions wait, the stream is given up.
const MAX_WAITING: usize = 256;
/// Different initial sequence numbers that are told apart.
const MAX_ISNS: usize = 16;

/// What of a segment's header is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    seq: u32,
    ack_seq: u32,
    flags: u16,
    window: u16,
    header_len: usize,
}

/// Arkime's tag of a connection whose SYN was seen, but no answer to it.
pub(super) const NO_ANSWER: &str = "no-syn-ack";

const FIN: u16 = 0x01;
const SYN: u16 = 0x02;
const RST: u16 = 0x04;
const PSH: u16 = 0x08;
const ACK: u16 = 0x10;
const URG: u16 = 0x20;
const ECE: u16 = 0x40;
const CWR: u16 = 0x80;
/// RFC 9768: accurate ECN, the former nonce sum.
const AE: u16 = 0x100;

/// Packets by flag.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub(super) syn: u64,
    pub(super) syn_ack: u64,
    pub(super) ack: u64,
    pub(super) psh: u64,
    pub(super) fin: u64,
    pub(super) rst: u64,
    pub(super) urg: u64,
    pub(super) ece: u64,
    pub(super) cwr: u64,
    pub(super) ae: u64,
    /// Packets with a window of zero.
    pub(super) zero: Pair<u64>,
}

/// How far one side has closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Closing {
    #[default]
    Open,
    Fin,
    FinAcked,
}

#[derive(Clone, Debug, Default)]
struct Side {
    /// Sequence number that comes next, once it is known.
    next: u32,
    syn_seen: bool,
    isn: u32,
    closing: Closing,
}

/// A segment that waits for the bytes before it.
#[derive(Clone, Debug)]
struct Waiting {
    from: Direction,
    seq: u32,
    ack: u32,
    len: u32,
    /// Its payload, empty if nobody wants to see it; `None` of the segment at hand, which is read where it is.
    data: Option<Vec<u8>>,
}

/// The state of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Tcp {
    pub(super) flags: Flags,
    sides: Pair<Side>,
    /// Segments of both directions in one order, as Arkime keeps them: what one side said holds back what the other
    /// answered.
    waiting: Vec<Waiting>,
    /// Initial sequence numbers of the originator.
    isns: Vec<u32>,
    syn_at: Option<Time>,
    ack_at: Option<Time>,
    pub(super) syn_validated: bool,
    pub(super) syn_ack_validated: bool,
    has_handshake: bool,
    stopped: bool,
    acked_unseen: Pair<bool>,
    out_of_order: Pair<bool>,
    /// What Arkime writes for the initial sequence numbers.
    pub(super) seq: Pair<Option<u32>>,
}

/// What a segment brought about.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Both sides have closed, or one has reset.
    pub(super) closed: bool,
    pub(super) tag: Option<&'static str>,
}

impl Segment {
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let mut r = Reader::new(payload);
        let (src_port, dst_port, seq, ack_seq) = (r.u16()?, r.u16()?, r.u32()?, r.u32()?);
        let word = r.u16()?;
        Some(Self { src_port, dst_port, seq, ack_seq, flags: word & 0x1ff, window: r.u16()?, header_len: usize::from(word >> 12) * 4 })
    }

    const fn is(self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// A SYN with ACK: who sends it has been called.
    pub(super) const fn is_answer(self) -> bool {
        self.is(SYN) && self.is(ACK)
    }

    /// A SYN without ACK.
    pub(super) const fn is_call(self) -> bool {
        self.is(SYN) && !self.is(ACK)
    }
}

impl Tcp {
    /// Whether a handshake of any kind was seen.
    pub(super) const fn has_syn(&self) -> bool {
        self.flags.syn > 0 || self.flags.syn_ack > 0
    }

    /// Whether one of the sides has begun to close: a SYN then opens a new session.
    pub(super) const fn is_closing(&self) -> bool {
        self.flags.rst > 0 || self.flags.fin > 0
    }

    /// Whether the stream is read: from a handshake on, and until it is given up.
    pub(super) const fn is_followed(&self) -> bool {
        self.has_handshake && !self.stopped
    }

    /// The session goes on in another document, which tells nothing of the beginning and counts flags anew.
    pub(super) fn go_on(&mut self) {
        self.flags = Flags::default();
        self.isns.clear();
        (self.syn_at, self.ack_at) = (None, None);
    }

    pub(super) fn isn_count(&self) -> u64 {
        self.isns.len() as u64
    }

    /// Half of the time from the first SYN to the first bare ACK, in milliseconds. Arkime takes seconds and the rest
    /// apart, and rounds the rest towards zero.
    pub(super) fn round_trip(&self) -> Option<i64> {
        let (syn, ack) = (self.syn_at?, self.ack_at?);
        let micros = |at: Time| at.0.rem_euclid(1_000_000_000) / 1000;
        Some(((ack.secs() - syn.secs()) * 1000 + (micros(ack) - micros(syn)) / 1000) / 2)
    }

    /// Counts a segment, and hands over what has come in order: bytes and their number, which is larger where nobody
    /// `wanted` the bytes.
    pub(super) fn segment(
        &mut self,
        from: Direction,
        at: Time,
        segment: Segment,
        packet: &Ip<'_>,
        wanted: bool,
        deliver: &mut dyn FnMut(Direction, &[u8], u32),
    ) -> Outcome {
        let mut outcome = Outcome::default();
        self.count(from, segment);
        let Some(len) = packet.payload_len.checked_sub(segment.header_len) else { return outcome };
        if segment.is(URG) {
            self.flags.urg += 1;
        }
        self.validate(from, segment);
        if segment.is(SYN) {
            self.syn(from, at, segment);
            return outcome;
        }
        if segment.is(RST) {
            self.flags.rst += 1;
            if distance(segment.seq, self.sides.of(from).next) <= 0 {
                outcome.closed = segment.seq == self.sides.of(from).next;
                return outcome;
            }
            self.sides.of_mut(from).closing = Closing::FinAcked;
        }
        if segment.is(FIN) {
            self.flags.fin += 1;
            self.sides.of_mut(from).closing = Closing::Fin;
        }
        if segment.flags & (FIN | RST | PSH | SYN | ACK) == ACK {
            self.flags.ack += 1;
            if self.ack_at.is_none() {
                self.ack_at = Some(at);
            }
        }
        if segment.is(PSH) {
            self.flags.psh += 1;
        }
        if self.stopped {
            return outcome;
        }
        if self.has_handshake && self.flags.syn_ack == 0 && self.sides.of(from).next == 0 {
            outcome.tag = Some(NO_ANSWER);
            self.sides.of_mut(from).next = segment.seq;
        }
        if self.waiting.len() > MAX_WAITING {
            self.waiting.clear();
            self.stopped = true;
            outcome.tag = Some("incomplete-tcp");
            return outcome;
        }
        if segment.is(ACK) || segment.is(RST) {
            let other = self.sides.of_mut(from.flip());
            if other.closing == Closing::Fin {
                other.closing = Closing::FinAcked;
                if self.sides.of(from).closing == Closing::FinAcked {
                    outcome.closed = true;
                    return outcome;
                }
            }
        }
        if segment.is(ACK) {
            let next = self.sides.of(from.flip()).next;
            if self.has_handshake && !*self.acked_unseen.of(from) && next != 0 && distance(next, segment.ack_seq) > 1 {
                *self.acked_unseen.of_mut(from) = true;
                outcome.tag = Some(if from.is_orig() { "acked-unseen-segment-src" } else { "acked-unseen-segment-dst" });
            }
        }
        if len > 0 && !segment.is(RST) {
            let data = packet.payload.get(segment.header_len..).unwrap_or_default();
            self.data(from, segment, u32::try_from(len).unwrap_or(u32::MAX), data, wanted, &mut outcome);
            self.release(data, deliver);
        }
        outcome
    }

    fn count(&mut self, from: Direction, segment: Segment) {
        if segment.window == 0 && !segment.is(RST) {
            *self.flags.zero.of_mut(from) += 1;
        }
        for (flag, count) in [(ECE, &mut self.flags.ece), (CWR, &mut self.flags.cwr), (AE, &mut self.flags.ae)] {
            if segment.is(flag) {
                *count += 1;
            }
        }
    }

    /// Whether each side has acknowledged the other's SYN.
    fn validate(&mut self, from: Direction, segment: Segment) {
        let other = self.sides.of(from.flip());
        if !segment.is(ACK) || !other.syn_seen || segment.ack_seq != other.isn.wrapping_add(1) {
            return;
        }
        match from {
            Direction::Responder if segment.is(SYN) => self.syn_validated = true,
            Direction::Originator if !segment.is(SYN) && !segment.is(RST) => self.syn_ack_validated = true,
            _ => {}
        }
    }

    fn syn(&mut self, from: Direction, at: Time, segment: Segment) {
        if segment.is(ACK) {
            self.flags.syn_ack += 1;
            if !self.has_handshake {
                self.sides.of_mut(from.flip()).next = segment.ack_seq;
            }
        } else {
            self.flags.syn += 1;
            if self.syn_at.is_none() {
                self.syn_at = Some(at);
                self.ack_at = None;
            }
            if from.is_orig() && self.isns.len() < MAX_ISNS && !self.isns.contains(&segment.seq) {
                self.isns.push(segment.seq);
            }
        }
        let side = self.sides.of_mut(from);
        if !side.syn_seen {
            side.syn_seen = true;
            side.isn = segment.seq;
            side.next = segment.seq.wrapping_add(1);
            // Arkime writes 0 for an answer to a SYN that it has seen.
            let shown = if segment.is(ACK) && self.has_handshake { 0 } else { segment.seq };
            *self.seq.of_mut(from) = Some(shown);
        }
        self.has_handshake = true;
    }

    /// The only segment that waits when the session ends, if it came alone: Arkime looks at it all the same.
    pub(super) fn lone(&mut self) -> Option<(Direction, Vec<u8>)> {
        if self.waiting.len() != 1 || self.flags.psh != 1 {
            return None;
        }
        self.waiting.pop().map(|alone| (alone.from, alone.data.unwrap_or_default()))
    }

    /// Puts a segment into the queue.
    fn data(&mut self, from: Direction, segment: Segment, len: u32, data: &[u8], wanted: bool, outcome: &mut Outcome) {
        let (seq, ack) = (segment.seq, segment.ack_seq);
        let next = self.sides.of(from).next;
        if self.has_handshake && distance(next, seq.wrapping_add(len)) <= 0 {
            return;
        }
        let is_next = self.waiting.is_empty() && self.has_handshake && distance(next, seq) <= 0;
        let mut place = 0;
        if !self.waiting.is_empty() {
            for (at, other) in self.waiting.iter().enumerate().rev() {
                let past = distance(if from == other.from { other.seq } else { other.ack }, seq);
                if past > 0 || (past == 0 && from != other.from && distance(ack, other.seq) < 0) {
                    place = at + 1;
                    break;
                }
                if past == 0 && from == other.from {
                    if len <= other.len {
                        return;
                    }
                    self.waiting.remove(at);
                    place = at;
                    break;
                }
            }
            if self.has_handshake && !*self.out_of_order.of(from) {
                *self.out_of_order.of_mut(from) = true;
                outcome.tag = Some(if from.is_orig() { "out-of-order-src" } else { "out-of-order-dst" });
            }
        }
        // What is next is read from the packet itself, and a lone segment may be looked at in the end.
        let keep = wanted || self.waiting.is_empty();
        let data = (!is_next).then(|| if keep { data.to_vec() } else { Vec::new() });
        self.waiting.insert(place, Waiting { from, seq, ack, len, data });
    }

    /// Takes out of the queue what has come in order; `current` is the payload of the segment at hand.
    fn release(&mut self, current: &[u8], deliver: &mut dyn FnMut(Direction, &[u8], u32)) {
        while let Some(first) = self.waiting.first() {
            let next = self.sides.of(first.from).next;
            if !self.has_handshake || distance(first.seq, next) < 0 {
                return;
            }
            let first = self.waiting.remove(0);
            let skip = distance(first.seq, next);
            let fresh = i64::from(first.len).saturating_sub(skip);
            let Ok(fresh) = u32::try_from(fresh) else { continue };
            if fresh == 0 {
                continue;
            }
            let data = first.data.as_deref().unwrap_or(current);
            let data = data.get(usize::try_from(skip).unwrap_or(usize::MAX)..).unwrap_or_default();
            deliver(first.from, data, fresh);
            self.sides.of_mut(first.from).next = next.wrapping_add(fresh);
        }
    }
}

/// From `a` to `b`, past the end of the sequence space.
fn distance(a: u32, b: u32) -> i64 {
    i64::from(b.wrapping_sub(a).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(seq: u32, ack_seq: u32, flags: u16) -> Segment {
        Segment { src_port: 1, dst_port: 2, seq, ack_seq, flags, window: 1, header_len: 20 }
    }

    fn take(tcp: &mut Tcp, at: Time, from: Direction, segment: Segment, data: &[u8]) -> (u64, Vec<u8>) {
        let payload = [&[0; 20], data].concat();
        let addr = std::net::IpAddr::from([10, 0, 0, 1]);
        let packet = Ip {
            src: addr,
            dst: addr,
            protocol: 6,
            total_len: 20 + payload.len(),
            payload_len: payload.len(),
            payload: &payload,
            fragment: None,
            ttl: 64,
            tos: 0,
        };
        let (mut count, mut bytes) = (0, Vec::new());
        tcp.segment(from, at, segment, &packet, true, &mut |_, data, len| {
            count += u64::from(len);
            bytes.extend_from_slice(data);
        });
        (count, bytes)
    }

    #[test]
    fn handshake_is_counted_validated_and_timed() {
        let mut tcp = Tcp::default();
        let at = |ms: i64| Time::from_micros(ms * 1000);
        take(&mut tcp, at(0), Direction::Originator, segment(100, 0, SYN), &[]);
        take(&mut tcp, at(10), Direction::Responder, segment(500, 101, SYN | ACK), &[]);
        take(&mut tcp, at(20), Direction::Originator, segment(101, 501, ACK), &[]);
        assert!(tcp.syn_validated && tcp.syn_ack_validated);
        assert_eq!((tcp.flags.syn, tcp.flags.syn_ack, tcp.flags.ack), (1, 1, 1));
        assert_eq!(tcp.round_trip(), Some(10));
        assert_eq!((tcp.seq.orig, tcp.seq.resp), (Some(100), Some(0)));
    }

    #[test]
    fn bytes_count_once_and_in_order() {
        let mut tcp = Tcp::default();
        let at = Time::default();
        take(&mut tcp, at, Direction::Originator, segment(100, 0, SYN), &[]);
        assert_eq!(take(&mut tcp, at, Direction::Originator, segment(111, 1, ACK), b"world").0, 0);
        let (count, bytes) = take(&mut tcp, at, Direction::Originator, segment(101, 1, ACK), b"0123456789");
        assert_eq!((count, &*bytes), (15, &b"0123456789world"[..]));
        assert_eq!(take(&mut tcp, at, Direction::Originator, segment(101, 1, ACK), b"0123456789").0, 0);
    }
}
