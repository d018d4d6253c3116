//! What the two sides of a session said, from its packets.
//!
//! TCP is put into order by its sequence numbers, what came twice is left out, what one side said in a row is one turn. Of
//! other protocols each packet is one. Tunnels are not opened: of them the payload of the outer packet is shown.

use std::collections::BTreeMap;

use analyze::Time;
use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// Packets that a conversation is made of, at most.
pub(crate) const MAX_PACKETS: usize = 10_000;
/// Bytes of a conversation at most.
const MAX_BYTES: usize = 32 << 20;

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// Who began.
    Source,
    /// The other.
    Destination,
}

/// What one side said in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Who.
    pub(crate) side: Side,
    /// When it began.
    pub(crate) at: Time,
    /// What.
    pub(crate) bytes: Vec<u8>,
}

/// The packets of a session, as they come.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    packets: Vec<Packet>,
    bytes: usize,
    source: Option<(Vec<u8>, u16)>,
}

#[derive(Debug)]
struct Packet {
    at: Time,
    side: Side,
    /// Sequence number of the first byte, of TCP.
    sequence: Option<u32>,
    payload: Vec<u8>,
}

/// A packet as far as it could be read.
struct Opened<'a> {
    from: (Vec<u8>, u16),
    to: (Vec<u8>, u16),
    /// Sequence number of the first byte of payload.
    sequence: Option<u32>,
    is_answer: bool,
    payload: &'a [u8],
}

impl Conversation {
    /// Takes a frame; false when no more are wanted.
    pub(crate) fn push(&mut self, at: Time, frame: &[u8]) -> bool {
        let Some(opened) = open(frame) else { return true };
        if self.packets.len() >= MAX_PACKETS || self.bytes + opened.payload.len() > MAX_BYTES {
            return false;
        }
        let first = if opened.is_answer { &opened.to } else { &opened.from };
        let source = self.source.get_or_insert_with(|| first.clone());
        let side = if *source == opened.from { Side::Source } else { Side::Destination };
        self.bytes += opened.payload.len();
        self.packets.push(Packet { at, side, sequence: opened.sequence, payload: opened.payload.to_vec() });
        true
    }

    /// Each packet by itself.
    pub(crate) fn frames(self) -> Vec<Turn> {
        self.packets.into_iter().map(|packet| Turn { side: packet.side, at: packet.at, bytes: packet.payload }).collect()
    }

    /// Turns of speech.
    pub(crate) fn turns(self) -> Vec<Turn> {
        if self.packets.first().is_none_or(|packet| packet.sequence.is_none()) {
            return self.frames().into_iter().filter(|turn| !turn.bytes.is_empty()).collect();
        }
        // Packets may be out of order by themselves: a side's byte is said when everything before it was.
        let mut streams = BTreeMap::<Side, Stream>::new();
        let mut turns: Vec<Turn> = Vec::new();
        for packet in self.packets {
            let Some(sequence) = packet.sequence else { continue };
            let said = streams.entry(packet.side).or_insert_with(|| Stream::from(sequence)).take(sequence, packet.payload);
            say(&mut turns, packet.side, packet.at, said);
        }
        // What waits for bytes that never came.
        for (side, stream) in streams {
            for (at, bytes) in stream.rest(turns.last().map_or(Time(0), |turn| turn.at)) {
                say(&mut turns, side, at, bytes);
            }
        }
        turns
    }
}

fn say(turns: &mut Vec<Turn>, side: Side, at: Time, bytes: Vec<u8>) {
    match turns.last_mut() {
        _ if bytes.is_empty() => {}
        Some(turn) if turn.side == side => turn.bytes.extend(bytes),
        _ => turns.push(Turn { side, at, bytes }),
    }
}

/// One direction of TCP.
struct Stream {
    next: u32,
    waiting: BTreeMap<u32, Vec<u8>>,
    start: u32,
}

impl Stream {
    const fn from(sequence: u32) -> Self {
        Self { next: sequence, waiting: BTreeMap::new(), start: sequence }
    }

    /// Bytes that have their place now.
    fn take(&mut self, sequence: u32, payload: Vec<u8>) -> Vec<u8> {
        if !payload.is_empty() {
            // By the distance from the start, which orders over the wrap.
            let waiting = self.waiting.entry(sequence.wrapping_sub(self.start)).or_default();
            if waiting.len() < payload.len() {
                *waiting = payload;
            }
        }
        let mut said = Vec::new();
        while let Some(entry) = self.waiting.first_entry() {
            let ahead = entry.key().wrapping_sub(self.next.wrapping_sub(self.start)).cast_signed();
            if ahead > 0 {
                break;
            }
            let payload = entry.remove();
            let new = payload.get(ahead.unsigned_abs() as usize..).unwrap_or_default();
            self.next = self.next.wrapping_add(new.len() as u32);
            said.extend_from_slice(new);
        }
        said
    }

    fn rest(self, at: Time) -> impl Iterator<Item = (Time, Vec<u8>)> {
        self.waiting.into_values().map(move |bytes| (at, bytes))
    }
}

fn open(frame: &[u8]) -> Option<Opened<'_>> {
    let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let (from, to, rest) = match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => (ip.header().source().to_vec(), ip.header().destination().to_vec(), ip.payload().payload),
        LaxNetSlice::Ipv6(ip) => (ip.header().source().to_vec(), ip.header().destination().to_vec(), ip.payload().payload),
        LaxNetSlice::Arp(arp) => {
            (arp.sender_protocol_addr().to_vec(), arp.target_protocol_addr().to_vec(), frame.get(frame.len().min(14)..)?)
        }
    };
    let (from_port, to_port, sequence, is_answer, payload) = match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            // SYN takes a number of its own.
            let sequence = tcp.sequence_number().wrapping_add(u32::from(tcp.syn()));
            (tcp.source_port(), tcp.destination_port(), Some(sequence), tcp.syn() && tcp.ack(), tcp.payload())
        }
        Some(TransportSlice::Udp(udp)) => (udp.source_port(), udp.destination_port(), None, false, udp.payload()),
        _ => (0, 0, None, false, rest),
    };
    Some(Opened { from: (from, from_port), to: (to, to_port), sequence, is_answer, payload })
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn tcp(from_client: bool, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let (client, server) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let builder = if from_client { builder.ipv4(client, server, 64) } else { builder.ipv4(server, client, 64) };
        let (from, to) = if from_client { (4000, 80) } else { (80, 4000) };
        let mut frame = Vec::new();
        builder.tcp(from, to, sequence, 1000).ack(0).write(&mut frame, payload).unwrap();
        frame
    }

    fn turns(frames: &[Vec<u8>]) -> Vec<(Side, String)> {
        let mut conversation = Conversation::default();
        for (n, frame) in frames.iter().enumerate() {
            assert!(conversation.push(Time(n as i64), frame));
        }
        conversation.turns().into_iter().map(|turn| (turn.side, String::from_utf8(turn.bytes).unwrap())).collect()
    }

    #[test]
    fn what_a_side_says_in_a_row_is_one_turn() {
        let said = turns(&[tcp(true, 1, b"GET "), tcp(true, 5, b"/"), tcp(false, 9, b"200"), tcp(true, 6, b"bye")]);
        assert_eq!(said, [(Side::Source, "GET /".into()), (Side::Destination, "200".into()), (Side::Source, "bye".into())]);
    }

    #[test]
    fn what_came_twice_or_out_of_order_is_put_right_also_over_the_wrap() {
        let start = u32::MAX - 1;
        let at = |n: u32| start.wrapping_add(n);
        let said = turns(&[
            tcp(true, at(0), b"ab"),
            tcp(true, at(4), b"ef"),
            tcp(true, at(2), b"cd"),
            tcp(true, at(1), b"bcdef"),
            tcp(true, at(6), b"g"),
        ]);
        assert_eq!(said, [(Side::Source, "abcdefg".into())]);
    }

    #[test]
    fn what_follows_a_gap_is_shown_at_the_end() {
        let said = turns(&[tcp(true, 1, b"ab"), tcp(true, 10, b"xy"), tcp(false, 5, b"z")]);
        assert_eq!(said, [(Side::Source, "ab".into()), (Side::Destination, "z".into()), (Side::Source, "xy".into())]);
    }

    #[test]
    fn a_conversation_that_begins_with_an_answer_has_the_other_side_for_its_source() {
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64);
        builder.tcp(80, 4000, 8, 1000).syn().ack(1).write(&mut frame, &[]).unwrap();
        let said = turns(&[frame, tcp(false, 9, b"220")]);
        assert_eq!(said, [(Side::Destination, "220".into())]);
    }

    #[test]
    fn any_bytes_are_taken_without_harm() {
        let whole = tcp(true, 1, b"GET / HTTP/1.1");
        for cut in 0..whole.len() {
            turns(&[whole[..cut].to_vec()]);
        }
    }
}
