//! DNP3: requests and replies of control systems in `dnp3.log`.
//!
//! Link frames are put together to application fragments, of which the header is read. Non-goals: the objects.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use crate::{Analyzer, Beginning, Direction, Match, Output, Pair, Protocol, Step, Transport};
use wire::{Frame, Oddity, Read};

pub use record::{Dnp3, LOG};

/// DNP3 over TCP (IEEE 1815).
pub static DNP3_TCP: Protocol = Protocol {
    name: "dnp3_tcp",
    label: "DNP3_TCP",
    tcp: &[20_000],
    udp: &[],
    recognises: |beginning| recognises(beginning, Transport::Tcp),
    analyzer: |_| Box::new(Connection::new("DNP3_TCP", Transport::Tcp)),
};

/// DNP3 over UDP.
pub static DNP3_UDP: Protocol = Protocol {
    name: "dnp3_udp",
    label: "DNP3_UDP",
    tcp: &[],
    udp: &[20_000],
    recognises: |_| Match::No,
    analyzer: |_| Box::new(Connection::new("DNP3_UDP", Transport::Udp)),
};

/// Both sides start with the magic (scripts/base/protocols/dnp3/dpd.sig).
fn recognises(beginning: &Beginning<'_>, transport: Transport) -> Match {
    if beginning.transport != transport {
        return Match::No;
    }
    let starts = |bytes: &[u8]| b"\x05\x64".starts_with(bytes.get(..2).unwrap_or(bytes));
    match (starts(beginning.orig) && starts(beginning.resp), beginning.orig.len().min(beginning.resp.len()) >= 2) {
        (true, true) => Match::Yes,
        (true, false) => Match::Maybe,
        _ => Match::No,
    }
}

/// Bytes of an application header: control, function and, in replies, indications (2).
const HEADER: usize = 4;

struct Connection {
    label: &'static str,
    transport: Transport,
    row: Option<Box<Dnp3>>,
    fragments: Pair<Fragment>,
}

/// What is kept of an application fragment.
#[derive(Default)]
struct Fragment {
    started: bool,
    header: [u8; HEADER],
    len: usize,
}

impl Analyzer for Connection {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let mut done = 0usize;
        loop {
            let rest = bytes.get(done..).unwrap_or_default();
            if rest.is_empty() {
                return Step::Consumed(done);
            }
            match Frame::read(rest) {
                Read::NeedMore if self.transport == Transport::Udp => return Step::Consumed(bytes.len()),
                Read::NeedMore if done == 0 => return Step::NeedMore,
                Read::NeedMore => return Step::Consumed(done),
                Read::Frame(frame) => {
                    out.confirm();
                    done = done.saturating_add(frame.len);
                    if !self.frame(from, &frame, out) {
                        return Step::Done;
                    }
                }
                Read::Bad(Oddity::HeaderChecksum) => {
                    self.weird("dnp3_corrupt_header_checksum", out);
                    return Step::Violation("broken_checksum");
                }
                Read::Bad(oddity) => {
                    self.weird(
                        match oddity {
                            Oddity::Magic => "dnp3_header_lacks_magic",
                            Oddity::BodyChecksum => "dnp3_corrupt_app_chunk_checksum",
                            _ => "dnp3_negative_or_zero_length_link_layer",
                        },
                        out,
                    );
                    return Step::Done;
                }
            }
        }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        if let Some(row) = self.row.take() {
            out.record(*row);
        }
    }
}

impl Connection {
    fn new(label: &'static str, transport: Transport) -> Self {
        Self { label, transport, row: None, fragments: Pair::default() }
    }

    fn weird(&self, name: &'static str, out: &mut Output<'_>) {
        out.weird_detail(name, None, Some(self.label));
    }

    fn frame(&mut self, from: Direction, frame: &Frame<'_>, out: &mut Output<'_>) -> bool {
        // A frame of the link layer only.
        let Some(transport) = frame.transport() else { return true };
        if from.is_orig() != (frame.control & 0x80 != 0) {
            self.weird("dnp3_unexpected_flow_direction", out);
        }
        let (is_first, is_last) = (transport & 0x40 != 0, transport & 0x80 != 0);
        let fragment = self.fragments.of_mut(from);
        if !is_first && !fragment.started {
            self.weird("dnp3_first_application_layer_chunk_missing", out);
            return false;
        }
        fragment.started = true;
        for byte in frame.application() {
            let Some(place) = fragment.header.get_mut(fragment.len) else { break };
            *place = byte;
            fragment.len = fragment.len.saturating_add(1);
        }
        if is_last {
            let Fragment { header, len, .. } = std::mem::take(fragment);
            self.fragment(from, header, len, out);
        }
        true
    }

    fn fragment(&mut self, from: Direction, header: [u8; HEADER], len: usize, out: &mut Output<'_>) {
        if len < if from.is_orig() { 2 } else { HEADER } {
            return;
        }
        let [_, function, first, second] = header;
        let row = self.row.get_or_insert_with(|| Box::new(Dnp3 { at: out.at, id: out.id, request: None, reply: None, iin: None }));
        row.at = out.at;
        if from.is_orig() {
            row.request = Some(wire::function(function));
            return;
        }
        row.reply = Some(wire::function(function));
        row.iin = Some(u64::from(u16::from_be_bytes([first, second])));
        self.finish(out);
    }
}
