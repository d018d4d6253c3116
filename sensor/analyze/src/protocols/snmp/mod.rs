//! SNMP: how much two hosts asked each other, one line of `snmp.log` a flow.
//!
//! Non-goals: values other than a system's description and age.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use crate::{Analyzer, Direction, Interval, Match, Output, Protocol, Step};
use wire::{Kind, Message};

pub use record::{LOG, Snmp};

/// SNMP (RFC 3411 and on).
pub static SNMP: Protocol = Protocol {
    name: "snmp",
    label: "SNMP",
    tcp: &[],
    udp: &[161, 162],
    recognises: |_| Match::No,
    analyzer: |_| Box::<Session>::default(),
};

#[derive(Default)]
struct Session {
    row: Option<Box<Snmp>>,
}

impl Analyzer for Session {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let Some(message) = Message::read(bytes) else { return Step::Violation("malformed SNMP message") };
        if !from.is_orig() {
            out.confirm();
        }
        let bindings = message.bindings();
        for len in bindings.too_long {
            // Zeek's converter does not know the flow.
            out.sink.weird(out.at, None, "asn_oid_subidentifier_too_long", Some(len.to_string().as_bytes()), None);
        }
        let row = self.row.get_or_insert_with(|| {
            Box::new(Snmp {
                at: out.at,
                id: out.id,
                duration: Interval::default(),
                version: wire::version(message.version),
                community: None,
                get_requests: 0,
                get_bulk_requests: 0,
                get_responses: 0,
                set_requests: 0,
                display_string: None,
                up_since: None,
            })
        });
        row.duration = out.at.since(row.at);
        row.community = row.community.take().or_else(|| message.community.map(<[u8]>::to_vec));
        let counter = match message.kind {
            Kind::Get => &mut row.get_requests,
            Kind::GetBulk => &mut row.get_bulk_requests,
            Kind::Response => &mut row.get_responses,
            Kind::Set => &mut row.set_requests,
            Kind::Other => return Step::Consumed(bytes.len()),
        };
        *counter = counter.saturating_add(bindings.count);
        row.display_string = bindings.description.or(row.display_string.take());
        if let Some(up) = bindings.up.and_then(|up| i64::try_from(up).ok()) {
            row.up_since = Some(out.at - Interval::from_millis(up.saturating_mul(10)));
        }
        Step::Consumed(bytes.len())
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        if let Some(row) = self.row.take() {
            out.record(*row);
        }
    }
}
