//! RDP: who connects, with what, and how it is secured, in `rdp.log`; TLS within it is followed.
//!
//! Non-goals: what is sent after the opening.

mod names;
mod record;
#[cfg(test)]
mod tests;
mod udp;
mod wire;

use super::tls::TLS;
use super::x509;
use crate::{Analyzer, Beginning, Direction, Match, Output, Protocol, Step, Transport};
use wire::{Blocks, Choice, Packet, Read};

pub use record::{LOG, Rdp};
pub use udp::RDPEUDP;

/// RDP (MS-RDPBCGR).
pub static RDP: Protocol =
    Protocol { name: "rdp", label: "RDP", tcp: &[3389], udp: &[], recognises, analyzer: |_| Box::<Session>::default() };

/// Channels that a client may want (MS-RDPBCGR §2.2.1.3.4).
const MAX_CHANNELS: usize = 31;

/// The client's cookie and the server's confirmation (scripts/base/protocols/rdp/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    let is_tpkt = |bytes: &[u8]| b"\x03\x00".starts_with(bytes.get(..2).unwrap_or(bytes));
    if !is_tpkt(beginning.orig) || !is_tpkt(beginning.resp) {
        return Match::No;
    }
    let asks = matches!(wire::packet(beginning.orig), Read::Packet(Packet::Request(Some(_)), _));
    let confirms = beginning.resp.get(5) == Some(&0xd0);
    match (asks && confirms, beginning.orig.len() < 64 || beginning.resp.len() < 6) {
        (true, _) => Match::Yes,
        (false, true) => Match::Maybe,
        _ => Match::No,
    }
}

#[derive(Default)]
struct Session {
    row: Option<Box<Rdp>>,
}

impl Analyzer for Session {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        match wire::packet(bytes) {
            Read::NeedMore => Step::NeedMore,
            Read::Bad => Step::Violation("not an RDP packet"),
            Read::Packet(packet, len) => self.packet(from, &packet, len, out),
        }
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        // A row says something of RDP, or it is none.
        let says = |row: &Rdp| row.cookie.is_some() || row.keyboard_layout.is_some() || row.result.is_some();
        if let Some(row) = self.row.take().filter(|row| says(row)) {
            out.record(*row);
        }
    }
}

impl Session {
    fn row(&mut self, out: &Output<'_>) -> &mut Rdp {
        self.row.get_or_insert_with(|| {
            Box::new(Rdp {
                at: out.at,
                id: out.id,
                cookie: None,
                result: None,
                security_protocol: None,
                client_channels: None,
                keyboard_layout: None,
                client_build: None,
                client_name: None,
                client_dig_product_id: None,
                desktop_width: None,
                desktop_height: None,
                requested_color_depth: None,
                cert_type: None,
                cert_count: 0,
                cert_permanent: None,
                encryption_level: None,
                encryption_method: None,
            })
        })
    }

    fn packet(&mut self, from: Direction, packet: &Packet<'_>, len: usize, out: &mut Output<'_>) -> Step {
        match packet {
            Packet::Request(Some(cookie)) if from.is_orig() => self.row(out).cookie = Some(cookie.to_vec()),
            Packet::Confirm(Some(Choice::Failure(code))) if !from.is_orig() => self.row(out).result = Some(names::failure(*code)),
            Packet::Confirm(Some(Choice::Protocol(protocol))) if !from.is_orig() => {
                self.row(out).security_protocol = Some(names::protocol(*protocol));
                if *protocol > 0 {
                    out.confirm();
                    self.encrypted(*protocol, out);
                    return Step::Become(len, &TLS);
                }
            }
            Packet::Data(data) if from.is_orig() && wire::is_client(data) => {
                if let Some(blocks) = Blocks::of_client(data) {
                    blocks.for_each(|(kind, block)| self.of_client(kind, block, out));
                }
            }
            Packet::Data(data) if !from.is_orig() && wire::is_server(data) => {
                if let Some((result, blocks)) = Blocks::of_server(data) {
                    out.confirm();
                    self.row(out).result = Some(names::result(result));
                    for (kind, block) in blocks {
                        if self.of_server(kind, block, out) {
                            return Step::Done;
                        }
                    }
                }
            }
            _ => {}
        }
        Step::Consumed(len)
    }

    fn encrypted(&mut self, protocol: u32, out: &Output<'_>) {
        let row = self.row(out);
        row.result.get_or_insert("encrypted".into());
        row.security_protocol = Some(names::protocol(protocol));
    }

    fn of_client(&mut self, kind: u16, block: &[u8], out: &mut Output<'_>) {
        match kind {
            0xc001 => {
                let Some(core) = wire::core(block) else { return };
                out.confirm();
                let row = self.row(out);
                row.keyboard_layout = Some(names::keyboard(core.keyboard));
                row.client_build = Some(names::build(core.build));
                row.client_name = Some(core.name);
                row.client_dig_product_id = Some(core.product);
                row.desktop_width = Some(u64::from(core.width));
                row.desktop_height = Some(u64::from(core.height));
                row.requested_color_depth = Some(if core.wants_32_bit { "32bit".into() } else { names::colors(core.colors) });
            }
            0xc003 => {
                let Some(channels) = wire::channels(block) else { return };
                if channels.len() > MAX_CHANNELS {
                    let addl = channels.len().to_string();
                    out.weird_detail("RDP_channels_requested_exceeds_max", Some(addl.as_bytes()), None);
                }
                self.row(out).client_channels = Some(channels);
            }
            _ => {}
        }
    }

    /// True if all that follows is encrypted.
    fn of_server(&mut self, kind: u16, block: &[u8], out: &mut Output<'_>) -> bool {
        let Some(security) = Some(block).filter(|_| kind == 0x0c02).and_then(wire::security) else { return false };
        let row = self.row(out);
        row.encryption_method = Some(names::method(security.method));
        row.encryption_level = Some(names::level(security.level));
        if let Some((kind, permanent, chain)) = security.certificate {
            row.cert_type = Some(names::certificate(kind));
            row.cert_permanent = Some(permanent);
            row.cert_count = row.cert_count.saturating_add(if kind == 1 { 1 } else { chain.len() as u64 });
            for certificate in chain {
                x509::seen(certificate, true, false, out);
            }
        }
        let encrypts = security.method > 0 && security.level > 0;
        if encrypts {
            self.encrypted(0, out);
        }
        encrypts
    }
}
