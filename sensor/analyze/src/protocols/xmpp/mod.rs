//! XMPP (RFC 6120): followed so far that its name and TLS within it are known. It has no log.
//!
//! Non-goals: who says what to whom.

#[cfg(test)]
mod tests;

use super::tls::TLS;
use crate::{Analyzer, Beginning, Direction, Match, Output, Protocol, Step, Transport};

/// XMPP between clients and servers, and between servers.
pub static XMPP: Protocol =
    Protocol { name: "xmpp", label: "XMPP", tcp: &[5222, 5269], udp: &[], recognises, analyzer: |_| Box::<Stream>::default() };

/// Bytes of a tag.
const MAX_TAG: usize = 65_536;

/// Elements after which TLS no longer starts.
const AFTER_START: [&[u8]; 5] = [b"success", b"message", b"db:result", b"db:verify", b"presence"];

/// The head of a stream (scripts/base/protocols/xmpp/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    let is = |bytes: &[u8]| bytes.windows(14).any(|part| part == b"<stream:stream") && bytes.windows(7).any(|part| part == b"jabber:");
    if is(beginning.orig) || is(beginning.resp) {
        Match::Yes
    } else if beginning.orig.first().is_some_and(|&b| b != b'<') {
        Match::No
    } else {
        Match::Maybe
    }
}

#[derive(Default)]
struct Stream {
    starttls: bool,
}

impl Analyzer for Stream {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let Some(start) = bytes.iter().position(|&b| b == b'<') else { return Step::Consumed(bytes.len()) };
        let rest = bytes.get(start.saturating_add(1)..).unwrap_or_default();
        let Some(end) = rest.iter().position(|&b| b == b'>') else {
            return if rest.len() > MAX_TAG { Step::Violation("XML tag too long") } else { Step::Consumed(start) };
        };
        let done = start.saturating_add(end).saturating_add(2);
        let tag = rest.get(..end).unwrap_or_default();
        let name = tag.split(|b| b.is_ascii_whitespace() || *b == b'/').next().unwrap_or_default();
        if AFTER_START.contains(&name) {
            return Step::Done;
        }
        match (from.is_orig(), name) {
            (true, b"stream:stream") => out.confirm(),
            (true, b"starttls") => self.starttls = true,
            (false, b"proceed") if self.starttls => return Step::Become(done, &TLS),
            (false, b"proceed") => out.weird("XMPP: proceed without starttls"),
            _ => {}
        }
        Step::Consumed(done)
    }
}
