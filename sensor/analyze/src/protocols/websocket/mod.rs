//! WebSocket (RFC 6455) after an HTTP upgrade: `websocket.log`, and what the frames carry, identified anew.

mod record;
#[cfg(test)]
mod tests;

pub use record::{LOG, WebSocketRecord};

use crate::app::{App, Scene};
use crate::{Analyzer, Direction, Match, Output, Pair, Protocol, Reader, Step};

/// The row of WebSocket in the table of protocols: HTTP hands over to it.
pub static WEBSOCKET: Protocol = Protocol {
    name: "websocket",
    label: "WEBSOCKET",
    tcp: &[],
    udp: &[],
    recognises: |_| Match::No,
    analyzer: |_| Box::new(WebSocket::default()),
};

/// One direction.
#[derive(Default)]
struct Half {
    /// The frame at hand, of which the header has been read.
    frame: Option<Frame>,
    closed: bool,
}

struct Frame {
    /// Payload that is still to come.
    left: u64,
    mask: Option<[u8; 4]>,
    /// Bytes of the payload so far, by which the mask turns.
    at: usize,
    opcode: u8,
}

#[derive(Default)]
struct WebSocket {
    halves: Pair<Half>,
    inner: App,
    started: bool,
}

impl Analyzer for WebSocket {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        if !self.started {
            self.started = true;
            self.inner.start_unknown();
        }
        let half = self.halves.of_mut(from);
        if half.closed {
            return Step::Consumed(bytes.len());
        }
        let mut reader = Reader::new(bytes);
        let frame = match &mut half.frame {
            Some(frame) => frame,
            None => {
                let Some(frame) = header(&mut reader) else { return Step::NeedMore };
                half.frame.insert(frame)
            }
        };
        let left = usize::try_from(frame.left).unwrap_or(usize::MAX);
        let payload = reader.take_up_to(left);
        // RFC 6455 §5.2: opcodes 0 to 2 carry data; those from 8 on control the connection.
        if frame.opcode <= 2 && !payload.is_empty() {
            // Unmasking needs a copy: the bytes on the wire are not those that were meant.
            let clear = unmask(payload, frame.mask, frame.at);
            let mut scene = Scene { at: out.at, id: out.id, notes: out.notes, sink: out.sink };
            self.inner.stream(&mut scene, from, &clear);
        }
        frame.at = frame.at.wrapping_add(payload.len());
        frame.left = frame.left.saturating_sub(payload.len() as u64);
        if frame.left == 0 {
            half.closed = frame.opcode == 8;
            half.frame = None;
            if !from.is_orig() {
                out.confirm();
            }
        }
        Step::Consumed(reader.position())
    }

    fn gap(&mut self, from: Direction, len: u64, out: &mut Output<'_>) -> Step {
        // Within a frame's payload the place of the next header is still known.
        let Some(frame) = &mut self.halves.of_mut(from).frame else { return Step::Done };
        let Some(left) = frame.left.checked_sub(len) else { return Step::Done };
        frame.left = left;
        frame.at = frame.at.wrapping_add(usize::try_from(len).unwrap_or(0));
        let mut scene = Scene { at: out.at, id: out.id, notes: out.notes, sink: out.sink };
        self.inner.gap(&mut scene, from, len);
        Step::Consumed(0)
    }

    fn end(&mut self, from: Direction, _unconsumed: &[u8], out: &mut Output<'_>) {
        let mut scene = Scene { at: out.at, id: out.id, notes: out.notes, sink: out.sink };
        self.inner.end(&mut scene, from);
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        let mut scene = Scene { at: out.at, id: out.id, notes: out.notes, sink: out.sink };
        self.inner.finish(&mut scene);
    }
}

/// RFC 6455 §5.2.
fn header(reader: &mut Reader<'_>) -> Option<Frame> {
    let (first, second) = (reader.u8()?, reader.u8()?);
    let left = match second & 0x7f {
        126 => u64::from(reader.u16()?),
        127 => reader.u64()?,
        short => u64::from(short),
    };
    let mask = if second & 0x80 != 0 { Some(reader.array::<4>()?) } else { None };
    Some(Frame { left, mask, at: 0, opcode: first & 0x0f })
}

fn unmask(payload: &[u8], mask: Option<[u8; 4]>, at: usize) -> Vec<u8> {
    let Some(mask) = mask else { return payload.to_vec() };
    payload.iter().zip(mask.iter().cycle().skip(at % 4)).map(|(byte, mask)| byte ^ mask).collect()
}
