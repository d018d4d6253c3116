//! DNP3 (IEEE 1815): addresses and functions.

use super::{Frame, Parser, frames, pieces};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;

/// Bytes before the user's data, checksum included.
const HEADER: usize = 10;

pub(in super::super) fn dnp3_stream(_: &Beginning<'_>) -> Box<dyn Parser> {
    frames(length, |_, data, fields| {
        let _ = message(data, fields);
        true
    })
}

pub(in super::super) fn dnp3_datagram(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        if let Frame::Whole(len) = length(data)
            && len <= data.len()
        {
            let _ = message(data, fields);
        }
        true
    })
}

/// Blocks of 16 bytes have a checksum each. What is no beginning of a frame is passed over, as far as the next one.
fn length(data: &[u8]) -> Frame {
    if data.len() < HEADER {
        return Frame::Open;
    }
    match *data {
        [0x05, 0x64, len, ..] if len >= 5 => {
            let user = usize::from(len) - 5;
            Frame::Whole(HEADER + user + user.div_ceil(16) * 2)
        }
        [0x05, 0x64, ..] => Frame::Whole(2),
        _ => {
            let next = data.get(1..).and_then(|rest| memchr::memmem::find(rest, &[0x05, 0x64]));
            Frame::Whole(next.map_or(data.len() - 1, |next| next + 1))
        }
    }
}

fn message(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    if r.take(2)? != [0x05, 0x64] {
        return None;
    }
    r.skip(2)?;
    let (dst, src) = (r.u16_le()?, r.u16_le()?);
    fields.number("dnp3.src", i64::from(src));
    fields.number("dnp3.dst", i64::from(dst));
    // Checksum, transport, control.
    r.skip(4)?;
    let function = r.u8()?;
    fields.number("dnp3.func", i64::from(function));
    fields.text("dnp3.funcName", name(function)?.as_bytes());
    Some(())
}

/// IEEE 1815-2012 §4.2.2.5.
const fn name(function: u8) -> Option<&'static str> {
    Some(match function {
        0 => "Confirm",
        1 => "Read",
        2 => "Write",
        3 => "Select",
        4 => "Operate",
        5 => "DirectOperate",
        6 => "DirectOperateNoAck",
        7 => "ImmediateFreeze",
        8 => "ImmediateFreezeNoAck",
        9 => "FreezeClear",
        10 => "FreezeClearNoAck",
        11 => "FreezeAtTime",
        12 => "FreezeAtTimeNoAck",
        13 => "ColdRestart",
        14 => "WarmRestart",
        15 => "InitializeData",
        16 => "InitializeApplication",
        17 => "StartApplication",
        18 => "StopApplication",
        19 => "SaveConfiguration",
        20 => "EnableUnsolicited",
        21 => "DisableUnsolicited",
        22 => "AssignClass",
        23 => "DelayMeasure",
        24 => "RecordCurrentTime",
        25 => "OpenFile",
        26 => "CloseFile",
        27 => "DeleteFile",
        28 => "GetFileInfo",
        29 => "AuthenticateFile",
        30 => "AbortFile",
        31 => "ActivateConfig",
        32 => "AuthenticateRequest",
        33 => "AuthenticateError",
        129 => "Response",
        130 => "UnsolicitedResponse",
        131 => "AuthenticateResponse",
        _ => return None,
    })
}
