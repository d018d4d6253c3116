//! What a session talks: recognised by the first bytes of each side, and read where no analyzer does.
//!
//! Most protocols are read once, by their analyzer, which tells the session what it finds
//! ([`crate::Output::session`]). Those that Zeek does not read, and of which Arkime wants a few fields, have a small
//! parser here. Arkime's order holds: of a TCP stream the first bytes that come in order from each side are shown to
//! the classifiers, of UDP the first datagram of each side; parsers see these bytes too, and all that follow.

use super::Fields;
use super::classify::{self, Beginning};
use super::parsers::Parser;
use crate::{Direction, Pair};

/// Parsers that run on one session at once.
const MAX_PARSERS: usize = 8;

/// What is known of a session's talk.
#[derive(Default)]
pub(super) struct Talk {
    seen: Pair<bool>,
    /// Those that run, by the names under which the classifiers know them.
    parsers: Vec<(&'static str, Box<dyn Parser>)>,
}

impl std::fmt::Debug for Talk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Talk").field("seen", &self.seen).field("parsers", &self.parsers.len()).finish()
    }
}

impl Talk {
    /// The next bytes of each side are looked at as the first ones were.
    pub(super) fn begins_anew(&mut self) {
        self.seen = Pair::default();
    }

    /// Whether bytes are of any use.
    pub(super) const fn is_interested(&self) -> bool {
        !self.seen.orig || !self.seen.resp || !self.parsers.is_empty()
    }

    /// Bytes of a TCP stream that have come in order.
    pub(super) fn stream(&mut self, from: Direction, ports: Pair<u16>, data: &[u8], fields: &mut Fields) {
        self.take(classify::Transport::Tcp, from, ports, data, fields);
    }

    /// The payload of a datagram.
    pub(super) fn datagram(&mut self, from: Direction, ports: Pair<u16>, data: &[u8], fields: &mut Fields) {
        if !data.is_empty() {
            self.take(classify::Transport::Udp, from, ports, data, fields);
        }
    }

    fn take(&mut self, transport: classify::Transport, from: Direction, ports: Pair<u16>, data: &[u8], fields: &mut Fields) {
        if !std::mem::replace(self.seen.of_mut(from), true) {
            let beginning = Beginning { transport, from, ports, data };
            for classifier in classify::of(&beginning) {
                // Those of S7comm alone name themselves, once they know which one it is.
                if !classifier.is_silent() {
                    fields.protocol(classifier.name);
                }
                // The other side may begin with what is recognised, too.
                let is_known = self.parsers.iter().any(|(name, _)| *name == classifier.name);
                if let Some(make) = classifier.parser
                    && !is_known
                    && self.parsers.len() < MAX_PARSERS
                {
                    self.parsers.push((classifier.name, make(&beginning)));
                }
            }
        }
        self.parsers.retain_mut(|(_, parser)| parser.read(from, data, fields));
    }

    /// No more is to come: what the parsers keep is all there is.
    pub(super) fn end(&mut self, fields: &mut Fields) {
        self.parsers.drain(..).for_each(|(_, mut parser)| parser.end(fields));
    }
}
