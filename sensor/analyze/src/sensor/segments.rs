//! TCP: segments to streams to analyzers, and the timers of connections.

use etherparse::TcpHeaderSlice;

use super::datagrams::{after_flip, is_broadcast};
use super::tunnels::Carriers;
use super::{NewFlow, Sensor, TCP_INACTIVITY, split};
use crate::flow::stream::{Added, MAX_PENDING_UNACKED, Piece};
use crate::flow::tcp::{Segment, State};
use crate::flow::timers::{FlowRef, TimerKind};
use crate::flow::{Flow, Kind, ports};
use crate::output::Sink;
use crate::packet::ip::Ip;
use crate::packet::{Below, checksum};
use crate::{Direction, Endpoint, Interval, Time, Transport, detect};

/// Zeek's `tcp_SYN_timeout`: the first look whether a connection has quietly ended.
pub(super) const EXPIRE_FIRST: Interval = Interval::from_secs(5);
/// Zeek's `tcp_session_timer`: every further look.
const EXPIRE_AGAIN: Interval = Interval::from_secs(6);
/// Zeek's `tcp_attempt_delay`.
const ATTEMPT: Interval = Interval::from_secs(5);
/// Zeek's `tcp_close_delay`.
const CLOSE: Interval = Interval::from_secs(5);
/// Zeek's `tcp_reset_delay`.
const RESET: Interval = Interval::from_millis(100);
/// Zeek's `tcp_partial_close_delay`.
const PARTIAL_CLOSE: Interval = Interval::from_secs(3);
/// Zeek's `tcp_connection_linger`.
const LINGER: Interval = Interval::from_secs(5);
/// Bytes above holes that all connections of a worker may hold together; beyond it the connection at hand gives up
/// its hole. A quarter of a gigabyte holds half a second of a 4 Gbit/s link.
const MAX_WAITING: usize = 256 << 20;

impl Sensor {
    pub(super) fn tcp(&mut self, packet: &Ip<'_>, below: &Below, carriers: &Carriers) {
        if !self.has_header(packet, below, 20, "TCP") {
            return;
        }
        let Ok(header) = TcpHeaderSlice::from_slice(packet.payload) else {
            return self.odd_header(packet, below);
        };
        let header_len = header.slice().len();
        if header_len > packet.payload_len {
            return self.odd_header(packet, below);
        }
        let checksums = self.sink.options.checksums;
        let is_sound = !checksums || packet.payload.len() < packet.payload_len || {
            let start = checksum::pseudo(packet.src, packet.dst, 6, packet.payload.len());
            checksum::is_valid(checksum::sum(packet.payload, start))
        };
        let data = packet.payload.get(header_len..).unwrap_or_default();
        let len = u32::try_from(packet.payload_len - header_len).unwrap_or(u32::MAX);
        let segment = Segment::of(&header, len);
        let (src_port, dst_port) = (header.source_port(), header.destination_port());
        let new = NewFlow {
            src: Endpoint { addr: packet.src, port: src_port },
            dst: Endpoint { addr: packet.dst, port: dst_port },
            transport: Transport::Tcp,
            ip_proto: packet.protocol,
            one_way: false,
            flip: is_backwards(&segment, src_port, dst_port) && !is_broadcast(packet),
            below,
            carriers,
        };
        let (mut flow_ref, mut from) = self.flow(&new);
        if self.is_reuse(flow_ref, &segment, below.at) {
            self.remove(flow_ref.index);
            (flow_ref, from) = self.flow(&new);
        }
        if self.count_of(flow_ref, packet, below, is_sound) {
            self.leniently(below.at, |sensor| sensor.tcp(packet, below, carriers));
        }
        let Some(flow) = self.slots.get_mut(flow_ref.index as usize).and_then(|slot| slot.flow.as_deref_mut()) else { return };
        self.tunnels.carry(flow, below.at, carriers, &mut self.sink);
        if !is_sound {
            if let Kind::Tcp(tcp) = &mut flow.kind {
                tcp.bad_checksum(from, &mut flow.history);
            }
            let id = flow.id;
            return self.sink.weird(below.at, Some(&id), "bad_TCP_checksum", None, Some("TCP"));
        }
        self.segment(flow_ref, from, &segment, data, below.at);
        if let Some(flow) = self.get(flow_ref) {
            let from = if flow.id.orig == new.src { Direction::Originator } else { Direction::Responder };
            let volume = flow.volume.of_mut(from);
            volume.packets += 1;
            volume.ip_bytes += packet.total_len as u64;
        }
    }

    fn odd_header(&mut self, packet: &Ip<'_>, below: &Below) {
        self.counters.malformed += 1;
        let place = crate::weird::Place::Packet(packet.src, packet.dst);
        self.sink.weird_at(below.at, place, "bad_TCP_header_len", None, Some("TCP"));
    }

    fn is_reuse(&mut self, flow_ref: FlowRef, segment: &Segment, at: Time) -> bool {
        if !segment.syn {
            return false;
        }
        let Some(flow) = self.slots.get_mut(flow_ref.index as usize).and_then(|slot| slot.flow.as_deref_mut()) else { return false };
        let (id, sink) = (flow.id, &mut self.sink);
        let Kind::Tcp(tcp) = &mut flow.kind else { return false };
        if tcp.side(Direction::Originator).state == State::Inactive && tcp.side(Direction::Responder).state == State::Inactive {
            return false;
        }
        tcp.is_reuse(segment, &mut |name| sink.weird(at, Some(&id), name, None, None))
    }

    fn segment(&mut self, flow_ref: FlowRef, from: Direction, segment: &Segment, data: &[u8], at: Time) {
        let Some(flow) = self.slots.get_mut(flow_ref.index as usize).and_then(|slot| slot.flow.as_deref_mut()) else { return };
        let sink = &mut self.sink;
        let id = flow.id;
        let Kind::Tcp(tcp) = &mut flow.kind else { return };
        let before = tcp.side(Direction::Originator).stream.waiting_bytes() + tcp.side(Direction::Responder).stream.waiting_bytes();
        let outcome = tcp.segment(from, segment, &mut flow.history, &mut |name| sink.weird(at, Some(&id), name, None, None));
        if !tcp.is_closed() {
            flow.last = at;
        }
        if let Some(scale) = outcome.bad_scale {
            sink.weird(at, Some(&id), "TCP_scale_range", Some(scale.to_string().as_bytes()), Some("TCP"));
        }
        if outcome.flip {
            flow.flip();
        }
        let from = after_flip(from, outcome.flip);
        if let Kind::Tcp(tcp) = &flow.kind {
            let sizes = tcp.sizes();
            flow.notes.is_partial = tcp.is_partial();
            flow.notes.bytes = sizes.orig.saturating_add(sizes.resp);
        }
        if outcome.lively {
            flow.inactivity = TCP_INACTIVITY;
        }
        if outcome.attempt {
            self.timers.add(at + ATTEMPT, flow_ref, TimerKind::Attempt);
        }
        if outcome.reset_timer {
            self.timers.add(at + RESET, flow_ref, TimerKind::Reset);
        }
        let mut closing = Closing::default();
        if let Some(acked) = outcome.acknowledges {
            acknowledged(flow, sink, at, from.flip(), acked);
            check_end(flow, sink, at, from.flip(), &mut closing);
        }
        if let Some(seq) = outcome.data_seq {
            payload(flow, sink, at, from, seq, segment.len, data, self.waiting_bytes > MAX_WAITING);
        }
        check_end(flow, sink, at, from, &mut closing);
        if outcome.close {
            close(flow, from, &mut closing);
        }
        if let Kind::Tcp(tcp) = &flow.kind {
            let after = tcp.side(Direction::Originator).stream.waiting_bytes() + tcp.side(Direction::Responder).stream.waiting_bytes();
            self.waiting_bytes = self.waiting_bytes.saturating_add(after).saturating_sub(before);
        }
        let last = flow.last;
        if closing.complete {
            self.timers.add(last + CLOSE, flow_ref, TimerKind::Delete);
        }
        if closing.partial {
            self.timers.add(last + PARTIAL_CLOSE, flow_ref, TimerKind::PartialClose);
        }
        if closing.half {
            self.timers.add(last + EXPIRE_AGAIN, flow_ref, TimerKind::Expire);
        }
    }

    pub(super) fn tcp_timer(&mut self, due: Time, flow_ref: FlowRef, kind: TimerKind) {
        let Some(flow) = self.get(flow_ref) else { return };
        let last = flow.last;
        let Kind::Tcp(tcp) = &flow.kind else { return };
        let (orig, resp) = (tcp.side(Direction::Originator), tcp.side(Direction::Responder));
        let over = match kind {
            TimerKind::Attempt => !tcp.is_over && matches!(orig.state, State::SynSent | State::SynAckSent) && resp.state == State::Inactive,
            TimerKind::PartialClose => {
                !tcp.is_over
                    && orig.state != State::Inactive
                    && resp.state != State::Inactive
                    && !tcp.is_closed()
                    && orig.state != State::Reset
                    && resp.state != State::Reset
            }
            TimerKind::Reset => !tcp.is_over,
            TimerKind::Expire => {
                let quiet = last + LINGER < due && !tcp.is_over;
                let ended = (orig.did_close || resp.did_close)
                    && (tcp.is_closed()
                        || matches!(orig.state, State::Reset | State::Inactive)
                        || matches!(resp.state, State::Reset | State::Inactive));
                let never = resp.state == State::Inactive && orig.state == State::Inactive;
                if !(quiet && (ended || never)) {
                    if !tcp.is_over {
                        self.timers.add(due + EXPIRE_AGAIN, flow_ref, TimerKind::Expire);
                    }
                    return;
                }
                true
            }
            TimerKind::Inactivity | TimerKind::Delete => false,
        };
        if over {
            self.remove(flow_ref.index);
        }
    }
}

/// Timers to start after a segment.
#[derive(Debug, Default)]
struct Closing {
    complete: bool,
    partial: bool,
    half: bool,
}

/// A connection that does not begin with a SYN is turned round if its sender looks like the server.
fn is_backwards(segment: &Segment, src_port: u16, dst_port: u16) -> bool {
    if segment.syn && !segment.ack {
        return false;
    }
    let (src, dst) = (ports::is_server(Transport::Tcp, src_port), ports::is_server(Transport::Tcp, dst_port));
    match (src, dst) {
        (true, false) => true,
        (true, true) => !segment.syn && src_port < dst_port,
        (false, _) => false,
    }
}

/// Lets out what the other side has acknowledged, with the gaps named.
fn acknowledged(flow: &mut Flow, sink: &mut Sink, at: Time, of: Direction, acked: u64) {
    loop {
        let Kind::Tcp(tcp) = &mut flow.kind else { return };
        match tcp.side_mut(of).stream.acknowledged(acked) {
            None => return,
            Some(Piece::Gap(len)) => gap(flow, sink, at, of, len),
            Some(Piece::Data(data)) => deliver(flow, sink, at, of, &data),
        }
    }
}

fn gap(flow: &mut Flow, sink: &mut Sink, at: Time, of: Direction, len: u64) {
    let Kind::Tcp(tcp) = &mut flow.kind else { return };
    if let Some(sessions) = &mut sink.sessions {
        sessions.stall(&flow.id, at);
    }
    if tcp.gap(of, &mut flow.history) {
        flow.missed = flow.missed.saturating_add(len);
    }
    let (app, mut scene) = split(flow, at, sink);
    app.gap(&mut scene, of, len);
}

fn deliver(flow: &mut Flow, sink: &mut Sink, at: Time, from: Direction, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    if sink.detect.is_some() {
        let is_established = matches!(&flow.kind, Kind::Tcp(tcp) if tcp.is_established());
        detect::show(sink.detect.as_mut(), at, &flow.id, from, is_established, &flow.notes, data);
    }
    if flow.app.is_interested() {
        let was_limited = flow.notes.is_limited;
        let (app, mut scene) = split(flow, at, sink);
        app.stream(&mut scene, from, data);
        if flow.notes.is_limited && !was_limited {
            flow.history.push(b'X');
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one segment, borrowed separately")]
fn payload(flow: &mut Flow, sink: &mut Sink, at: Time, from: Direction, seq: u64, len: u32, data: &[u8], crowded: bool) {
    let Kind::Tcp(tcp) = &mut flow.kind else { return };
    let side = tcp.side_mut(from);
    if data.len() < len as usize {
        // The snap length cut it: what is missing will be acknowledged and become a gap.
        let id = flow.id;
        return sink.weird(at, Some(&id), "truncated_tcp_payload", None, None);
    }
    if let Added::Next(now) = side.stream.add(seq, data) {
        deliver(flow, sink, at, from, now);
        loop {
            let Kind::Tcp(tcp) = &mut flow.kind else { return };
            let Some(more) = tcp.side_mut(from).stream.pull() else { break };
            deliver(flow, sink, at, from, &more);
        }
    }
    let Kind::Tcp(tcp) = &mut flow.kind else { return };
    let side = tcp.side_mut(from);
    let above = side.stream.upper().saturating_sub(side.stream.next());
    let name = if side.is_stream_unacked() && above > MAX_PENDING_UNACKED as u64 {
        "above_hole_data_without_any_acks"
    } else if side.stream.is_over_limit() || (crowded && side.stream.is_waiting()) {
        "excessive_data_without_further_acks"
    } else {
        return;
    };
    side.stream.skip();
    let id = flow.id;
    sink.weird(at, Some(&id), name, None, None);
}

/// Tells the analyzers when a direction has ended and all of it was delivered.
fn check_end(flow: &mut Flow, sink: &mut Sink, at: Time, of: Direction, closing: &mut Closing) {
    let Kind::Tcp(tcp) = &mut flow.kind else { return };
    let side = tcp.side(of);
    if side.did_eof || !side.is_ending() || side.is_data_pending(tcp.side(of.flip())) {
        return;
    }
    tcp.side_mut(of).did_eof = true;
    let deferred = tcp.close_deferred;
    let (app, mut scene) = split(flow, at, sink);
    app.end(&mut scene, of);
    if deferred {
        close(flow, of, closing);
        if let Kind::Tcp(tcp) = &mut flow.kind {
            tcp.close_deferred = false;
        }
    }
}

fn close(flow: &mut Flow, of: Direction, closing: &mut Closing) {
    let Kind::Tcp(tcp) = &mut flow.kind else { return };
    let (side, peer) = (tcp.side(of), tcp.side(of.flip()));
    if side.is_data_pending(peer) {
        tcp.close_deferred = true;
        return;
    }
    let complete = side.state == State::Reset || peer.did_close || peer.state == State::Inactive;
    let first = side.previous() == State::Inactive;
    let finished = complete && (!first || peer.state != State::Inactive);
    tcp.close_deferred = false;
    if tcp.side(of).did_close {
        return;
    }
    tcp.side_mut(of).did_close = true;
    if complete {
        if finished {
            tcp.is_over = true;
        }
        tcp.timers_cancelled = true;
        closing.complete = true;
    } else if first {
        closing.partial = true;
    } else {
        closing.half = true;
    }
}
