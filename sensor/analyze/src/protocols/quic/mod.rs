//! QUIC: the packets of a connection in `quic.log`, and the hellos within its Initial packets in `ssl.log`.
//!
//! Initial packets are protected by keys that everybody can derive; one message of each side is read of them. The
//! rest stays sealed. Non-goals: gQUIC, following connections that migrate.

mod protection;
mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;

use super::tls::{Carrier, Session};
use crate::{Analyzer, Beginning, Direction, Match, Output, Pair, Protocol, Reader, Step, Transport};
use protection::Keys;
use wire::{Frame, Kind, Long};

pub use record::{LOG, Quic};

/// QUIC (RFC 9000), also for DNS (RFC 9250).
pub static QUIC: Protocol =
    Protocol { name: "quic", label: "QUIC", tcp: &[], udp: &[443, 784, 853], recognises, analyzer: |_| Box::<Connection>::default() };

/// Letters of the history (Zeek's `max_history_length`).
const MAX_HISTORY: usize = 100;

/// Discarded packets that are shown in the history (Zeek's `max_discarded_packet_events`).
const MAX_DISCARDED: u64 = 100;

/// Bytes of a hello (RFC 8446 §5.1 as Zeek applies it).
const MAX_HELLO: usize = (1 << 14) + 256;

/// Pieces of a hello that wait for those before them.
const MAX_PIECES: usize = 64;

/// An Initial packet of version 1 or 2 (scripts/base/protocols/quic/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Udp {
        return Match::No;
    }
    let known = |bytes: &[u8]| matches!(bytes, [0xc0..=0xcf, 0, 0, 0, 1, ..] | [0xd0..=0xdf, 0x6b, 0x33, 0x43, 0xcf, ..]);
    match (known(beginning.orig), known(beginning.resp), beginning.orig.is_empty() && beginning.resp.is_empty()) {
        (true, _, _) | (_, true, _) => Match::Yes,
        (.., true) => Match::Maybe,
        _ => Match::No,
    }
}

/// One flow of datagrams.
#[derive(Default)]
struct Connection {
    row: Option<Box<Quic>>,
    session: Option<Box<Session>>,
    crypto: Option<Box<Crypto>>,
    decrypted: u64,
    discarded: u64,
    short: Pair<u64>,
    client_id_len: usize,
}

/// What is needed to read the hellos.
#[derive(Default)]
struct Crypto {
    keys: Pair<Option<Keys>>,
    destination: Option<Vec<u8>>,
    streams: Pair<Stream>,
}

/// Handshake bytes of one side.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    waiting: BTreeMap<u64, Vec<u8>>,
    finished: bool,
}

impl Analyzer for Connection {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            let is_long = first & 0x80 != 0;
            // RFC 9000 §17.2: packets without the fixed bit are to be discarded.
            if first & 0x40 == 0 {
                self.discard(from, out);
                break;
            }
            if !is_long {
                if rest.len() <= self.client_id_len {
                    return Step::Violation("short packet too short");
                }
                self.short(from, out);
                break;
            }
            let Some(packet) = Long::read(rest) else { return Step::Violation("malformed QUIC packet") };
            if let Err(reason) = self.long(from, &packet, out) {
                return Step::Violation(reason);
            }
            rest = rest.get(packet.whole.len()..).unwrap_or_default();
        }
        Step::Consumed(bytes.len())
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        self.write(out);
        if let Some(session) = &mut self.session {
            session.finish(out);
        }
    }
}

impl Connection {
    fn write(&mut self, out: &mut Output<'_>) {
        if let Some(row) = self.row.take() {
            out.record(*row);
        }
    }

    fn letter(&mut self, from: Direction, letter: u8, out: &mut Output<'_>) {
        let Some(row) = &mut self.row else { return };
        if row.history.len() >= MAX_HISTORY {
            return;
        }
        row.history.push(if from.is_orig() { letter.to_ascii_uppercase() } else { letter });
        if row.history.len() == MAX_HISTORY {
            out.weird("QUIC_max_history_length_reached");
        }
    }

    fn discard(&mut self, from: Direction, out: &mut Output<'_>) {
        self.discarded = self.discarded.saturating_add(1);
        if self.decrypted > 0 && self.discarded <= MAX_DISCARDED {
            self.letter(from, b'x', out);
        }
    }

    /// Packets with short headers are counted; powers of two are shown.
    fn short(&mut self, from: Direction, out: &mut Output<'_>) {
        let count = self.short.of_mut(from);
        *count = count.saturating_add(1);
        let count = *count;
        if !count.is_power_of_two() {
            return;
        }
        if self.row.is_none() {
            let addl = count.to_string();
            return out.weird_detail("QUIC_spurious_short_packet_threshold_crossed", Some(addl.as_bytes()), None);
        }
        self.letter(from, b'o', out);
    }

    fn long(&mut self, from: Direction, packet: &Long<'_>, out: &mut Output<'_>) -> Result<(), &'static str> {
        let letter = match packet.kind {
            Kind::Initial => b'i',
            Kind::ZeroRtt => b'z',
            Kind::Handshake => b'h',
            Kind::Retry => b'r',
            Kind::Unknown => b'u',
        };
        let ends = matches!(packet.kind, Kind::Retry | Kind::Unknown);
        if !ends || self.row.is_none() {
            self.ids(from, packet, out);
        }
        self.letter(from, letter, out);
        if ends {
            self.write(out);
        }
        match packet.kind {
            Kind::Initial => self.initial(from, packet, out),
            // RFC 9001 §5.2: after a Retry the keys come from the client's next destination id.
            Kind::Retry => {
                self.crypto = None;
                Ok(())
            }
            Kind::Unknown => Err("unhandled QUIC version"),
            Kind::ZeroRtt | Kind::Handshake => Ok(()),
        }
    }

    fn ids(&mut self, from: Direction, packet: &Long<'_>, out: &Output<'_>) {
        let row = self.row.get_or_insert_with(|| {
            Box::new(Quic {
                at: out.at,
                id: out.id,
                version: packet.version,
                client_initial_dcid: None,
                client_scid: None,
                server_scid: None,
                server_name: None,
                client_protocol: None,
                history: Vec::new(),
            })
        });
        if from.is_orig() {
            if !packet.destination.is_empty() && row.client_initial_dcid.is_none() {
                row.client_initial_dcid = Some(packet.destination.to_vec());
            }
            row.client_scid = Some(packet.source.to_vec());
        } else {
            row.server_scid = Some(packet.source.to_vec());
        }
    }

    fn initial(&mut self, from: Direction, packet: &Long<'_>, out: &mut Output<'_>) -> Result<(), &'static str> {
        let crypto = self.crypto.get_or_insert_default();
        if crypto.streams.of(from).finished {
            return Ok(());
        }
        if crypto.destination.is_none() {
            if !from.is_orig() {
                return Ok(());
            }
            crypto.destination = Some(packet.destination.to_vec());
        }
        self.client_id_len = if from.is_orig() { packet.source.len() } else { packet.destination.len() };
        let destination = crypto.destination.as_deref().unwrap_or_default();
        let keys = crypto.keys.of_mut(from);
        if keys.is_none() {
            *keys = Keys::derive(packet.version, destination, from.is_orig());
        }
        let Some(plain) = keys.as_ref().and_then(|keys| keys.open(packet)) else { return Err("decryption failed") };
        out.confirm();
        self.decrypted = self.decrypted.saturating_add(1);
        let mut reader = Reader::new(&plain);
        while !reader.is_empty() {
            match wire::frame(&mut reader) {
                Some(Frame::Crypto(offset, bytes)) => self.crypto(from, offset, bytes, out)?,
                Some(Frame::Close) if self.row.is_some() => {
                    self.letter(from, b'c', out);
                    self.write(out);
                }
                Some(_) => {}
                None => return Err("unhandled frame type in an Initial packet"),
            }
        }
        Ok(())
    }

    fn crypto(&mut self, from: Direction, offset: u64, bytes: &[u8], out: &mut Output<'_>) -> Result<(), &'static str> {
        let Some(stream) = self.crypto.as_mut().map(|crypto| crypto.streams.of_mut(from)) else { return Ok(()) };
        if stream.finished {
            return Ok(());
        }
        stream.add(offset, bytes);
        let Some(hello) = stream.hello() else {
            return if stream.bytes.len() > MAX_HELLO { Err("too much crypto data received") } else { Ok(()) };
        };
        let session = self.session.get_or_insert_with(|| Box::new(Session::new(Carrier::Quic)));
        let read = session.handshake(from, &hello, out);
        if let (true, Some(row)) = (from.is_orig(), &mut self.row) {
            let (server, protocol) = session.names();
            row.server_name = server.map(<[u8]>::to_vec);
            row.client_protocol = protocol.map(<[u8]>::to_vec);
        }
        self.letter(from, b's', out);
        read
    }
}

impl Stream {
    fn add(&mut self, offset: u64, bytes: &[u8]) {
        if self.waiting.len() < MAX_PIECES && offset < MAX_HELLO as u64 {
            self.waiting.insert(offset, bytes.to_vec());
        }
        while let Some(first) = self.waiting.first_entry() {
            let have = self.bytes.len() as u64;
            if *first.key() > have {
                return;
            }
            let (offset, piece) = first.remove_entry();
            let known = usize::try_from(have.saturating_sub(offset)).unwrap_or(usize::MAX);
            self.bytes.extend_from_slice(piece.get(known..).unwrap_or_default());
        }
    }

    /// The first message, once it is whole.
    fn hello(&mut self) -> Option<Vec<u8>> {
        let mut reader = Reader::new(&self.bytes);
        reader.u8()?;
        let len = reader.u24()? as usize;
        let hello = self.bytes.get(..len.saturating_add(4))?.to_vec();
        self.finished = true;
        (self.bytes, self.waiting) = (Vec::new(), BTreeMap::new());
        Some(hello)
    }
}
