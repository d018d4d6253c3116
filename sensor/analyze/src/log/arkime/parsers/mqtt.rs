//! MQTT 3.1, 3.1.1 and 5.0.

use super::{Parser, pieces};
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;
use crate::Reader;

const TYPES: [&str; 16] = [
    "Reserved",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];

/// Packets are read as far as a piece of the stream holds them whole, as Arkime does.
pub(in super::super) fn mqtt(_: &Beginning<'_>) -> Box<dyn Parser> {
    pieces(|_, data, fields| {
        let mut r = Reader::new(data);
        while packet(&mut r, fields).is_some() {}
        true
    })
}

fn packet(r: &mut Reader<'_>, fields: &mut Fields) -> Option<()> {
    let first = r.u8()?;
    let len = variable(r)?;
    let mut body = r.sub(len)?;
    fields.text("mqtt.type", TYPES.get(usize::from(first >> 4))?.as_bytes());
    let _ = match first >> 4 {
        1 => connect(&mut body, fields),
        3 => publish(&mut body, first, fields),
        8 | 10 => topics(&mut body, fields),
        _ => None,
    };
    Some(())
}

fn connect(r: &mut Reader<'_>, fields: &mut Fields) -> Option<()> {
    if !matches!(text(r)?, b"MQTT" | b"MQIsdp") {
        return None;
    }
    let version = r.u8()?;
    let name = match version {
        3 => "3.1",
        4 => "3.1.1",
        5 => "5.0",
        _ => "unknown",
    };
    fields.text("mqtt.version", name.as_bytes());
    let flags = r.u8()?;
    let has_will = flags & 0x04 != 0;
    if has_will {
        fields.text("mqtt.flags", b"hasWill");
        quality(flags >> 3 & 3, fields);
        if flags & 0x20 != 0 {
            fields.text("mqtt.flags", b"willRetain");
        }
    }
    for (flag, name) in [(0x02, "cleanSession"), (0x40, "hasPassword")] {
        if flags & flag != 0 {
            fields.text("mqtt.flags", name.as_bytes());
        }
    }
    r.skip(2)?;
    let properties = |r: &mut Reader<'_>| if version == 5 { variable(r).and_then(|len| r.skip(len)) } else { Some(()) };
    properties(r)?;
    some("mqtt.clientId", text(r)?, fields);
    if has_will {
        properties(r)?;
        some("mqtt.willTopic", text(r)?, fields);
        text(r)?;
    }
    if flags & 0x80 != 0 {
        let user = text(r)?;
        if !user.is_empty() {
            fields.lower("user", user);
        }
    }
    Some(())
}

fn publish(r: &mut Reader<'_>, first: u8, fields: &mut Fields) -> Option<()> {
    quality(first >> 1 & 3, fields);
    some("mqtt.topic", text(r)?, fields);
    Some(())
}

/// Topics of (UN)SUBSCRIBE: Arkime reads all alike, without the properties of version 5.
fn topics(r: &mut Reader<'_>, fields: &mut Fields) -> Option<()> {
    r.skip(2)?;
    while r.remaining() > 2 {
        some("mqtt.topic", text(r)?, fields);
        r.skip(1)?;
    }
    Some(())
}

fn quality(value: u8, fields: &mut Fields) {
    if value <= 2 {
        fields.number("mqtt.qos", i64::from(value));
    }
}

fn some(path: &'static str, value: &[u8], fields: &mut Fields) {
    if !value.is_empty() {
        fields.text(path, value);
    }
}

fn text<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = r.u16()?;
    r.take(usize::from(len))
}

/// OASIS MQTT 5.0 §1.5.5: seven bits a byte, least significant first, four bytes at most.
fn variable(r: &mut Reader<'_>) -> Option<usize> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let byte = r.u8()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_with_a_will_tells_client_will_and_user() {
        let mut fields = Fields::default();
        let body = b"\x00\x04MQTT\x04\xee\x00\x3c\x00\x01c\x00\x01w\x00\x01m\x00\x02Me\x00\x01p";
        let data = [&[0x10, u8::try_from(body.len()).unwrap()][..], body].concat();
        packet(&mut Reader::new(&data), &mut fields).unwrap();
        assert_eq!(fields.texts("mqtt.clientId"), ["c"]);
        assert_eq!(fields.texts("mqtt.willTopic"), ["w"]);
        assert_eq!(fields.texts("user"), ["me"]);
        assert_eq!(fields.texts("mqtt.flags"), ["hasWill", "willRetain", "cleanSession", "hasPassword"]);
    }
}
