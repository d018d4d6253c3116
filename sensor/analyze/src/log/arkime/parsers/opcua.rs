//! OPC UA over TCP (IEC 62541-6): the server's address, how it is secured, and the client's certificate.

use super::{Frame, Parser, frames_within};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;
use crate::protocols::x509::arkime as x509;

const MAX_MESSAGE: usize = 32_768;
const MAX_TEXT: usize = 4096;
const MAX_CERTIFICATE: usize = 16 * 1024;
const HEADER: usize = 8;

pub(in super::super) fn opcua(_: &Beginning<'_>) -> Box<dyn Parser> {
    frames_within(
        MAX_MESSAGE,
        |data| match *data {
            [b'H' | b'A' | b'E' | b'R' | b'O' | b'C' | b'M', _, _, b'F' | b'C' | b'A', a, b, c, d, ..] => {
                match u32::from_le_bytes([a, b, c, d]) as usize {
                    len @ HEADER.. => Frame::Whole(len),
                    _ => Frame::Broken,
                }
            }
            _ if data.len() < HEADER => Frame::Open,
            _ => Frame::Broken,
        },
        |_, data, fields| {
            let _ = match data.get(..4) {
                Some(b"HELF") => hello(data, fields),
                Some(b"OPNF") => open(data, fields),
                _ => None,
            };
            true
        },
    )
}

/// Part 6 §7.1.2.3: five numbers, then the address.
fn hello(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    r.skip(HEADER + 20)?;
    let len = r.u32_le()? as usize;
    if (1..=MAX_TEXT).contains(&len) {
        fields.text("opcua.endpointUrl", r.take(len)?);
    }
    Some(())
}

/// Part 6 §6.7.2.3: the channel, then policy and certificate, of which -1 bytes are none.
fn open(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    r.skip(HEADER + 4)?;
    let len = r.u32_le()?.cast_signed();
    if let Ok(len @ 1..) = usize::try_from(len) {
        fields.text("opcua.securityPolicyUri", r.take(len).filter(|text| text.len() <= MAX_TEXT)?);
    }
    let len = usize::try_from(r.u32_le()?.cast_signed()).ok()?;
    let certificate = r.take(len).filter(|octets| (1..=MAX_CERTIFICATE).contains(&octets.len()))?;
    x509::tell(certificate, fields);
    Some(())
}
