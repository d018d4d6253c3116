//! STUN and TURN (RFC 8489, RFC 8656): which address somebody is seen with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Frame, Parser, frames, pieces};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;

pub(in super::super) const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER: usize = 20;

pub(in super::super) fn stun_datagram(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        let _ = message(data, fields);
        true
    })
}

pub(in super::super) fn stun_stream(_: &Beginning<'_>) -> Box<dyn Parser> {
    frames(
        |data| match *data {
            [_, _, high, low, ..] if data.len() >= HEADER => Frame::Whole(HEADER + usize::from(u16::from_be_bytes([high, low]))),
            _ => Frame::Open,
        },
        |_, data, fields| {
            let _ = message(data, fields);
            true
        },
    )
}

fn message(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    let (kind, len, cookie, id) = (r.u16()?, r.u16()?, r.array::<4>()?, r.array::<12>()?);
    if cookie != COOKIE && usize::from(len) + HEADER != data.len() {
        return None;
    }
    // §5: the bits of the class stand between those of the method.
    let method = (kind & 0x000f) | (kind & 0x00e0) >> 1 | (kind & 0x3e00) >> 2;
    let class = ["Request", "Indication", "Response", "Error"].get(usize::from((kind & 0x10) >> 4 | (kind & 0x100) >> 7))?;
    let method = match method {
        1 => Some("Binding"),
        3 => Some("Allocate"),
        4 => Some("Refresh"),
        6 => Some("Send"),
        7 => Some("Data"),
        8 => Some("CreatePermission"),
        9 => Some("ChannelBind"),
        _ => None,
    };
    if let Some(method) = method {
        fields.text("stun.type", format!("{method} {class}").as_bytes());
    }
    while r.remaining() >= 4 {
        let (kind, len) = (r.u16()?, usize::from(r.u16()?));
        let value = r.take(len)?;
        r.take_up_to(len.next_multiple_of(4) - len);
        attribute(kind, value, &id, fields);
    }
    Some(())
}

fn attribute(kind: u16, value: &[u8], id: &[u8; 12], fields: &mut Fields) {
    let mut text = |path, limit| {
        if !value.is_empty() && value.len() < limit {
            fields.text(path, value);
        }
    };
    match kind {
        0x0001 => tell("stun.mappedIp", "stun.mappedPort", address(value, None), fields),
        0x0020 | 0x8020 => tell("stun.xorMappedIp", "stun.xorMappedPort", address(value, Some(id)), fields),
        0x0016 => tell("stun.xorRelayedIp", "stun.xorRelayedPort", address(value, Some(id)), fields),
        0x0006 => text("stun.username", 513),
        0x8022 => text("stun.software", 763),
        0x0014 => text("stun.realm", 763),
        0x0009 => {
            if let Some(&[class, number]) = value.get(2..4) {
                fields.number("stun.error", i64::from(class) * 100 + i64::from(number));
            }
        }
        0x0025 => fields.text("stun.attributes", b"use-candidate"),
        0x8028 => fields.text("stun.attributes", b"fingerprint"),
        0x8029 => fields.text("stun.attributes", b"ice-controlled"),
        0x802a => fields.text("stun.attributes", b"ice-controlling"),
        _ => {}
    }
}

fn tell(ip: &'static str, port: &'static str, found: Option<(IpAddr, u16)>, fields: &mut Fields) {
    if let Some((addr, number)) = found {
        fields.number(port, i64::from(number));
        fields.ip(ip, addr);
    }
}

/// §14.1 and §14.2; with the transaction's `id`, the address is veiled by cookie and id.
fn address(value: &[u8], id: Option<&[u8; 12]>) -> Option<(IpAddr, u16)> {
    let mut r = Reader::new(value);
    r.skip(1)?;
    let (family, port) = (r.u8()?, r.u16()?);
    let mut veil = [0; 16];
    if let Some(id) = id {
        veil.iter_mut().zip(COOKIE.iter().chain(id)).for_each(|(slot, byte)| *slot = *byte);
    }
    let port = port ^ u16::from_be_bytes([veil[0], veil[1]]);
    let unveil = |octets: &mut [u8]| octets.iter_mut().zip(veil).for_each(|(octet, byte)| *octet ^= byte);
    let addr = match family {
        1 => {
            let mut octets = r.array::<4>()?;
            unveil(&mut octets);
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        2 => {
            let mut octets = r.array::<16>()?;
            unveil(&mut octets);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some((addr, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_veiled_address_of_rfc_5769_is_read() {
        // RFC 5769 §2.2.
        let value = [0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let id = *b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae";
        assert_eq!(address(&value, Some(&id)), Some((IpAddr::from([192, 0, 2, 1]), 32_853)));
    }
}
