//! RADIUS (RFC 2865): who was let in, where.

use std::net::{IpAddr, Ipv4Addr};

use super::{Parser, pieces};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;

pub(in super::super) fn radius(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        let _ = message(data, fields);
        true
    })
}

fn message(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    if let Some(kind) = kind(r.u8()?) {
        fields.text("radius.msgType", kind.as_bytes());
    }
    r.skip(19)?;
    while r.remaining() > 2 {
        let (kind, len) = (r.u8()?, r.u8()?);
        let value = r.take(usize::from(len).checked_sub(2)?)?;
        let address = || <[u8; 4]>::try_from(value).ok().map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
        match kind {
            1 => fields.bare("radius.user", value),
            4 => address().into_iter().for_each(|addr| fields.ip("radius.nasIp", addr)),
            5 => {
                if let Ok(port) = value.try_into() {
                    fields.number("radius.nasPort", i64::from(u32::from_be_bytes(port)));
                }
            }
            8 => address().into_iter().for_each(|addr| fields.ip("radius.framedIp", addr)),
            // The station's hardware address, when it is written without marks.
            31 if value.len() == 12 => {
                let pairs: Vec<_> = value.chunks(2).map(<[u8]>::to_ascii_lowercase).collect();
                fields.text("radius.mac", &pairs.join(&b':'));
            }
            66 => {
                if let Some(addr) = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()) {
                    fields.ip("radius.endpointIp", addr);
                }
            }
            _ => {}
        }
    }
    Some(())
}

/// RFC 2865 §3, RFC 2866 §3, RFC 5176 §2.3.
const fn kind(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "access-request",
        2 => "access-accept",
        3 => "access-reject",
        4 => "accounting-request",
        5 => "accounting-response",
        11 => "access-challenge",
        12 => "status-server",
        13 => "status-client",
        40 => "disconnect-request",
        41 => "disconnect-ack",
        42 => "disconnect-nak",
        43 => "coa-request",
        44 => "coa-ack",
        45 => "coa-nak",
        _ => return None,
    })
}
