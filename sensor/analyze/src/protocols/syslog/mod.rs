//! Syslog: one line of `syslog.log` for each message.
//!
//! Non-goals: the header and the structured data within messages (RFC 5424), which Zeek does not split either.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use crate::{Analyzer, Direction, Match, Output, Protocol, Step};
use wire::{Framed, Priority};

pub use record::{LOG, Syslog};

/// Syslog in datagrams (RFC 5426).
pub static SYSLOG_UDP: Protocol =
    Protocol { name: "syslog", label: "SYSLOG", tcp: &[], udp: &[514], recognises: |_| Match::No, analyzer: |_| Box::new(Datagrams) };

/// Syslog in streams (RFC 6587).
pub static SYSLOG_TCP: Protocol =
    Protocol { name: "syslog_tcp", label: "SYSLOG_TCP", tcp: &[514], udp: &[], recognises: |_| Match::No, analyzer: |_| Box::new(Stream) };

struct Datagrams;

struct Stream;

impl Analyzer for Datagrams {
    fn advance(&mut self, _: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        out.confirm();
        message(bytes, "udp", out);
        Step::Consumed(bytes.len())
    }
}

impl Analyzer for Stream {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        if !from.is_orig() {
            return Step::Consumed(bytes.len());
        }
        match Framed::read(bytes) {
            Framed::NeedMore => Step::NeedMore,
            Framed::Message(text, len) => {
                out.confirm();
                message(text, "tcp", out);
                Step::Consumed(len)
            }
            Framed::Bad => Step::Violation("not a framed syslog message"),
        }
    }
}

fn message(bytes: &[u8], proto: &'static str, out: &mut Output<'_>) {
    let (priority, text) = Priority::read(bytes);
    out.record(Syslog {
        at: out.at,
        id: out.id,
        proto,
        facility: wire::facility(priority),
        severity: wire::severity(priority),
        message: text.to_vec(),
    });
}
