//! BACnet/IP (ASHRAE 135): building automation.

use super::{Parser, pieces};
use crate::Reader;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;

/// Functions of the virtual link (annex J.2).
const FUNCTIONS: [&str; 13] = [
    "result",
    "write-bdt",
    "read-bdt",
    "read-bdt-ack",
    "forwarded-npdu",
    "register-foreign-device",
    "read-fdt",
    "read-fdt-ack",
    "delete-fdt-entry",
    "distribute-broadcast",
    "original-unicast",
    "original-broadcast",
    "secured-bvll",
];
const TYPES: [&str; 8] =
    ["confirmed-request", "unconfirmed-request", "simple-ack", "complex-ack", "segment-ack", "error", "reject", "abort"];
/// Clause 21, `BACnetConfirmedServiceChoice`.
const CONFIRMED: [&str; 30] = [
    "acknowledge-alarm",
    "confirmed-cov-notification",
    "confirmed-event-notification",
    "get-alarm-summary",
    "get-enrollment-summary",
    "subscribe-cov",
    "atomic-read-file",
    "atomic-write-file",
    "add-list-element",
    "remove-list-element",
    "create-object",
    "delete-object",
    "read-property",
    "read-property-conditional",
    "read-property-multiple",
    "write-property",
    "write-property-multiple",
    "device-communication-control",
    "confirmed-private-transfer",
    "confirmed-text-message",
    "reinitialize-device",
    "vt-open",
    "vt-close",
    "vt-data",
    "authenticate",
    "request-key",
    "read-range",
    "life-safety-operation",
    "subscribe-cov-property",
    "get-event-information",
];
/// Clause 21, `BACnetUnconfirmedServiceChoice`.
const UNCONFIRMED: [&str; 10] = [
    "i-am",
    "i-have",
    "unconfirmed-cov-notification",
    "unconfirmed-event-notification",
    "unconfirmed-private-transfer",
    "unconfirmed-text-message",
    "time-synchronization",
    "who-has",
    "who-is",
    "utc-time-synchronization",
];
/// Type of the link header over IPv4.
const OVER_IPV4: u8 = 0x81;
const FORWARDED: u8 = 4;

pub(in super::super) fn bacnet(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        let _ = message(data, fields);
        true
    })
}

fn message(data: &[u8], fields: &mut Fields) -> Option<()> {
    let mut r = Reader::new(data);
    let (kind, function, len) = (r.u8()?, r.u8()?, usize::from(r.u16()?));
    if !matches!(kind, 0x81 | 0x82) || len < 4 || len > data.len() {
        return None;
    }
    fields.text("bacnet.function", FUNCTIONS.get(usize::from(function))?.as_bytes());
    match function {
        FORWARDED => r.skip(if kind == OVER_IPV4 { 6 } else { 18 })?,
        9..=11 => {}
        _ => return None,
    }
    // Clause 6.2: version 1, and what else there is before the message.
    let (version, control) = (r.u8()?, r.u8()?);
    if version != 1 {
        return None;
    }
    for part in [0x20, 0x08] {
        if control & part != 0 {
            r.skip(2)?;
            let len = r.u8()?;
            r.skip(usize::from(len))?;
        }
    }
    if control & 0x20 != 0 {
        r.skip(1)?;
    }
    if control & 0x80 != 0 {
        return None;
    }
    let first = r.u8()?;
    fields.text("bacnet.apduType", TYPES.get(usize::from(first >> 4))?.as_bytes());
    let is_segmented = first & 8 != 0;
    match first >> 4 {
        0 => {
            r.skip(if is_segmented { 4 } else { 2 })?;
            let service = usize::from(r.u8()?);
            fields.text("bacnet.service", CONFIRMED.get(service)?.as_bytes());
        }
        1 => {
            let service = usize::from(r.u8()?);
            fields.text("bacnet.service", UNCONFIRMED.get(service)?.as_bytes());
            if matches!(service, 0 | 1 | 7) {
                object_name(r, fields);
            }
        }
        3 => {
            r.skip(if is_segmented { 3 } else { 1 })?;
            if matches!(r.u8()?, 12 | 14) {
                object_name(r, fields);
            }
        }
        _ => {}
    }
    Some(())
}

/// Finds the first character string: a tag of the application's number 7, or of context 7 (clause 20.2.9).
fn object_name(mut r: Reader<'_>, fields: &mut Fields) -> Option<()> {
    while r.remaining() >= 3 {
        let tag = r.u8()?;
        if !matches!(tag & 0xf8, 0x70 | 0x38) {
            continue;
        }
        let len = match tag & 7 {
            5 => match r.u8()? {
                254 => usize::from(r.u16()?),
                255 => r.u32()? as usize,
                len => usize::from(len),
            },
            len @ 0..=4 => usize::from(len),
            _ => continue,
        };
        let text = r.take(len)?.get(1..)?;
        if !text.is_empty() {
            fields.text("bacnet.objectName", text);
        }
        return Some(());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_and_i_have_tell_the_objects_name() {
        let mut fields = Fields::default();
        let data = b"\x81\x0b\x00\x11\x01\x00\x10\x07\x3d\x08\x00SYNERGY";
        let mut data = data.to_vec();
        data[3] = u8::try_from(data.len()).unwrap();
        message(&data, &mut fields).unwrap();
        for (path, value) in [
            ("bacnet.function", "original-broadcast"),
            ("bacnet.apduType", "unconfirmed-request"),
            ("bacnet.service", "who-has"),
            ("bacnet.objectName", "SYNERGY"),
        ] {
            assert_eq!(fields.texts(path), [value], "{path}");
        }
    }

    #[test]
    fn any_part_of_a_message_is_read_without_harm() {
        let data = b"\x81\x04\x00\x1c\x0a\x00\x00\x01\xba\xc0\x01\x28\x00\x01\x02\xaa\xbb\x00\x01\x00\xff\x30\x01\x0c\x75\x03\x00ab";
        for len in 0..data.len() {
            let _ = message(&data[..len], &mut Fields::default());
        }
    }
}
