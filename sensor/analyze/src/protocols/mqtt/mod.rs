//! MQTT: connections, messages and subscriptions, each with how it was answered.
//!
//! Non-goals: the properties of version 5, which are skipped.

mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;

use crate::{Analyzer, Beginning, Direction, Interval, Match, Output, Protocol, Step, Time, Transport};
use wire::{Head, Packet, Receipt};

pub use record::{CONNECT_LOG, Connect, PUBLISH_LOG, Publish, SUBSCRIBE_LOG, Subscribe};

/// MQTT (OASIS).
pub static MQTT: Protocol =
    Protocol { name: "mqtt", label: "MQTT", tcp: &[1883], udp: &[], recognises, analyzer: |_| Box::<Session>::default() };

/// Bytes of a packet; the standard allows 256 MiB.
const MAX_PACKET: usize = 1 << 20;

/// Bytes of a message that are logged (Zeek's `MQTT::max_payload_size`).
const MAX_PAYLOAD: usize = 100;

/// Messages and subscriptions that wait for their answers; above this the oldest is given up.
const MAX_WAITING: usize = 1000;

/// How long they wait (scripts/base/protocols/mqtt/main.zeek).
const PATIENCE: Interval = Interval::from_secs(5);

/// The protocol's name in the first packet (scripts/base/protocols/mqtt/dpd.sig).
fn recognises(beginning: &Beginning<'_>) -> Match {
    if beginning.transport != Transport::Tcp {
        return Match::No;
    }
    let names = |bytes: &[u8]| (4..=7).any(|at| bytes.get(at..at + 2) == Some(b"MQ"));
    if names(beginning.orig) {
        Match::Yes
    } else if beginning.orig.len() < 9 {
        Match::Maybe
    } else {
        Match::No
    }
}

#[derive(Default)]
struct Session {
    version: u8,
    connect: Option<Box<Connect>>,
    published: BTreeMap<u16, Published>,
    subscribed: BTreeMap<u16, (Time, Subscribe)>,
}

struct Published {
    row: Publish,
    qos: u8,
    received: bool,
    released: bool,
}

impl Analyzer for Session {
    fn advance(&mut self, from: Direction, bytes: &[u8], out: &mut Output<'_>) -> Step {
        let (first, start, len) = match wire::head(bytes) {
            Head::NeedMore => return Step::NeedMore,
            Head::Bad => return Step::Violation("malformed MQTT length"),
            Head::Whole(_, _, len) if len > MAX_PACKET => return Step::Violation("MQTT packet too long"),
            Head::Whole(first, start, len) => (first, start, len),
        };
        let end = start.saturating_add(len);
        let Some(body) = bytes.get(start..end) else { return Step::NeedMore };
        let Some(packet) = wire::packet(first, body, self.version) else { return Step::Violation("malformed MQTT packet") };
        self.expire(out);
        self.packet(from, packet, out);
        Step::Consumed(end)
    }

    fn finish(&mut self, out: &mut Output<'_>) {
        self.expire(out);
    }
}

impl Session {
    fn connect(&mut self, out: &Output<'_>) -> &mut Connect {
        self.connect.get_or_insert_with(|| {
            Box::new(Connect {
                at: out.at,
                id: out.id,
                proto_name: None,
                proto_version: None,
                client_id: None,
                connect_status: None,
                will_topic: None,
                will_payload: None,
            })
        })
    }

    /// Writes what has waited too long.
    fn expire(&mut self, out: &mut Output<'_>) {
        let late = |at: Time| out.at.since(at) >= PATIENCE;
        let mut rows: Vec<Publish> = self.published.extract_if(.., |_, p| late(p.row.at)).map(|(_, p)| p.row).collect();
        if self.published.len() >= MAX_WAITING {
            rows.extend(self.published.pop_first().map(|(_, p)| p.row));
        }
        let mut subscribed: Vec<Subscribe> = self.subscribed.extract_if(.., |_, (at, _)| late(*at)).map(|(_, (_, row))| row).collect();
        if self.subscribed.len() >= MAX_WAITING {
            subscribed.extend(self.subscribed.pop_first().map(|(_, (_, row))| row));
        }
        rows.into_iter().for_each(|row| out.record(row));
        subscribed.into_iter().for_each(|row| out.record(row));
    }

    fn packet(&mut self, from: Direction, packet: Packet<'_>, out: &mut Output<'_>) {
        match packet {
            Packet::Connect(connect) => {
                self.version = connect.version;
                let row = self.connect(out);
                row.proto_name = Some(connect.protocol.to_vec());
                row.proto_version = Some(wire::version_name(connect.version));
                row.client_id = Some(connect.client.to_vec());
                if let Some((topic, payload)) = connect.will {
                    row.will_topic = Some(topic.to_vec());
                    row.will_payload = Some(payload.to_vec());
                }
            }
            Packet::ConnectAck(code) => {
                out.confirm();
                let row = self.connect(out);
                row.connect_status = Some(wire::return_code(code));
                let row = row.clone();
                out.record(row);
            }
            Packet::Publish(publish) => self.publish(from, &publish, out),
            Packet::Receipt(receipt, id) => self.receipt(receipt, id, out),
            Packet::Subscribe(id, topics) => {
                let levels = topics.iter().map(|(_, level)| u64::from(*level)).collect();
                let topics = topics.iter().map(|(topic, _)| topic.to_vec()).collect();
                self.subscribe(id, "MQTT::SUBSCRIBE", topics, Some(levels), out);
            }
            Packet::Unsubscribe(id, topics) => {
                let topics = topics.iter().map(|topic| topic.to_vec()).collect();
                self.subscribe(id, "MQTT::UNSUBSCRIBE", topics, None, out);
            }
            Packet::SubscribeAck(id, level) => self.acknowledge(id, Some(u64::from(level)), out),
            Packet::UnsubscribeAck(id) => self.acknowledge(id, None, out),
            Packet::Other => {}
        }
    }

    fn publish(&mut self, from: Direction, publish: &wire::Publish<'_>, out: &mut Output<'_>) {
        let row = Publish {
            at: out.at,
            id: out.id,
            from_client: from.is_orig(),
            retain: publish.retain,
            qos: wire::qos_name(publish.qos),
            status: if publish.qos == 0 { "ok" } else { "incomplete_qos" },
            topic: publish.topic.to_vec(),
            payload: publish.payload.get(..MAX_PAYLOAD).unwrap_or(publish.payload).to_vec(),
            payload_len: publish.payload.len() as u64,
        };
        if publish.qos == 0 {
            return out.record(row);
        }
        self.published.insert(publish.id, Published { row, qos: publish.qos, received: false, released: false });
    }

    fn receipt(&mut self, receipt: Receipt, id: u16, out: &mut Output<'_>) {
        let Some(published) = self.published.get_mut(&id) else { return };
        let done = match receipt {
            Receipt::Ack => published.qos == 1,
            Receipt::Received => {
                published.received = true;
                false
            }
            Receipt::Release => {
                published.released = true;
                false
            }
            Receipt::Complete => published.qos == 2 && published.received && published.released,
        };
        if done && let Some(published) = self.published.remove(&id) {
            out.record(Publish { status: "ok", ..published.row });
        }
    }

    fn subscribe(&mut self, id: u16, action: &'static str, topics: Vec<Vec<u8>>, levels: Option<Vec<u64>>, out: &Output<'_>) {
        let row = Subscribe { at: out.at, id: out.id, action, topics, qos_levels: levels, granted_qos_level: None, ack: false };
        self.subscribed.insert(id, (out.at, row));
    }

    fn acknowledge(&mut self, id: u16, level: Option<u64>, out: &mut Output<'_>) {
        if let Some((_, row)) = self.subscribed.remove(&id) {
            out.record(Subscribe { granted_qos_level: level, ack: true, ..row });
        }
    }
}
