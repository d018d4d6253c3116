//! DHCP: one line of `dhcp.log` for each transaction.
//!
//! A transaction spans flows: the client broadcasts first and talks to the server later. What belongs together is
//! found by the transaction id, in a table that all flows of a worker share. Non-goals: DHCPv6.

mod record;
#[cfg(test)]
mod tests;
mod transactions;
mod wire;

use crate::{Analyzer, Beginning, Direction, Match, Output, Protocol, Step, Transport};
use transactions::Transactions;
use wire::{Bad, Message};

pub use record::{Dhcp, LOG};
pub(crate) use wire::TYPES;

/// DHCP (RFC 2131).
pub static DHCP: Protocol =
    Protocol { name: "dhcp", label: "DHCP", tcp: &[], udp: &[67, 68, 4011], recognises, analyzer: |_| Box::<Flow>::default() };

/// A header with the cookie behind it (scripts/base/protocols/dhcp/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Udp {
        return Match::No;
    }
    let is = |bytes: &[u8]| bytes.get(236..240) == Some(b"\x63\x82\x53\x63") && matches!(bytes.first(), Some(1 | 2));
    if is(beginning.orig) || is(beginning.resp) { Match::Yes } else { Match::No }
}

/// Transactions of one flow that are remembered: more than are under way at once. Those before them have ended by time.
const MAX_XIDS: usize = 20_000;

#[derive(Default)]
struct Flow {
    xids: Vec<u32>,
}

impl Analyzer for Flow {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let message = match Message::read(bytes) {
            Ok(message) => message,
            Err(Bad::Cut) => return Step::Violation("DHCP message is cut"),
            Err(Bad::Cookie) => return Step::Violation("bad cookie"),
            Err(Bad::NoType) => return Step::Violation("no DHCP message type option"),
        };
        out.confirm();
        if self.xids.last() != Some(&message.xid) {
            if self.xids.len() >= MAX_XIDS {
                self.xids.drain(..MAX_XIDS / 2);
            }
            self.xids.push(message.xid);
        }
        let (at, id) = (out.at, out.id);
        let done = out.state::<Transactions>().message(at, &id, from, &message);
        done.into_iter().for_each(|row| out.record(row));
        Step::Consumed(bytes.len())
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        if !self.xids.is_empty() {
            let (at, uid) = (out.at, out.id.uid);
            let done = out.state::<Transactions>().flow_ended(at, uid, &self.xids);
            done.into_iter().for_each(|row| out.record(row));
        }
    }
}
