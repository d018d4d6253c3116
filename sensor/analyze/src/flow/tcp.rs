//! The life of a TCP connection as an observer sees it: states of both sides, sequence numbers, history letters.
//!
//! The rules are Zeek's (src/packet_analysis/protocol/tcp/TCPSessionAdapter.cc), since `conn_state`, `history` and the
//! byte counts of `conn.log` are defined by them.

use etherparse::TcpHeaderSlice;

use super::history::{History, Scaled};
use super::stream::Stream;
use crate::{Direction, Pair};

/// A jump of sequence numbers that is rather a broken or forged packet than a large transfer.
const TOO_LARGE_JUMP: i32 = 1_048_576;

/// State of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Has sent nothing yet.
    #[default]
    Inactive,
    /// Has sent a SYN.
    SynSent,
    /// Has sent a SYN with ACK without having been asked.
    SynAckSent,
    /// Sends without that its SYN was seen.
    Partial,
    /// Handshake done.
    Established,
    /// Has sent a FIN.
    Closed,
    /// Has sent a RST.
    Reset,
}

impl State {
    const fn is_handshake(self) -> bool {
        matches!(self, Self::Inactive | Self::SynSent | Self::SynAckSent)
    }
}

/// One side of a connection.
#[derive(Debug, Default)]
pub(crate) struct Side {
    pub(crate) state: State,
    previous: State,
    start_seq: u32,
    last_seq: u32,
    ack_seq: u32,
    seq_wraps: u32,
    ack_wraps: u32,
    window: u32,
    window_scale: u8,
    window_seq: u32,
    window_ack_seq: u32,
    fin_seq: u64,
    fins: u32,
    last_syn: u64,
    last_fin: u64,
    last_rst: u64,
    retransmissions: Scaled,
    zero_windows: Scaled,
    gaps: Scaled,
    bad_checksums: Scaled,
    seen_packet: bool,
    pub(crate) did_close: bool,
    pub(crate) did_eof: bool,
    pub(crate) stream: Stream,
}

/// A connection.
#[derive(Debug, Default)]
pub(crate) struct Tcp {
    sides: Pair<Side>,
    is_partial: bool,
    /// Nothing of interest happens any more.
    pub(crate) is_over: bool,
    pub(crate) close_deferred: bool,
    /// All timers but the last one are void.
    pub(crate) timers_cancelled: bool,
}

/// The flags and numbers of one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) seq: u32,
    pub(crate) ack_seq: u32,
    pub(crate) window: u16,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) ack: bool,
    pub(crate) urg: bool,
    /// Payload bytes on the wire.
    pub(crate) len: u32,
    /// Shift count of the window scale option.
    pub(crate) scale: Option<u8>,
}

/// What a segment brought about.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Relative number of the first payload byte; `None` if the payload is not to be looked at.
    pub(crate) data_seq: Option<u64>,
    /// The sender acknowledges the other side's bytes below this.
    pub(crate) acknowledges: Option<u64>,
    /// The sender has closed, or the connection was reset.
    pub(crate) close: bool,
    /// Start the timer for unanswered SYNs.
    pub(crate) attempt: bool,
    /// Start the timer for a reset after a FIN.
    pub(crate) reset_timer: bool,
    /// The handshake is done: the longer inactivity timeout applies.
    pub(crate) lively: bool,
    /// Originator and responder were mistaken for each other.
    pub(crate) flip: bool,
    /// A window scale that RFC 7323 §2.3 does not allow.
    pub(crate) bad_scale: Option<u8>,
}

impl Segment {
    pub(crate) fn of(header: &TcpHeaderSlice<'_>, len: u32) -> Self {
        let scale = if header.syn() { scale_option(header.options()) } else { None };
        Self {
            seq: header.sequence_number(),
            ack_seq: header.acknowledgment_number(),
            window: header.window_size(),
            syn: header.syn(),
            fin: header.fin(),
            rst: header.rst(),
            ack: header.ack(),
            urg: header.urg(),
            len,
            scale,
        }
    }

    /// Sequence space that the segment takes: SYN and FIN count, the payload of a RST does not.
    fn seq_len(&self) -> u32 {
        let control = u32::from(self.syn).wrapping_add(u32::from(self.fin));
        if self.rst { control } else { self.len.wrapping_add(control) }
    }
}

/// RFC 7323 §2.2.
fn scale_option(options: &[u8]) -> Option<u8> {
    let mut r = crate::Reader::new(options);
    loop {
        match r.u8()? {
            0 => return None,
            1 => {}
            kind => {
                let len = usize::from(r.u8()?).checked_sub(2)?;
                let value = r.take(len)?;
                if kind == 3 {
                    return value.first().copied();
                }
            }
        }
    }
}

impl Side {
    fn set(&mut self, state: State, peer: State, out: &mut Outcome) {
        if state == self.state {
            return;
        }
        if !state.is_handshake() && self.state.is_handshake() && peer.is_handshake() {
            out.lively = true;
        }
        self.previous = self.state;
        self.state = state;
    }

    fn start_at(&mut self, seq: u32) {
        self.start_seq = seq;
        self.ack_seq = seq;
    }

    fn no_data_acked(&self) -> bool {
        self.ack_seq == self.start_seq || self.ack_seq == self.start_seq.wrapping_add(1)
    }

    fn relative(&self, seq: u32, wraps: u32) -> u64 {
        full(seq, wraps).wrapping_sub(u64::from(self.start_seq))
    }

    /// Relative number just past the last byte (or control flag) seen.
    fn relative_last(&self) -> u64 {
        self.relative(self.last_seq, self.seq_wraps)
    }

    /// Payload bytes by sequence numbers.
    fn size(&self, peer: State) -> u64 {
        if self.previous == State::SynSent && self.state == State::Reset && peer == State::Inactive && !self.no_data_acked() {
            // A half-open connection was found and aborted: its numbers mean nothing.
            return 0;
        }
        let last = full(self.last_seq, self.seq_wraps);
        let acked = full(self.ack_seq, self.ack_wraps);
        let size = last.max(acked).wrapping_sub(u64::from(self.start_seq));
        // The SYN takes one number, seen or not; so does the FIN.
        let size = size.saturating_sub(1);
        if self.fins > 0 { size.saturating_sub(1) } else { size }
    }

    fn is_clean(&self) -> bool {
        self.state == State::Established || (self.state == State::Closed && self.previous == State::Established)
    }

    /// Whether bytes of this side are known to be missing, or the other side still waits for some.
    pub(crate) fn is_data_pending(&self, peer: &Self) -> bool {
        if self.stream.skipping {
            return false;
        }
        let (delivered, last) = (self.stream.next(), self.relative_last());
        if (last as i64) < (delivered as i64) {
            return false;
        }
        // All is delivered up to the last number, or up to the one before, which the FIN takes.
        if delivered != last.wrapping_sub(1) && delivered != last {
            return true;
        }
        self.state != State::Reset && peer.stream.is_waiting()
    }

    /// Whether this side has ended its stream.
    pub(crate) const fn is_ending(&self) -> bool {
        self.fins > 0 || matches!(self.state, State::Closed | State::Reset)
    }

    pub(crate) fn is_stream_unacked(&self) -> bool {
        self.no_data_acked()
    }

    pub(crate) const fn previous(&self) -> State {
        self.previous
    }
}

impl Tcp {
    pub(crate) const fn side(&self, from: Direction) -> &Side {
        self.sides.of(from)
    }

    pub(crate) const fn side_mut(&mut self, from: Direction) -> &mut Side {
        self.sides.of_mut(from)
    }

    pub(crate) fn state(&self) -> Pair<State> {
        Pair { orig: self.sides.orig.state, resp: self.sides.resp.state }
    }

    pub(crate) fn sizes(&self) -> Pair<u64> {
        Pair { orig: self.sides.orig.size(self.sides.resp.state), resp: self.sides.resp.size(self.sides.orig.state) }
    }

    /// Whether the beginning was missed.
    pub(crate) const fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Whether the handshake was seen, or traffic of both sides in its place.
    pub(crate) fn is_established(&self) -> bool {
        let speaks = |state: State| !state.is_handshake();
        speaks(self.sides.orig.state) && speaks(self.sides.resp.state)
    }

    /// Whether both sides have closed.
    pub(crate) const fn is_closed(&self) -> bool {
        self.sides.orig.did_close && self.sides.resp.did_close
    }

    pub(crate) fn flip(&mut self) {
        std::mem::swap(&mut self.sides.orig, &mut self.sides.resp);
        self.is_partial = false;
    }

    /// A segment with a wrong checksum: it counts for the history alone.
    pub(crate) fn bad_checksum(&mut self, from: Direction, history: &mut History) {
        history.scaled(from, b'C', &mut self.sides.of_mut(from).bad_checksums);
    }

    /// A gap came out of `from`'s stream; whether it counts as content that was missed.
    pub(crate) fn gap(&mut self, from: Direction, history: &mut History) -> bool {
        let clean = self.sides.orig.is_clean() && self.sides.resp.is_clean();
        if clean {
            history.scaled(from, b'G', &mut self.sides.of_mut(from).gaps);
        }
        clean
    }

    /// Whether a packet with the tuple of this connection starts a new one.
    pub(crate) fn is_reuse(&self, segment: &Segment, weird: &mut dyn FnMut(&'static str)) -> bool {
        if !segment.syn {
            return false;
        }
        let (orig, resp) = (&self.sides.orig, &self.sides.resp);
        let mut base = orig;
        if segment.ack {
            if orig.state != State::Inactive {
                return false;
            }
            base = resp;
        }
        if !orig.did_close && !resp.did_close {
            if segment.seq == base.start_seq {
                return false;
            }
            if !segment.ack && base.state == State::SynAckSent && resp.state == State::Inactive && segment.seq == resp.start_seq {
                // SYN and SYN-ACK were captured in the wrong order.
                return false;
            }
            weird(if base.state == State::SynSent { "SYN_seq_jump" } else { "active_connection_reuse" });
        }
        true
    }

    /// Follows one segment.
    pub(crate) fn segment(
        &mut self,
        from: Direction,
        segment: &Segment,
        history: &mut History,
        weird: &mut dyn FnMut(&'static str),
    ) -> Outcome {
        let mut out = Outcome::default();
        self.note_partial(from, segment);
        let (own, peer) = self.both(from);
        let end_seq = segment.seq.wrapping_add(segment.seq_len());
        start_side(own, segment, end_seq, peer.state, weird);
        let (rel_seq, underflow) = relative(own, segment.seq, own.last_seq, own.seq_wraps);
        if underflow && !segment.rst {
            weird("TCP_seq_underflow_or_misorder");
        }
        letters(own, from, segment, rel_seq, history);
        window(own, peer, from, segment, history, weird);
        if segment.syn {
            if segment.rst {
                weird("TCP_christmas");
            }
            if segment.urg {
                weird("baroque_SYN");
            }
            if segment.len > 0 {
                weird("SYN_with_data");
            }
            start_window(own, peer, segment);
            out.bad_scale = segment.scale.filter(|scale| *scale > 14);
        }
        if segment.fin {
            own.fins = own.fins.saturating_add(1);
            own.fin_seq = rel_seq.wrapping_add(u64::from(segment.seq_len()));
        }
        if segment.ack {
            if peer.state == State::Inactive {
                let handshake = matches!(own.state, State::SynSent | State::SynAckSent | State::Established);
                if !segment.syn && !segment.fin && !segment.rst && handshake {
                    weird("possible_split_routing");
                }
                let before = segment.ack_seq.wrapping_sub(1);
                peer.start_at(before);
                peer.last_seq = before;
                out.acknowledges = Some(1);
            } else {
                let (rel_ack, underflow) = relative(peer, segment.ack_seq, peer.ack_seq, peer.ack_wraps);
                if underflow {
                    weird("TCP_ack_underflow_or_misorder");
                    out.acknowledges = Some(0);
                } else {
                    if !segment.rst {
                        acknowledge(peer, segment.ack_seq);
                    }
                    out.acknowledges = Some(rel_ack);
                }
            }
        }
        let advance = last_seq(own, from, end_seq, segment, history);
        self.step(from, segment, advance, &mut out, weird);
        let from = if out.flip { from.flip() } else { from };
        if let Some(acked) = &mut out.acknowledges {
            let peer = self.sides.of(from.flip());
            if peer.fins > 0 && *acked >= peer.fin_seq {
                *acked = peer.fin_seq.saturating_sub(1);
            }
            if *acked <= 2 && self.is_partial {
                // The numbers of a partial connection are made up: what lies before the first packet is not missing.
                out.acknowledges = None;
            }
        }
        if segment.len > 0 && !segment.rst && !underflow {
            out.data_seq = Some(if segment.syn { rel_seq.wrapping_add(1) } else { rel_seq });
        }
        self.sides.of_mut(from).seen_packet = true;
        out
    }

    fn both(&mut self, from: Direction) -> (&mut Side, &mut Side) {
        let Pair { orig, resp } = &mut self.sides;
        if from.is_orig() { (orig, resp) } else { (resp, orig) }
    }

    fn note_partial(&mut self, from: Direction, segment: &Segment) {
        if self.sides.of(from).seen_packet {
            return;
        }
        if from.is_orig() {
            self.is_partial = !segment.syn || segment.ack;
        } else if !self.is_partial {
            self.is_partial = !segment.syn;
        }
    }

    fn step(&mut self, from: Direction, s: &Segment, advance: i32, out: &mut Outcome, weird: &mut dyn FnMut(&'static str)) {
        match self.sides.of(from).state {
            State::Inactive => self.in_inactive(from, s, out, weird),
            State::SynSent | State::SynAckSent => self.in_syn_sent(from, s, out, weird),
            State::Established | State::Partial => self.in_established(from, s, out, weird),
            State::Closed => self.in_closed(from, s, advance, out, weird),
            State::Reset => {
                if s.syn {
                    weird("SYN_after_reset");
                }
                if s.fin {
                    weird("FIN_after_reset");
                }
                if s.len > 0 && !s.rst {
                    weird("data_after_reset");
                }
            }
        }
    }

    fn in_inactive(&mut self, from: Direction, s: &Segment, out: &mut Outcome, weird: &mut dyn FnMut(&'static str)) {
        let is_orig = from.is_orig();
        let orig_state = self.sides.orig.state;
        let mut unpartial = false;
        let (own, peer) = self.both(from);
        if s.syn {
            if is_orig {
                if s.ack {
                    weird("connection_originator_SYN_ack");
                }
                own.set(if s.ack { State::SynAckSent } else { State::SynSent }, peer.state, out);
                out.attempt = true;
            } else {
                if s.ack {
                    let awaited = between(s.ack_seq, peer.start_seq, peer.last_seq);
                    if !matches!(peer.state, State::Inactive | State::Partial) && !awaited {
                        weird("bad_SYN_ack");
                    }
                } else if peer.state == State::SynAckSent && s.seq == own.start_seq {
                    unpartial = true;
                    out.flip = true;
                    peer.set(State::Established, own.state, out);
                } else {
                    weird("simultaneous_open");
                }
                match peer.state {
                    State::SynSent => peer.set(State::Established, own.state, out),
                    State::Inactive => weird("unsolicited_SYN_response"),
                    _ => {}
                }
                own.set(State::Established, peer.state, out);
            }
        }
        if s.fin {
            own.set(State::Closed, peer.state, out);
            out.close = true;
            if peer.state != State::Partial && !s.syn {
                weird("spontaneous_FIN");
            }
        }
        if s.rst {
            own.set(State::Reset, peer.state, out);
            let rejects = if is_orig { peer.state == State::Established } else { matches!(peer.state, State::SynSent | State::SynAckSent) };
            out.close = true;
            if !rejects && peer.state == State::Inactive {
                weird("spontaneous_RST");
            }
        }
        if own.state == State::Inactive {
            let early_ack = !is_orig && s.len == 0 && orig_state == State::SynSent;
            if s.ack && peer.state == State::Established && !early_ack {
                // The SYN was missed, the answer and now its ACK were seen.
                own.set(State::Established, peer.state, out);
                unpartial = true;
            } else if !early_ack {
                own.set(State::Partial, peer.state, out);
            }
        }
        if unpartial {
            self.is_partial = false;
        }
        if out.flip {
            // The caller flips the flow, and with it the sides.
            self.is_partial = false;
        }
    }

    fn in_syn_sent(&mut self, from: Direction, s: &Segment, out: &mut Outcome, weird: &mut dyn FnMut(&'static str)) {
        let is_orig = from.is_orig();
        let (own, peer) = self.both(from);
        if s.syn {
            if is_orig {
                if s.ack && !s.fin && !s.rst && own.state != State::SynAckSent {
                    weird("repeated_SYN_with_ack");
                }
            } else if !s.ack && own.state != State::SynSent {
                weird("repeated_SYN_reply_wo_ack");
            }
        }
        if s.fin {
            if matches!(peer.state, State::Inactive | State::SynSent) {
                weird("inappropriate_FIN");
            }
            own.set(State::Closed, peer.state, out);
            out.close = true;
        }
        if s.rst {
            own.set(State::Reset, peer.state, out);
            out.close = true;
            self.is_over = true;
        } else if s.len > 0 {
            weird("data_before_established");
        }
    }

    fn in_established(&mut self, from: Direction, s: &Segment, out: &mut Outcome, weird: &mut dyn FnMut(&'static str)) {
        let (own, peer) = self.both(from);
        if s.syn && own.state == State::Partial && peer.state == State::Inactive && !s.ack {
            weird("SYN_after_partial");
            own.set(State::SynSent, peer.state, out);
        }
        if s.fin && !s.rst {
            own.set(State::Closed, peer.state, out);
            if peer.state == State::Reset && peer.previous == State::Closed {
                // A FIN, then a RST, then the other side's FIN: it was a normal end.
                peer.set(State::Closed, own.state, out);
            }
            out.close = true;
        }
        if s.rst {
            own.set(State::Reset, peer.state, out);
            out.close = true;
            if peer.state != State::Reset || peer.previous != State::Established {
                self.is_over = true;
            }
        }
    }

    fn in_closed(&mut self, from: Direction, s: &Segment, advance: i32, out: &mut Outcome, weird: &mut dyn FnMut(&'static str)) {
        let (own, peer) = self.both(from);
        if s.syn {
            weird("SYN_after_close");
        }
        if s.fin && advance > 0 {
            weird("FIN_advanced_last_seq");
        }
        if s.rst && peer.state != State::Closed {
            own.set(State::Reset, peer.state, out);
            if !own.did_close {
                out.close = true;
            }
            out.reset_timer = true;
        }
    }
}

fn start_side(own: &mut Side, s: &Segment, end_seq: u32, peer: State, weird: &mut dyn FnMut(&'static str)) {
    let restart = |own: &mut Side| {
        own.start_at(s.seq);
        own.last_seq = end_seq;
        own.stream.restart();
    };
    match own.state {
        State::Inactive => {
            if s.syn {
                own.start_at(s.seq);
                own.last_seq = end_seq;
            } else {
                // As though a SYN had come just before, so that the numbering is the same.
                own.start_at(s.seq.wrapping_sub(1));
                own.last_seq = s.seq;
            }
        }
        State::SynSent | State::SynAckSent => {
            if s.syn && s.seq != own.start_seq {
                weird("SYN_seq_jump");
                restart(own);
            }
        }
        State::Established | State::Partial => {
            if s.syn {
                if own.size(peer) > 0 {
                    weird("SYN_inside_connection");
                }
                if s.seq != own.start_seq {
                    weird("SYN_seq_jump");
                }
                own.start_at(s.seq);
                own.last_seq = end_seq;
            }
        }
        State::Reset => {
            if s.syn && own.previous == State::Inactive {
                restart(own);
            }
        }
        State::Closed => {}
    }
}

fn letters(own: &mut Side, from: Direction, s: &Segment, rel_seq: u64, history: &mut History) {
    match (s.syn, s.fin, s.rst) {
        (_, true, true) => drop(history.once(from, b'I')),
        (true, true, false) | (true, false, true) => drop(history.once(from, b'Q')),
        (true, false, false) => {
            let letter = if s.ack { b'H' } else { b'S' };
            if history.once_of(from, b'S', letter) && rel_seq != own.last_syn {
                history.add(from, letter);
            }
            own.last_syn = rel_seq;
        }
        (false, true, false) => {
            let end = rel_seq.wrapping_add(u64::from(s.len));
            if history.once(from, b'F') && end != own.last_fin {
                history.add(from, b'F');
            }
            own.last_fin = end;
        }
        (false, false, true) => {
            if history.once(from, b'R') && rel_seq != own.last_rst {
                history.add(from, b'R');
            }
            own.last_rst = rel_seq;
        }
        (false, false, false) => {
            if s.len > 0 {
                history.once(from, b'D');
            } else if s.ack {
                history.once(from, b'A');
            }
        }
    }
}

fn window(own: &mut Side, peer: &Side, from: Direction, s: &Segment, history: &mut History, weird: &mut dyn FnMut(&'static str)) {
    let size = u32::from(s.window) << own.window_scale;
    if size == 0 && !s.rst && peer.state != State::Closed && own.state != State::Reset {
        history.scaled(from, b'W', &mut own.zero_windows);
    }
    if s.syn || s.fin || s.rst || matches!(own.state, State::Closed | State::Reset) {
        return;
    }
    if delta(s.seq, own.window_seq) >= 0 && delta(s.ack_seq, own.window_ack_seq) >= 0 {
        let edge = s.ack_seq.wrapping_add(size);
        let old_edge = own.window_ack_seq.wrapping_add(own.window);
        let advance = delta(edge, old_edge);
        // Scaling rounds: a step back of less than one unit is none.
        if advance < 0 && advance.unsigned_abs() >= 1u32 << own.window_scale {
            weird("window_recision");
        }
        own.window = size;
        own.window_ack_seq = s.ack_seq;
        own.window_seq = s.seq;
    }
}

fn start_window(own: &mut Side, peer: &mut Side, s: &Segment) {
    match s.scale {
        None => {
            own.window_scale = 0;
            if s.ack {
                peer.window_scale = 0;
            }
        }
        Some(scale) => {
            // RFC 7323 §2.3: a shift count above 14 is taken as 14.
            own.window_scale = scale.min(14);
            own.window_seq = s.seq;
            own.window_ack_seq = s.ack_seq;
            peer.window_seq = s.ack_seq;
            peer.window_ack_seq = s.seq;
        }
    }
}

fn acknowledge(peer: &mut Side, ack_seq: u32) {
    let advance = delta(ack_seq, peer.ack_seq);
    if advance <= 0 || (ack_seq == 0 && advance > TOO_LARGE_JUMP) {
        return;
    }
    if ack_seq < peer.ack_seq {
        peer.ack_wraps = peer.ack_wraps.wrapping_add(1);
    }
    peer.ack_seq = ack_seq;
}

fn last_seq(own: &mut Side, from: Direction, end_seq: u32, s: &Segment, history: &mut History) -> i32 {
    let advance = delta(end_seq, own.last_seq);
    let update = |own: &mut Side| {
        if end_seq < own.last_seq {
            own.seq_wraps = own.seq_wraps.wrapping_add(1);
        }
        own.last_seq = end_seq;
    };
    if (s.syn || s.rst) && advance.unsigned_abs() > TOO_LARGE_JUMP.unsigned_abs() {
        // Not to be trusted.
    } else if s.fin && own.last_seq == own.start_seq.wrapping_add(1) {
        // Of a transfer of more than 2 GiB only SYN and FIN were seen.
        update(own);
    } else if own.state == State::Reset {
        // Nothing after a RST is to be trusted.
    } else if advance > 0 {
        update(own);
    } else if s.len > 0 {
        history.scaled(from, b'T', &mut own.retransmissions);
    }
    advance
}

/// Relative number of `seq`, and whether it lies before the first one.
fn relative(side: &Side, seq: u32, last: u32, wraps: u32) -> (u64, bool) {
    let advance = delta(seq, last);
    let wraps = if advance < 0 && wraps > 0 && seq > last {
        wraps.wrapping_sub(1)
    } else if advance > 0 && seq < last {
        wraps.wrapping_add(1)
    } else {
        wraps
    };
    if wraps == 0 {
        let offset = delta(seq, side.start_seq);
        return (i64::from(offset) as u64, offset < 0);
    }
    (side.relative(seq, wraps), false)
}

const fn full(seq: u32, wraps: u32) -> u64 {
    ((wraps as u64) << 32) | seq as u64
}

/// `a - b` in sequence space.
const fn delta(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b) as i32
}

const fn between(seq: u32, low: u32, high: u32) -> bool {
    delta(seq, low) >= 0 && delta(seq, high) <= 0
}
