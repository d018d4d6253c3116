//! MQTT 3.1, 3.1.1 and 5.0.

use super::Parser;
use crate::log::Fields;
use crate::log::arkime::classify::Beginning;
use crate::{Direction, Pair, Reader};

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

/// Bytes of one packet that are read.
const MAX_PACKET: usize = 8192;

pub(in super::super) fn mqtt(_: &Beginning<'_>) -> Box<dyn Parser> {
    Box::<Mqtt>::default()
}

#[derive(Default)]
struct Mqtt {
    kept: Pair<Vec<u8>>,
    /// As the client said when it connected.
    version: u8,
}

impl Parser for Mqtt {
    fn read(&mut self, from: Direction, data: &[u8], fields: &mut Fields) -> bool {
        let mut kept = std::mem::take(self.kept.of_mut(from));
        kept.extend_from_slice(data);
        let mut r = Reader::new(&kept);
        loop {
            let mut look = Reader::new(r.rest());
            let (Some(first), Some(len)) = (look.u8(), variable(&mut look)) else { break };
            fields.text("mqtt.type", TYPES.get(usize::from(first >> 4)).map_or(&[][..], |name| name.as_bytes()));
            if len > MAX_PACKET {
                fields.tag("mqtt:message-too-long");
                return false;
            }
            let Some(body) = look.take(len) else { break };
            let _ = self.packet(first, &mut Reader::new(body), fields);
            r.skip(look.position());
        }
        let read = r.position();
        kept.drain(..read);
        *self.kept.of_mut(from) = kept;
        true
    }
}

impl Mqtt {
    fn packet(&mut self, first: u8, body: &mut Reader<'_>, fields: &mut Fields) -> Option<()> {
        match first >> 4 {
            1 => {
                self.version = connect(body, fields)?;
                Some(())
            }
            3 => publish(body, first, fields),
            kind @ (8 | 10) => topics(body, self.version, kind == 8, fields),
            _ => None,
        }
    }
}

fn connect(r: &mut Reader<'_>, fields: &mut Fields) -> Option<u8> {
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
    let _ = connect_payload(r, version, flags, fields);
    Some(version)
}

fn connect_payload(r: &mut Reader<'_>, version: u8, flags: u8, fields: &mut Fields) -> Option<()> {
    let has_will = flags & 0x04 != 0;
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

/// Topics of SUBSCRIBE, each with options, and of UNSUBSCRIBE.
fn topics(r: &mut Reader<'_>, version: u8, has_options: bool, fields: &mut Fields) -> Option<()> {
    r.skip(2)?;
    if version == 5 {
        let len = variable(r)?;
        r.skip(len)?;
    }
    while r.remaining() > 2 {
        some("mqtt.topic", text(r)?, fields);
        r.skip(usize::from(has_options))?;
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
        let (mut mqtt, mut fields) = (Mqtt::default(), Fields::default());
        let body = b"\x00\x04MQTT\x04\xee\x00\x3c\x00\x01c\x00\x01w\x00\x01m\x00\x02Me\x00\x01p";
        let data = [&[0x10, u8::try_from(body.len()).unwrap()][..], body].concat();
        for piece in data.chunks(5) {
            assert!(mqtt.read(Direction::Originator, piece, &mut fields));
        }
        assert_eq!(fields.texts("mqtt.clientId"), ["c"]);
        assert_eq!(fields.texts("mqtt.willTopic"), ["w"]);
        assert_eq!(fields.texts("user"), ["me"]);
        assert_eq!(fields.texts("mqtt.flags"), ["hasWill", "willRetain", "cleanSession", "hasPassword"]);
    }
}
