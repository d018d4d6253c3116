//! MQTT control packets (MQTT 3.1.1 §2, §3; MQTT 5.0 adds properties).

use std::borrow::Cow;

use crate::Reader;

/// The version that has properties.
pub(super) const VERSION_5: u8 = 5;

/// Topics of one packet.
const MAX_TOPICS: usize = 1000;

/// A control packet.
pub(super) enum Packet<'a> {
    Connect(Connect<'a>),
    ConnectAck(u8),
    Publish(Publish<'a>),
    /// `PUBACK`, `PUBREC`, `PUBREL` or `PUBCOMP`.
    Receipt(Receipt, u16),
    Subscribe(u16, Vec<(&'a [u8], u8)>),
    SubscribeAck(u16, u8),
    Unsubscribe(u16, Vec<&'a [u8]>),
    UnsubscribeAck(u16),
    /// Pings, `DISCONNECT` and `AUTH`.
    Other,
}

/// Steps of the delivery of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receipt {
    Ack,
    Received,
    Release,
    Complete,
}

/// A `CONNECT`.
pub(super) struct Connect<'a> {
    pub(super) protocol: &'a [u8],
    pub(super) version: u8,
    pub(super) client: &'a [u8],
    /// Topic and message of the last will.
    pub(super) will: Option<(&'a [u8], &'a [u8])>,
}

/// A `PUBLISH`.
pub(super) struct Publish<'a> {
    pub(super) retain: bool,
    pub(super) qos: u8,
    pub(super) id: u16,
    pub(super) topic: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// Where a packet's body starts and how long it is.
pub(super) enum Head {
    NeedMore,
    Bad,
    /// The first byte, bytes of the head, bytes of the body.
    Whole(u8, usize, usize),
}

/// Reads the first byte and the length, of which each byte has seven bits.
pub(super) fn head(bytes: &[u8]) -> Head {
    let Some((&first, rest)) = bytes.split_first() else { return Head::NeedMore };
    let mut len = 0usize;
    for (i, &byte) in rest.iter().take(4).enumerate() {
        len |= usize::from(byte & 0x7f) << (i * 7);
        if byte & 0x80 == 0 {
            return Head::Whole(first, i.saturating_add(2), len);
        }
    }
    if rest.len() >= 4 { Head::Bad } else { Head::NeedMore }
}

/// Reads a packet's body; `None` if it is malformed.
pub(super) fn packet(first: u8, body: &[u8], version: u8) -> Option<Packet<'_>> {
    let mut reader = Reader::new(body);
    let flags = first & 0xf;
    Some(match first >> 4 {
        1 => Packet::Connect(connect(&mut reader)?),
        2 => {
            reader.u8()?;
            Packet::ConnectAck(reader.u8()?)
        }
        3 => {
            let qos = flags >> 1 & 3;
            let topic = string(&mut reader)?;
            let id = if qos > 0 { reader.u16()? } else { 0 };
            properties(&mut reader, version)?;
            Packet::Publish(Publish { retain: flags & 1 != 0, qos, id, topic, payload: reader.rest() })
        }
        4 => Packet::Receipt(Receipt::Ack, reader.u16()?),
        5 => Packet::Receipt(Receipt::Received, reader.u16()?),
        6 => Packet::Receipt(Receipt::Release, reader.u16()?),
        7 => Packet::Receipt(Receipt::Complete, reader.u16()?),
        8 => {
            let id = reader.u16()?;
            properties(&mut reader, version)?;
            let mut topics = Vec::new();
            while !reader.is_empty() && topics.len() < MAX_TOPICS {
                topics.push((string(&mut reader)?, reader.u8()? & 3));
            }
            Packet::Subscribe(id, topics)
        }
        9 => {
            let id = reader.u16()?;
            properties(&mut reader, version)?;
            Packet::SubscribeAck(id, reader.u8()?)
        }
        10 => {
            let id = reader.u16()?;
            properties(&mut reader, version)?;
            let mut topics = Vec::new();
            while !reader.is_empty() && topics.len() < MAX_TOPICS {
                topics.push(string(&mut reader)?);
            }
            Packet::Unsubscribe(id, topics)
        }
        11 => Packet::UnsubscribeAck(reader.u16()?),
        12..=14 => Packet::Other,
        15 if version == VERSION_5 => Packet::Other,
        _ => return None,
    })
}

fn connect<'a>(reader: &mut Reader<'a>) -> Option<Connect<'a>> {
    let protocol = string(reader)?;
    let version = reader.u8()?;
    let flags = reader.u8()?;
    // Keep alive.
    reader.skip(2)?;
    properties(reader, version)?;
    let client = string(reader)?;
    let will = if flags & 4 != 0 {
        properties(reader, version)?;
        Some((string(reader)?, string(reader)?))
    } else {
        None
    };
    Some(Connect { protocol, version, client, will })
}

fn string<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = reader.u16()?;
    reader.take(usize::from(len))
}

/// Skips the properties that version 5 has.
fn properties(reader: &mut Reader<'_>, version: u8) -> Option<()> {
    if version != VERSION_5 {
        return Some(());
    }
    let mut len = 0usize;
    for i in 0..4 {
        let byte = reader.u8()?;
        len |= usize::from(byte & 0x7f) << (i * 7);
        if byte & 0x80 == 0 {
            return reader.skip(len);
        }
    }
    None
}

/// Names as Zeek prints them (scripts/base/protocols/mqtt/consts.zeek).
pub(super) fn version_name(version: u8) -> Cow<'static, str> {
    match version {
        3 => Cow::Borrowed("3.1"),
        4 => Cow::Borrowed("3.1.1"),
        5 => Cow::Borrowed("5.0"),
        _ => Cow::Owned(format!("unknown-version-{version}")),
    }
}

pub(super) fn qos_name(level: u8) -> Cow<'static, str> {
    match level {
        0 => Cow::Borrowed("at most once"),
        1 => Cow::Borrowed("at least once"),
        2 => Cow::Borrowed("exactly once"),
        _ => Cow::Owned(format!("unknown-qos-level-{level}")),
    }
}

pub(super) fn return_code(code: u8) -> Cow<'static, str> {
    Cow::Borrowed(match code {
        0 => "Connection Accepted",
        1 => "Refused: unacceptable protocol version",
        2 => "Refused: identifier rejected",
        3 => "Refused: server unavailable",
        4 => "Refused: bad user name or password",
        5 => "Refused: not authorized",
        _ => return Cow::Owned(format!("unknown-return-code-{code}")),
    })
}
