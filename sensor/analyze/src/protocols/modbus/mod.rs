//! Modbus over TCP: one line of `modbus.log` for each request and response.
//!
//! Non-goals: registers and coils.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use crate::{Analyzer, Direction, Match, Output, Protocol, Step};
use wire::{EXCEPTION, Message, Read};

pub use record::{LOG, Modbus};

/// Modbus/TCP.
pub static MODBUS: Protocol =
    Protocol { name: "modbus", label: "MODBUS", tcp: &[502], udp: &[], recognises: |_| Match::No, analyzer: |_| Box::new(Connection) };

struct Connection;

impl Analyzer for Connection {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let message = match Message::read(bytes) {
            Read::NeedMore => return Step::NeedMore,
            // Zeek drops what it has of the stream then, and goes on with the next segment.
            Read::Bad(_) if out.is_confirmed() => return Step::Consumed(bytes.len()),
            Read::Bad(reason) => return Step::Violation(reason),
            Read::Message(message) => message,
        };
        out.confirm();
        let is_exception = message.function & EXCEPTION != 0;
        // Requests are never exceptions.
        if !(is_exception && from.is_orig()) {
            out.record(Modbus {
                at: out.at,
                id: out.id,
                tid: u64::from(message.transaction),
                unit: u64::from(message.unit),
                func: wire::function(message.function),
                pdu_type: if from.is_orig() { "REQ" } else { "RESP" },
                exception: message.code.filter(|_| is_exception).map(wire::exception),
            });
        }
        Step::Consumed(message.len)
    }

    /// What comes next most often starts a message.
    fn gap(&mut self, _: Direction, _: u64, _: &mut Output<'_>) -> Step {
        Step::Consumed(0)
    }
}
