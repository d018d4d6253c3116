//! RADIUS: one line of `radius.log` for each attempt to authenticate.
//!
//! Non-goals: accounting, which Zeek does not log either.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::net::{IpAddr, Ipv4Addr};

use crate::{Analyzer, Direction, Interval, Match, Output, Protocol, Step};
use wire::{Packet, attribute, code};

pub use record::{LOG, Radius};

/// RADIUS (RFC 2865).
pub static RADIUS: Protocol = Protocol {
    name: "radius",
    label: "RADIUS",
    tcp: &[],
    udp: &[1812],
    recognises: |_| Match::No,
    analyzer: |_| Box::<Session>::default(),
};

#[derive(Default)]
struct Session {
    row: Option<Box<Radius>>,
}

impl Analyzer for Session {
    fn advance(&mut self, _: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let Some(packet) = Packet::read(bytes) else { return Step::Violation("malformed RADIUS packet") };
        out.confirm();
        let row = self.row.get_or_insert_with(|| {
            Box::new(Radius {
                at: out.at,
                id: out.id,
                username: None,
                mac: None,
                framed_addr: None,
                tunnel_client: None,
                connect_info: None,
                reply_msg: None,
                result: None,
                ttl: None,
            })
        });
        let text = |kind: u8| packet.first(kind).map(<[u8]>::to_vec);
        let framed = || packet.first(attribute::FRAMED_ADDRESS)?.first_chunk::<4>().map(|b| IpAddr::V4(Ipv4Addr::from(*b)));
        match packet.code {
            code::REQUEST => {
                row.username = row.username.take().or_else(|| text(attribute::USER_NAME));
                row.mac = row.mac.take().or_else(|| packet.first(attribute::CALLING_STATION).map(wire::mac));
                row.framed_addr = row.framed_addr.or_else(framed);
                row.tunnel_client = row.tunnel_client.take().or_else(|| text(attribute::TUNNEL_CLIENT));
                row.connect_info = row.connect_info.take().or_else(|| text(attribute::CONNECT_INFO));
            }
            code::CHALLENGE => {
                row.framed_addr = row.framed_addr.or_else(framed);
                row.reply_msg = row.reply_msg.take().or_else(|| text(attribute::REPLY_MESSAGE));
            }
            code::ACCEPT | code::REJECT => {
                row.result = Some(if packet.code == code::ACCEPT { "success" } else { "failed" });
                row.reply_msg = row.reply_msg.take().or_else(|| text(attribute::REPLY_MESSAGE));
                row.ttl = Some(out.at.since(row.at)).filter(|ttl| *ttl != Interval::default());
                if let Some(row) = self.row.take() {
                    out.record(*row);
                }
            }
            _ => {}
        }
        Step::Consumed(bytes.len())
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        if let Some(row) = self.row.take() {
            out.record(Radius { result: Some("unknown"), ..*row });
        }
    }
}
