//! OpenVPN: the handshake of TLS within its control packets, and the certificates in that.

use super::Parser;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;
use crate::protocols::tls::{Carrier, arkime as tls};
use crate::{Direction, Pair, Reader};

/// Bytes of one side's handshake, or of a packet over TCP, that are kept.
const KEPT: usize = 65_535;
const MAX_PACKETS: u32 = 256;
/// Records of TLS that are of a handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;
const CONTROL: u8 = 4;
const DATA: u8 = 6;
const DATA_2: u8 = 9;

/// Bytes of authentication in each packet, if the datagram is a client's first one (`P_CONTROL_HARD_RESET_CLIENT_V2`,
/// which has no other lengths than these and ends in five bytes of nothing).
pub(in super::super) fn control_key(data: &[u8]) -> Option<usize> {
    let mac = match data.len() {
        14 => 0,
        38 => 16,
        42 => 20,
        54 => 32,
        86 => 64,
        _ => return None,
    };
    (data.first() == Some(&0x38) && data.ends_with(&[0; 5])).then_some(mac)
}

pub(in super::super) fn openvpn_datagrams(beginning: &Beginning<'_>) -> Box<dyn Parser> {
    Box::new(OpenVpn { mac: control_key(beginning.data).unwrap_or(0), packets: None, handshake: Pair::default(), count: 0 })
}

/// Over TCP each packet has its length before it.
pub(in super::super) fn openvpn_stream(beginning: &Beginning<'_>) -> Box<dyn Parser> {
    let first = beginning.data.get(2..).unwrap_or_default();
    let len = beginning.u16(0);
    let mac = first.get(..len).and_then(control_key).unwrap_or(0);
    Box::new(OpenVpn { mac, packets: Some(Pair::default()), handshake: Pair::default(), count: 0 })
}

struct OpenVpn {
    mac: usize,
    /// Of a stream, what has not been a whole packet yet.
    packets: Option<Pair<Vec<u8>>>,
    handshake: Pair<Vec<u8>>,
    count: u32,
}

impl Parser for OpenVpn {
    fn read(&mut self, from: Direction, data: &[u8], fields: &mut Fields) -> bool {
        let Some(packets) = &mut self.packets else { return self.packet(from, data, fields).is_some() };
        let mut kept = std::mem::take(packets.of_mut(from));
        kept.extend_from_slice(data);
        if kept.len() > KEPT {
            return false;
        }
        let mut r = Reader::new(&kept);
        while let Some(packet) = packet_of_stream(&mut r) {
            if packet.is_empty() || self.packet(from, packet, fields).is_none() {
                return false;
            }
        }
        let read = r.position();
        kept.drain(..read.min(kept.len()));
        if let Some(packets) = &mut self.packets {
            *packets.of_mut(from) = kept;
        }
        true
    }
}

fn packet_of_stream<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let mut look = Reader::new(r.rest());
    let len = look.u16()?;
    let packet = look.take(usize::from(len))?;
    r.skip(2 + packet.len())?;
    Some(packet)
}

impl OpenVpn {
    /// Reads one packet; nothing if no more are wanted.
    fn packet(&mut self, from: Direction, data: &[u8], fields: &mut Fields) -> Option<()> {
        self.count += 1;
        let mut r = Reader::new(data);
        let kind = match r.u8() {
            Some(first) => first >> 3,
            None => return Some(()),
        };
        if self.count > MAX_PACKETS || matches!(kind, DATA | DATA_2) {
            return None;
        }
        if kind != CONTROL {
            return Some(());
        }
        // Session, authentication, acknowledgements and the session that they are for, number.
        r.skip(8)?;
        if self.mac > 0 {
            r.skip(self.mac + 8)?;
        }
        let acknowledged = usize::from(r.u8()?);
        r.skip(acknowledged * 4 + if acknowledged > 0 { 8 } else { 0 } + 4)?;
        let handshake = self.handshake.of_mut(from);
        handshake.extend_from_slice(r.rest());
        if handshake.len() > KEPT {
            return None;
        }
        let carrier = if self.packets.is_some() { Carrier::Tcp } else { Carrier::Quic };
        while let Some(&[kind, _, _, high, low]) = handshake.first_chunk() {
            if kind != HANDSHAKE {
                return None;
            }
            let len = 5 + usize::from(u16::from_be_bytes([high, low]));
            let Some(record) = handshake.get(5..len) else { break };
            tls::handshake(record, carrier, fields)?;
            handshake.drain(..len);
        }
        Some(())
    }
}
