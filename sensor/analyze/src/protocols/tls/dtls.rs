//! DTLS 1.0 to 1.3 (RFC 6347, RFC 9147): records in datagrams, handshake messages in fragments.
//!
//! ```text
//! record     type, version (2), epoch (2), sequence (6), length (2), fragment
//! handshake  type, length (3), message (2), offset (3), length of fragment (3), fragment
//! ```

use super::fingerprint::Carrier;
use super::names::version;
use super::session::Session;
use super::{content, wire};
use crate::{Analyzer, Beginning, Direction, Match, Output, Pair, Protocol, Reader, Step, Transport};

/// DTLS.
pub static DTLS: Protocol =
    Protocol { name: "ssl", label: "DTLS", tcp: &[], udp: &[443], recognises, analyzer: |_| Box::<Datagrams>::default() };

/// Datagrams with an impossible version before the analyzer gives up (Zeek's `dtls_max_version_errors`).
const MAX_BAD: u8 = 10;

/// Bytes of one fragmented message (Zeek's `MAX_DTLS_HANDSHAKE_RECORD`).
const MAX_MESSAGE: usize = 100_000;

/// Pieces of one fragmented message that are kept apart; they come in order but for a few.
const MAX_PIECES: usize = 32;

/// A ClientHello in a record of epoch 0 (scripts/base/protocols/ssl/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Udp {
        return Match::No;
    }
    let known = |bytes: &[u8]| {
        matches!(bytes, [0x16, 0xfe, 0xff | 0xfd, 0, 0, 0, 0, 0, 0, 0, _, _, _, 1, rest @ ..]
            if matches!(rest.get(11..13), Some([0xfe, 0xff | 0xfd])))
    };
    if known(beginning.orig) || known(beginning.resp) {
        return Match::Yes;
    }
    if beginning.orig.is_empty() && beginning.resp.is_empty() { Match::Maybe } else { Match::No }
}

/// The record layer of one association.
#[derive(Default)]
struct Datagrams {
    session: Option<Box<Session>>,
    encrypted: Pair<bool>,
    bad: u8,
    partial: Pair<Option<Box<Partial>>>,
}

/// A message that comes in fragments.
struct Partial {
    sequence: u16,
    kind: u8,
    bytes: Vec<u8>,
    /// Ranges that are there, in order, not touching.
    have: Vec<(usize, usize)>,
}

impl Analyzer for Datagrams {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        // RFC 5389 §6: STUN shares the port, known by its cookie.
        if bytes.get(4..8) == Some(&[0x21, 0x12, 0xa4, 0x42]) && bytes.len() > 20 {
            return Step::Consumed(bytes.len());
        }
        let mut reader = Reader::new(bytes);
        while let Some(kind) = reader.peek() {
            // RFC 9147 §4: encrypted records begin with 001.
            if kind & 0xe0 == 0x20 && self.version() == Some(version::DTLS13) {
                *self.encrypted.of_mut(from) = true;
                if self.ciphertext(out) {
                    return Step::Done;
                }
                break;
            }
            match self.record(from, &mut reader, out) {
                Ok(Some(true)) => return Step::Done,
                Ok(Some(false)) => {}
                Ok(None) => break,
                Err(reason) => return Step::Violation(reason),
            }
        }
        if self.bad > MAX_BAD { Step::Done } else { Step::Consumed(bytes.len()) }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        if let Some(session) = &mut self.session {
            session.finish(out);
        }
    }
}

impl Datagrams {
    fn session(&mut self) -> &mut Session {
        self.session.get_or_insert_with(|| Box::new(Session::new(Carrier::Datagrams)))
    }

    fn version(&self) -> Option<u16> {
        self.session.as_ref().and_then(|session| session.version())
    }

    /// Reads one record; true once both sides encrypt, `None` if the rest of the datagram cannot be read.
    fn record(&mut self, from: Direction, reader: &mut Reader<'_>, out: &mut Output<'_>) -> Result<Option<bool>, &'static str> {
        let (Some(kind), Some(version), Some(epoch)) = (reader.u8(), reader.u16(), reader.u16()) else { return Ok(None) };
        if !matches!(version, version::DTLS10 | version::DTLS12 | version::DTLS13) {
            self.bad = self.bad.saturating_add(1);
            if out.is_confirmed() {
                return Err("Invalid version in DTLS connection.");
            }
            return Ok(None);
        }
        let Some(fragment) = reader.skip(6).and_then(|()| wire::list16(reader)) else { return Ok(None) };
        if epoch > 0 {
            return Ok(Some(self.ciphertext(out)));
        }
        match kind {
            content::CHANGE_CIPHER_SPEC => {
                self.session().change_cipher_spec(from, out);
                *self.encrypted.of_mut(from) = true;
            }
            content::ALERT => {
                let &[_, description] = fragment else { return Err("malformed alert") };
                self.session().alert(from, description, out);
            }
            content::HANDSHAKE => self.handshake(from, fragment, out)?,
            content::HEARTBEAT => self.session().heartbeat(from, out),
            content::APPLICATION_DATA => super::early_data(self.session(), out),
            _ => return Err("unknown SSL record type"),
        }
        Ok(Some(false))
    }

    fn ciphertext(&mut self, out: &mut Output<'_>) -> bool {
        let both = self.encrypted.orig && self.encrypted.resp;
        if both {
            self.session().established(out);
        }
        both
    }

    /// Messages of one record: whole ones are read at once, fragments kept until they are complete.
    fn handshake(&mut self, from: Direction, fragment: &[u8], out: &mut Output<'_>) -> Result<(), &'static str> {
        let mut reader = Reader::new(fragment);
        while !reader.is_empty() {
            let (Some((kind, len)), Some(())) = (wire::head(reader.rest()), reader.skip(4)) else { return Ok(()) };
            let (Some(sequence), Some(offset), Some(part)) = (reader.u16(), reader.u24(), reader.u24()) else { return Ok(()) };
            let (offset, part) = (offset as usize, part as usize);
            let Some(data) = reader.take(part) else { return Err("DTLS handshake record length does not match packet length") };
            if offset == 0 && part == len {
                self.session().message(from, kind, data, out)?;
                continue;
            }
            if len > MAX_MESSAGE {
                return Err("DTLS record length larger than allowed maximum.");
            }
            if offset.saturating_add(part) > len {
                return Err("DTLS handshake fragment trying to write past end of buffer");
            }
            let slot = self.partial.of_mut(from);
            if slot.as_ref().is_none_or(|partial| partial.sequence != sequence || partial.bytes.len() != len || partial.kind != kind) {
                *slot = Some(Box::new(Partial { sequence, kind, bytes: vec![0; len], have: Vec::new() }));
            }
            if slot.as_mut().is_some_and(|partial| partial.add(offset, data))
                && let Some(whole) = slot.take()
            {
                self.session().message(from, whole.kind, &whole.bytes, out)?;
            }
        }
        Ok(())
    }
}

impl Partial {
    /// Adds a piece; true if the message is complete.
    fn add(&mut self, offset: usize, data: &[u8]) -> bool {
        let end = offset.saturating_add(data.len());
        if self.have.len() < MAX_PIECES
            && let Some(place) = self.bytes.get_mut(offset..end)
        {
            place.copy_from_slice(data);
            self.have.push((offset, end));
            self.have.sort_unstable();
            self.have.dedup_by(|next, before| {
                let touch = next.0 <= before.1;
                if touch {
                    before.1 = before.1.max(next.1);
                }
                touch
            });
        }
        self.have.first() == Some(&(0, self.bytes.len()))
    }
}
