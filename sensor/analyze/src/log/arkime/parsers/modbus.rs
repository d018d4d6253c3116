//! Modbus over TCP.

use super::{Frame, KEPT, Parser};
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;
use crate::{Direction, Pair, Reader};

const PORT: u16 = 502;

/// Who has the port is asked, although the session may have begun with an answer.
pub(in super::super) fn modbus(beginning: &Beginning<'_>) -> Box<dyn Parser> {
    let is_reversed = beginning.ports.orig == PORT && beginning.ports.resp != PORT;
    let client = if is_reversed { Direction::Responder } else { Direction::Originator };
    Box::new(Modbus { client, kept: Pair::default(), pieces: Pair::default() })
}

struct Modbus {
    client: Direction,
    kept: Pair<Vec<u8>>,
    /// Pieces that have come of each side: unit and protocol are told of the first alone.
    pieces: Pair<u64>,
}

impl Parser for Modbus {
    fn read(&mut self, from: Direction, data: &[u8], fields: &mut Fields) -> bool {
        *self.pieces.of_mut(from) += 1;
        let is_first = *self.pieces.of(from) == 1;
        let kept = self.kept.of_mut(from);
        kept.extend_from_slice(data);
        loop {
            match length(kept) {
                Frame::Open => return kept.len() <= KEPT,
                Frame::Broken => return false,
                Frame::Whole(len) => {
                    let Some(unit) = kept.get(..len) else { return true };
                    let _ = message(from == self.client, unit, is_first, fields);
                    kept.drain(..len);
                }
            }
        }
    }
}

fn length(data: &[u8]) -> Frame {
    let Some(&[_, _, protocol, of, high, low, _]) = data.first_chunk() else { return Frame::Open };
    match (u16::from_be_bytes([protocol, of]), u16::from_be_bytes([high, low])) {
        (0, len @ 2..=255) => Frame::Whole(6 + usize::from(len)),
        _ => Frame::Broken,
    }
}

fn message(is_request: bool, data: &[u8], is_first: bool, fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    let transaction = r.u16()?;
    r.skip(4)?;
    let (unit, mut function) = (r.u8()?, r.u8()?);
    if !is_request && function & 0x80 != 0 {
        function &= 0x7f;
        fields.number("modbus.exccode", i64::from(r.u8()?));
    }
    if is_request {
        fields.number("modbus.transactionid", i64::from(transaction));
        fields.number("modbus.funccode", i64::from(function));
    }
    if is_first {
        fields.set_number("modbus.unitid", i64::from(unit));
        fields.set_number("modbus.protocolid", 0);
    }
    Some(())
}
