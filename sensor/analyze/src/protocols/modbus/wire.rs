//! Modbus over TCP (Modbus Messaging on TCP/IP §3.1).
//!
//! ```text
//! transaction (2), protocol 0 (2), length (2), unit (1), function (1), …      length counts from the unit on
//! ```

use std::borrow::Cow;

use crate::Reader;

/// The bit that makes a function an exception.
pub(super) const EXCEPTION: u8 = 0x80;

/// What stands at the start of bytes.
pub(super) enum Read {
    NeedMore,
    Bad(&'static str),
    Message(Message),
}

/// A message.
pub(super) struct Message {
    pub(super) transaction: u16,
    pub(super) unit: u8,
    pub(super) function: u8,
    /// The byte after the function.
    pub(super) code: Option<u8>,
    /// Bytes that it takes.
    pub(super) len: usize,
}

impl Message {
    pub(super) fn read(bytes: &[u8]) -> Read {
        let mut reader = Reader::new(bytes);
        let (Some(transaction), Some(protocol), Some(len)) = (reader.u16(), reader.u16(), reader.u16()) else { return Read::NeedMore };
        if protocol != 0 {
            return Read::Bad("invalid protocol ID");
        }
        if len < 2 {
            return Read::Bad("invalid modbus header length");
        }
        let Some(mut body) = reader.sub(usize::from(len)) else { return Read::NeedMore };
        let (Some(unit), Some(function)) = (body.u8(), body.u8()) else { return Read::Bad("invalid modbus header length") };
        Read::Message(Self { transaction, unit, function, code: body.u8(), len: reader.position() })
    }
}

/// Name of a function (scripts/base/protocols/modbus/consts.zeek).
pub(super) fn function(code: u8) -> Cow<'static, str> {
    match (name(code), name(code & !EXCEPTION)) {
        (Some(name), _) => Cow::Borrowed(name),
        (None, Some(name)) => Cow::Owned(format!("{name}_EXCEPTION")),
        _ => Cow::Owned(format!("unknown-{code}")),
    }
}

const fn name(code: u8) -> Option<&'static str> {
    Some(match code {
        0x01 => "READ_COILS",
        0x02 => "READ_DISCRETE_INPUTS",
        0x03 => "READ_HOLDING_REGISTERS",
        0x04 => "READ_INPUT_REGISTERS",
        0x05 => "WRITE_SINGLE_COIL",
        0x06 => "WRITE_SINGLE_REGISTER",
        0x07 => "READ_EXCEPTION_STATUS",
        0x08 => "DIAGNOSTICS",
        0x09 => "PROGRAM_484",
        0x0a => "POLL_484",
        0x0b => "GET_COMM_EVENT_COUNTER",
        0x0c => "GET_COMM_EVENT_LOG",
        0x0d => "PROGRAM_584_984",
        0x0e => "POLL_584_984",
        0x0f => "WRITE_MULTIPLE_COILS",
        0x10 => "WRITE_MULTIPLE_REGISTERS",
        0x11 => "REPORT_SLAVE_ID",
        0x12 => "PROGRAM_884_U84",
        0x13 => "RESET_COMM_LINK_884_U84",
        0x14 => "READ_FILE_RECORD",
        0x15 => "WRITE_FILE_RECORD",
        0x16 => "MASK_WRITE_REGISTER",
        0x17 => "READ_WRITE_MULTIPLE_REGISTERS",
        0x18 => "READ_FIFO_QUEUE",
        0x28 => "PROGRAM_CONCEPT",
        0x29 => "MULTIPLE_FUNCTION_CODES",
        0x2b => "ENCAP_INTERFACE_TRANSPORT",
        0x5a => "PROGRAM_UNITY",
        0x5b => "OBJECT_MESSAGING",
        0x7d => "FIRMWARE_REPLACEMENT",
        0x7e => "PROGRAM_584_984_2",
        0x7f => "REPORT_LOCAL_ADDRESS",
        _ => return None,
    })
}

/// Name of an exception.
pub(super) fn exception(code: u8) -> Cow<'static, str> {
    Cow::Borrowed(match code {
        0x01 => "ILLEGAL_FUNCTION",
        0x02 => "ILLEGAL_DATA_ADDRESS",
        0x03 => "ILLEGAL_DATA_VALUE",
        0x04 => "SLAVE_DEVICE_FAILURE",
        0x05 => "ACKNOWLEDGE",
        0x06 => "SLAVE_DEVICE_BUSY",
        0x08 => "MEMORY_PARITY_ERROR",
        0x0a => "GATEWAY_PATH_UNAVAILABLE",
        0x0b => "GATEWAY_TARGET_DEVICE_FAILED_TO_RESPOND",
        _ => return Cow::Owned(format!("unknown-{code}")),
    })
}
