//! NTP: one line of `ntp.log` for each message that keeps time.
//!
//! Non-goals: control and private messages (modes 6 and 7), which Zeek does not log.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::net::Ipv4Addr;

use crate::log::Fields;
use crate::{Analyzer, Direction, Match, Output, Protocol, Step};
use wire::Message;

pub use record::{LOG, Ntp};

/// NTP (RFC 5905).
pub static NTP: Protocol =
    Protocol { name: "ntp", label: "NTP", tcp: &[], udp: &[123], recognises: |_| Match::No, analyzer: |_| Box::new(Association) };

struct Association;

impl Analyzer for Association {
    fn advance(&mut self, _: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let Some(message) = Message::read(bytes) else { return Step::Violation("NTP message is cut") };
        out.confirm();
        let has_port = out.id.orig.port == 123 || out.id.resp.port == 123;
        if let (true, Some(fields)) = (has_port, out.session()) {
            tell(&message, fields);
        }
        if message.mode <= 5 {
            out.record(row(&message, out));
        }
        Step::Consumed(bytes.len())
    }
}

/// Tells a session of Arkime's what a message says.
fn tell(message: &Message<'_>, fields: &mut Fields) {
    const MODES: [&str; 8] = ["reserved", "symmetric-active", "symmetric-passive", "client", "server", "broadcast", "control", "private"];
    let Some(body) = &message.body else { return };
    fields.protocol("ntp");
    fields.number("ntp.version", i64::from(message.version));
    fields.some("ntp.mode", MODES.get(usize::from(message.mode)).map(|mode| mode.as_bytes()));
    fields.text(
        "ntp.stratum",
        match body.stratum {
            0 => b"unspecified",
            1 => b"primary",
            2..=15 => b"secondary",
            16 => b"unsynchronized",
            _ => b"reserved",
        },
    );
    match body.reference {
        [0, 0, 0, 0] => {}
        // A kiss code or the name of a clock; above stratum 1 an address.
        name if body.stratum <= 1 => fields.some("ntp.refId", name.split(|byte| *byte == 0).next()),
        addr => fields.text("ntp.refId", hex::encode(addr).as_bytes()),
    }
}

fn row(message: &Message<'_>, out: &Output<'_>) -> Ntp {
    let body = message.body.as_ref();
    let [reference, origin, receive, transmit] = body.map_or([None; 4], |b| b.times.map(Some));
    Ntp {
        at: out.at,
        id: out.id,
        version: u64::from(message.version),
        mode: u64::from(message.mode),
        stratum: body.map(|b| u64::from(b.stratum)),
        poll: body.map(|b| b.poll),
        precision: body.map(|b| b.precision),
        root_delay: body.map(|b| b.root_delay),
        root_disp: body.map(|b| b.root_dispersion),
        // A kiss code or the name of a clock; above stratum 1 an address.
        ref_id: body.map(|b| match *b.reference {
            [x, y, z, w] if b.stratum > 1 => Ipv4Addr::new(x, y, z, w).to_string().into_bytes(),
            _ => b.reference.to_vec(),
        }),
        ref_time: reference,
        org_time: origin,
        rec_time: receive,
        xmt_time: transmit,
        num_exts: body.map_or(0, |b| b.extensions),
    }
}
