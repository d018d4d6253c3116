//! Modbus over TCP.

use super::{Frame, KEPT, Parser};
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;
use crate::{Direction, Pair, Reader};

pub(in super::super) fn modbus(_: &Beginning<'_>) -> Box<dyn Parser> {
    Box::<Modbus>::default()
}

#[derive(Default)]
struct Modbus {
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
                    let _ = message(from, unit, is_first, fields);
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

fn message(from: Direction, data: &[u8], is_first: bool, fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    let transaction = r.u16()?;
    r.skip(4)?;
    let (unit, mut function) = (r.u8()?, r.u8()?);
    if !from.is_orig() && function & 0x80 != 0 {
        function &= 0x7f;
        fields.number("modbus.exccode", i64::from(r.u8()?));
    }
    if from.is_orig() {
        fields.number("modbus.transactionid", i64::from(transaction));
        fields.number("modbus.funccode", i64::from(function));
    }
    if is_first {
        fields.set_number("modbus.unitid", i64::from(unit));
        fields.set_number("modbus.protocolid", 0);
    }
    Some(())
}
