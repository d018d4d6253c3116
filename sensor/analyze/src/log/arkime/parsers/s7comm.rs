//! S7comm and S7comm-plus: what is asked of a Siemens controller, over TPKT (RFC 1006) and COTP (X.224).

use super::{Parser, frames, tpkt};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;

const S7COMM: u8 = 0x32;
const S7COMM_PLUS: u8 = 0x72;
/// COTP: data, and the two halves of a connection's beginning.
const DATA: u8 = 0x0f;
const CONFIRM: u8 = 0x0d;
const REQUEST: u8 = 0x0e;

/// Whether the beginning is one of S7comm: a call that names the ends by their TSAP (a call of RDP does not), or data.
pub(in super::super) fn is_s7comm(data: &[u8]) -> bool {
    let mut r = Reader::new(data);
    let check = |r: &mut Reader<'_>| {
        r.skip(2)?;
        let len = usize::from(r.u16()?);
        let (header, kind) = (usize::from(r.u8()?), r.u8()? >> 4);
        if len < 7 || len > data.len() {
            return None;
        }
        match kind {
            DATA => data.get(5 + header).map(|id| matches!(*id, S7COMM | S7COMM_PLUS)),
            REQUEST | CONFIRM => {
                r.seek(11)?;
                while r.position() < 5 + header {
                    let (code, len) = (r.u8()?, r.u8()?);
                    if matches!(code, 0xc1 | 0xc2) {
                        return Some(true);
                    }
                    r.skip(usize::from(len))?;
                }
                None
            }
            _ => None,
        }
    };
    check(&mut r).unwrap_or(false)
}

pub(in super::super) fn s7comm(_: &Beginning<'_>) -> Box<dyn Parser> {
    frames(tpkt::<4>, |_, data, fields| {
        let _ = packet(data, fields);
        true
    })
}

fn packet(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    r.skip(4)?;
    let (header, kind) = (r.u8()?, r.u8()? >> 4);
    r.skip(usize::from(header).saturating_sub(1))?;
    if kind != DATA {
        return None;
    }
    match r.u8()? {
        S7COMM => {
            fields.protocol("s7comm");
            let kind = r.u8()?;
            fields.number("s7comm.rosctr", i64::from(kind));
            r.skip(2)?;
            fields.number("s7comm.pduref", i64::from(r.u16()?));
            let parameters = r.u16()?;
            r.skip(2)?;
            if matches!(kind, 2 | 3) {
                for path in ["s7comm.errorClass", "s7comm.errorCode"] {
                    let value = r.u8()?;
                    if value != 0 {
                        fields.number(path, i64::from(value));
                    }
                }
            }
            if parameters > 0 {
                let function = r.u8()?;
                fields.number("s7comm.func", i64::from(function));
                fields.text("s7comm.funcName", name(function)?.as_bytes());
            }
        }
        S7COMM_PLUS => {
            fields.protocol("s7comm-plus");
            r.skip(3)?;
            let digest = r.u8()?;
            r.skip(usize::from(digest))?;
            fields.number("s7comm.opcode", i64::from(r.u8()?));
        }
        _ => {}
    }
    Some(())
}

const fn name(function: u8) -> Option<&'static str> {
    Some(match function {
        0x00 | 0xf0 => "Setup communication",
        0x04 => "Read Var",
        0x05 => "Write Var",
        0x1a => "Request download",
        0x1b => "Download block",
        0x1c => "Download ended",
        0x1d => "Start upload",
        0x1e => "Upload",
        0x1f => "End upload",
        0x28 => "PLC Control",
        0x29 => "PLC Stop",
        _ => return None,
    })
}
