//! DNP3 link frames (IEEE 1815 §9).
//!
//! ```text
//! 05 64, length, control, destination (2), source (2), CRC (2)      length counts from control on, without CRCs
//! transport (1) and application bytes: blocks of up to 16, each with its CRC (2)
//! ```

use std::borrow::Cow;

use crate::Reader;

/// Bytes of the header with its CRC.
const HEADER: usize = 10;

/// What the length counts of the header.
const COUNTED: usize = 5;

/// Bytes between CRCs.
const BLOCK: usize = 16;

/// What stands at the start of bytes.
pub(super) enum Read<'a> {
    NeedMore,
    Frame(Frame<'a>),
    Bad(Oddity),
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    Magic,
    HeaderChecksum,
    BodyChecksum,
    Length,
}

/// A link frame.
pub(super) struct Frame<'a> {
    /// Bytes that it takes.
    pub(super) len: usize,
    pub(super) control: u8,
    /// Blocks of transport and application bytes, with their CRCs.
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Read<'a> {
        let mut reader = Reader::new(bytes);
        let Some(header) = reader.take(HEADER) else {
            return if b"\x05\x64".starts_with(bytes.get(..2).unwrap_or(bytes)) { Read::NeedMore } else { Read::Bad(Oddity::Magic) };
        };
        let ([m0, m1, length, control, ..], Some(&sum)) = (header.first_chunk::<8>().copied().unwrap_or_default(), header.last_chunk())
        else {
            return Read::NeedMore;
        };
        if [m0, m1] != [5, 0x64] {
            return Read::Bad(Oddity::Magic);
        }
        if crc(header.get(..8).unwrap_or_default()) != sum {
            return Read::Bad(Oddity::HeaderChecksum);
        }
        let Some(plain) = usize::from(length).checked_sub(COUNTED) else { return Read::Bad(Oddity::Length) };
        let Some(body) = reader.take(plain.saturating_add(plain.div_ceil(BLOCK).saturating_mul(2))) else { return Read::NeedMore };
        if body.chunks(BLOCK.saturating_add(2)).any(|block| block.split_last_chunk::<2>().is_none_or(|(data, sum)| crc(data) != *sum)) {
            return Read::Bad(Oddity::BodyChecksum);
        }
        Read::Frame(Frame { len: reader.position(), control, body })
    }

    /// The transport byte, if there is one.
    pub(super) fn transport(&self) -> Option<u8> {
        self.body.first().copied()
    }

    /// Application bytes.
    pub(super) fn application(&self) -> impl Iterator<Item = u8> + use<'a> {
        let blocks = self.body.chunks(BLOCK.saturating_add(2));
        blocks.filter_map(|block| block.split_last_chunk::<2>()).flat_map(|(data, _)| data.iter().copied()).skip(1)
    }
}

/// CRC-16/DNP, low byte first.
fn crc(bytes: &[u8]) -> [u8; 2] {
    let sum = bytes
        .iter()
        .fold(0u16, |sum, &byte| (0..8).fold(sum ^ u16::from(byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xa6bc } else { sum >> 1 }));
    (!sum).to_le_bytes()
}

/// Names of function codes (scripts/base/protocols/dnp3/consts.zeek).
pub(super) fn function(code: u8) -> Cow<'static, str> {
    const REQUESTS: [&str; 34] = [
        "CONFIRM",
        "READ",
        "WRITE",
        "SELECT",
        "OPERATE",
        "DIRECT_OPERATE",
        "DIRECT_OPERATE_NR",
        "IMMED_FREEZE",
        "IMMED_FREEZE_NR",
        "FREEZE_CLEAR",
        "FREEZE_CLEAR_NR",
        "FREEZE_AT_TIME",
        "FREEZE_AT_TIME_NR",
        "COLD_RESTART",
        "WARM_RESTART",
        "INITIALIZE_DATA",
        "INITIALIZE_APPL",
        "START_APPL",
        "STOP_APPL",
        "SAVE_CONFIG",
        "ENABLE_UNSOLICITED",
        "DISABLE_UNSOLICITED",
        "ASSIGN_CLASS",
        "DELAY_MEASURE",
        "RECORD_CURRENT_TIME",
        "OPEN_FILE",
        "CLOSE_FILE",
        "DELETE_FILE",
        "GET_FILE_INFO",
        "AUTHENTICATE_FILE",
        "ABORT_FILE",
        "ACTIVATE_CONFIG",
        "AUTHENTICATE_REQ",
        "AUTHENTICATE_REQ_NR",
    ];
    match (code, REQUESTS.get(usize::from(code))) {
        (_, Some(name)) => Cow::Borrowed(name),
        (0x81, _) => Cow::Borrowed("RESPONSE"),
        (0x82, _) => Cow::Borrowed("UNSOLICITED_RESPONSE"),
        (0x83, _) => Cow::Borrowed("AUTHENTICATE_RESPONSE"),
        _ => Cow::Owned(format!("unknown-{code}")),
    }
}
