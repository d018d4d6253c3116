//! NetBIOS names over UDP (RFC 1002 §4.2).

use std::net::IpAddr;

use super::{Parser, pieces};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;

/// A record of addresses.
const NB: u16 = 0x20;
const NBSTAT: u16 = 0x21;

/// Arkime reads the datagram by which it knows the protocol, and no other.
pub(in super::super) fn nbns(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        let _ = message(data, fields);
        false
    })
}

fn message(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    r.skip(2)?;
    let is_query = r.u16()? & 0x8000 == 0;
    let (questions, answers) = (r.u16()?, r.u16()?);
    r.skip(2)?;
    let additional = r.u16()?;
    for _ in 0..questions {
        let name = name(&mut r)?;
        match r.u16()? {
            NB => fields.text("nbns.queryType", b"NB"),
            NBSTAT => fields.text("nbns.queryType", b"NBSTAT"),
            _ => {}
        }
        r.skip(2)?;
        if !name.is_empty() {
            fields.text("nbns.name", &name);
            if is_query {
                fields.text("nbns.queryHost", &name);
            }
        }
    }
    for _ in 0..u32::from(answers) + u32::from(additional) {
        let is_pointer = r.peek()? & 0xc0 == 0xc0;
        let name = if is_pointer { r.take(2).map(|_| Vec::new())? } else { name(&mut r)? };
        let kind = r.u16()?;
        r.skip(6)?;
        let len = r.u16()?;
        let mut rest = r.sub(usize::from(len))?;
        if !name.is_empty() {
            fields.text("nbns.name", &name);
            fields.text("nbns.host", &name);
        }
        while kind == NB && rest.remaining() >= 6 {
            rest.skip(2)?;
            fields.ip("nbns.ip", IpAddr::from(rest.array::<4>()?));
        }
    }
    Some(())
}

/// A name of 16 bytes, each as two letters; what follows the first space is padding, and the last byte its kind.
fn name(r: &mut Reader<'_>) -> Option<Vec<u8>> {
    if r.u8()? != 0x20 {
        return None;
    }
    let mut name = Vec::new();
    let mut is_over = false;
    for pair in r.take(32)?.chunks(2).take(15) {
        let [high @ b'A'..=b'P', low @ b'A'..=b'P'] = *pair else { return None };
        let byte = (high - b'A') << 4 | (low - b'A');
        is_over |= byte == b' ';
        if !is_over && (0x20..0x7f).contains(&byte) {
            name.push(byte);
        }
    }
    loop {
        match r.u8()? {
            0 => return Some(name),
            len => r.skip(usize::from(len))?,
        }
    }
}
