//! EtherNet/IP and the Common Industrial Protocol within (ODVA, volumes 1 and 2).

use super::{Frame, Parser, frames, pieces};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;

const HEADER: usize = 24;
const LIST_IDENTITY: u16 = 0x63;
/// Data of a connection begin with a number.
const CONNECTED: u16 = 0xb1;
const UNCONNECTED: u16 = 0xb2;
const IDENTITY: u16 = 0x0c;

pub(in super::super) fn enip_stream(_: &Beginning<'_>) -> Box<dyn Parser> {
    frames(length, |_, data, fields| {
        let _ = message(data, fields);
        true
    })
}

pub(in super::super) fn enip_datagram(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        let _ = message(data, fields);
        true
    })
}

/// Whether a beginning is a header with a command that there is.
pub(in super::super) fn is_enip(data: &[u8]) -> bool {
    matches!(length(data), Frame::Whole(_))
}

fn length(data: &[u8]) -> Frame {
    match *data {
        [a, b, c, d, ..] if data.len() >= HEADER => match command(u16::from_le_bytes([a, b])) {
            Some(_) => Frame::Whole(HEADER + usize::from(u16::from_le_bytes([c, d]))),
            None => Frame::Broken,
        },
        _ => Frame::Open,
    }
}

fn message(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    let (code, len) = (r.u16_le()?, r.u16_le()?);
    r.skip(4)?;
    let status = r.u32_le()?;
    r.skip(12)?;
    if let Some(name) = command(code) {
        fields.text("enip.command", name.as_bytes());
    }
    fields.number("enip.status", i64::from(status.cast_signed()));
    let mut body = r.sub(usize::from(len)).filter(|body| !body.is_empty())?;
    match code {
        LIST_IDENTITY if status == 0 => items(&mut body, 8, fields),
        0x6f | 0x70 => {
            body.skip(6)?;
            items(&mut body, 16, fields)
        }
        _ => None,
    }
}

/// The common packet format (volume 2 §2-6).
fn items(r: &mut Reader<'_>, limit: u16, fields: &mut Fields) -> Option<()> {
    let count = r.u16_le().filter(|count| *count <= limit)?;
    for _ in 0..count {
        let (kind, len) = (r.u16_le()?, r.u16_le()?);
        let mut item = r.sub(usize::from(len))?;
        let _ = match kind {
            IDENTITY => identity(&mut item, fields),
            CONNECTED => item.skip(2).and_then(|()| service(&mut item, fields)),
            UNCONNECTED => service(&mut item, fields),
            _ => None,
        };
    }
    Some(())
}

fn identity(r: &mut Reader<'_>, fields: &mut Fields) -> Option<()> {
    r.skip(18)?;
    let (vendor, device) = (r.u16_le()?, r.u16_le()?);
    r.skip(10)?;
    let len = r.u8()?;
    let name = vendor_name(vendor).map_or_else(|| format!("Vendor-{vendor}"), ToOwned::to_owned);
    fields.text("enip.vendor", name.as_bytes());
    fields.text("enip.deviceType", format!("DeviceType-0x{device:04x}").as_bytes());
    let product = r.take(usize::from(len))?;
    if !product.is_empty() {
        fields.text("enip.product", product);
    }
    Some(())
}

fn service(r: &mut Reader<'_>, fields: &mut Fields) -> Option<()> {
    let code = r.u8()?;
    fields.protocol("cip");
    let name = service_name(code & 0x7f);
    if code & 0x80 != 0 {
        fields.text("enip.service", name.unwrap_or("Reply").as_bytes());
        return Some(());
    }
    match name {
        Some(name) => fields.text("enip.service", name.as_bytes()),
        None => fields.text("enip.service", format!("Service-0x{code:02x}").as_bytes()),
    }
    let words = r.u8()?;
    let class = class(Reader::new(r.take_up_to(usize::from(words) * 2)))?;
    match class_name(class) {
        Some(name) => fields.text("enip.class", name.as_bytes()),
        None => fields.text("enip.class", format!("Class-0x{class:02x}").as_bytes()),
    }
    Some(())
}

/// The class that a path leads to (volume 1, appendix C): its first logical segment of that kind.
fn class(mut r: Reader<'_>) -> Option<u32> {
    loop {
        let segment = r.u8()?;
        match segment & 0xe0 {
            0x20 => {
                let is_class = segment & 0x1c == 0;
                let value = match segment & 3 {
                    0 => u32::from(r.u8()?),
                    1 => r.skip(1).and_then(|()| r.u16_le()).map(u32::from)?,
                    2 => r.skip(1).and_then(|()| r.u32_le())?,
                    _ => return None,
                };
                if is_class {
                    return Some(value);
                }
            }
            0x80 => {
                let len = usize::from(r.u8()?);
                r.skip(len.next_multiple_of(2))?;
            }
            0x00 => {
                if segment & 0xf == 0xf {
                    r.skip(2)?;
                }
                let len = if segment & 0x10 != 0 { usize::from(r.u8()?).next_multiple_of(2) } else { 1 };
                r.skip(len)?;
            }
            _ => return None,
        }
    }
}

const fn command(code: u16) -> Option<&'static str> {
    Some(match code {
        0x00 => "NOP",
        0x04 => "ListServices",
        LIST_IDENTITY => "ListIdentity",
        0x64 => "ListInterfaces",
        0x65 => "RegisterSession",
        0x66 => "UnRegisterSession",
        0x6f => "SendRRData",
        0x70 => "SendUnitData",
        0x72 => "IndicateStatus",
        0x73 => "Cancel",
        _ => return None,
    })
}

const fn service_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0x01 => "Get_Attributes_All",
        0x02 => "Set_Attributes_All",
        0x03 => "Get_Attribute_List",
        0x04 => "Set_Attribute_List",
        0x05 => "Reset",
        0x06 => "Start",
        0x07 => "Stop",
        0x08 => "Create",
        0x09 => "Delete",
        0x0a => "Multiple_Service_Packet",
        0x0d => "Apply_Attributes",
        0x0e => "Get_Attribute_Single",
        0x10 => "Set_Attribute_Single",
        0x11 => "Find_Next_Object_Instance",
        0x14 => "Error_Response",
        0x15 => "Restore",
        0x16 => "Save",
        0x17 => "NoOp",
        0x18 => "Get_Member",
        0x19 => "Set_Member",
        0x1a => "Insert_Member",
        0x1b => "Remove_Member",
        0x1c => "GroupSync",
        0x4b => "Execute_PCCC",
        0x4c => "Read_Tag",
        0x4d => "Write_Tag",
        0x4e => "Forward_Close",
        0x52 => "Read_Tag_Fragmented",
        0x53 => "Write_Tag_Fragmented",
        0x54 => "Forward_Open",
        0x55 => "Get_Connection_Owner",
        0x5b => "Large_Forward_Open",
        _ => return None,
    })
}

const fn class_name(class: u32) -> Option<&'static str> {
    Some(match class {
        0x01 => "Identity",
        0x02 => "Message Router",
        0x03 => "DeviceNet",
        0x04 => "Assembly",
        0x05 => "Connection",
        0x06 => "Connection Manager",
        0x07 => "Register",
        0x08 => "Discrete Input Point",
        0x09 => "Discrete Output Point",
        0x0a => "Analog Input Point",
        0x0b => "Analog Output Point",
        0x0e => "Presence Sensing",
        0x0f => "Parameter",
        0x10 => "Parameter Group",
        0x1d => "Discrete Input Group",
        0x1e => "Discrete Output Group",
        0x1f => "Discrete Group",
        0x20 => "Analog Input Group",
        0x21 => "Analog Output Group",
        0x22 => "Analog Group",
        0x23 => "Position Sensor",
        0x24 => "Position Controller Supervisor",
        0x25 => "Position Controller",
        0x26 => "Block Sequencer",
        0x27 => "Command Block",
        0x28 => "Motor Data",
        0x29 => "Control Supervisor",
        0x2a => "AC/DC Drive",
        0x2b => "Acknowledge Handler",
        0x2c => "Overload",
        0x2d => "Softstart",
        0x2e => "Selection",
        0x30 => "S-Device Supervisor",
        0x31 => "S-Analog Sensor",
        0x32 => "S-Analog Actuator",
        0x33 => "S-Single Stage Controller",
        0x34 => "S-Gas Calibration",
        0x35 => "Trip Point",
        0x37 => "File",
        0x38 => "S-Partial Pressure",
        0x39 => "Safety Supervisor",
        0x3a => "Safety Validator",
        0x3b => "Safety Discrete Output Point",
        0x3c => "Safety Discrete Output Group",
        0x3d => "Safety Discrete Input Point",
        0x3e => "Safety Discrete Input Group",
        0x3f => "Safety Dual Channel Output",
        0x40 => "S-Sensor Calibration",
        0x41 => "Event Log",
        0x42 => "Motion Device Axis",
        0x43 => "Time Sync",
        0x44 => "Modbus",
        0xf0 => "ControlNet",
        0xf1 => "ControlNet Keeper",
        0xf2 => "ControlNet Scheduling",
        0xf3 => "Connection Configuration",
        0xf4 => "Port",
        0xf5 => "TCP/IP Interface",
        0xf6 => "EtherNet Link",
        0xf7 => "CompoNet",
        0xf8 => "CompoNet Repeater",
        _ => return None,
    })
}

const fn vendor_name(vendor: u16) -> Option<&'static str> {
    Some(match vendor {
        0x001 => "Rockwell Automation/Allen-Bradley",
        0x002 => "Namco Controls Corp.",
        0x005 => "Schneider Electric",
        0x00c => "Festo",
        0x017 => "OMRON",
        0x01a => "Hitachi",
        0x02a => "Mitsubishi Electric",
        0x031 => "Siemens",
        0x036 => "Bosch Rexroth",
        0x04d => "Lenze",
        0x05a => "Beckhoff",
        0x064 => "Yaskawa",
        0x090 => "Pilz",
        0x100 => "Phoenix Contact",
        0x11b => "WAGO",
        0x12e => "Rockwell Automation",
        _ => return None,
    })
}
