//! Made-up connections for tests: bytes in, log lines out.

use std::net::{IpAddr, Ipv4Addr};

use crate::log::{Format, Profile, Row};
use crate::packet::checksum;
use crate::{Frame, Link, Options, Sensor, Time};

/// One line of a log, as JSON wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) log: &'static str,
    fields: Vec<(String, String)>,
}

impl Line {
    /// The value of a column; `-` if it is unset.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|(key, _)| key == name).map_or("-", |(_, value)| value)
    }
}

/// A connection between a client and a server.
pub(crate) struct Conversation {
    port: u16,
    segment: usize,
    pieces: Vec<(bool, Vec<u8>)>,
}

impl Conversation {
    /// A TCP connection to `port`, with handshake and orderly end.
    pub(crate) fn tcp(port: u16) -> Self {
        Self { port, segment: 1460, pieces: Vec::new() }
    }

    /// Sends segments of at most `bytes`.
    pub(crate) fn split(mut self, bytes: usize) -> Self {
        self.segment = bytes;
        self
    }

    /// Adds messages, each from the client (`true`) or the server.
    pub(crate) fn exchange(mut self, messages: &[(bool, &[u8])]) -> Self {
        self.pieces.extend(messages.iter().map(|(from, bytes)| (*from, bytes.to_vec())));
        self
    }

    /// All log lines but the times and uids.
    pub(crate) fn run(&self) -> Vec<Line> {
        let mut sensor = Sensor::new(Options::default());
        let mut sender = Sender::new(&mut sensor, self.port);
        sender.segment(true, 0x02, &[]);
        sender.segment(false, 0x12, &[]);
        sender.segment(true, 0x10, &[]);
        for (from, bytes) in &self.pieces {
            for piece in bytes.chunks(self.segment) {
                sender.segment(*from, 0x18, piece);
            }
        }
        sender.segment(true, 0x11, &[]);
        sender.segment(false, 0x11, &[]);
        sender.segment(true, 0x10, &[]);
        sensor.finish();
        let batch = sensor.take();
        batch
            .records
            .iter()
            .map(|record| {
                let mut tsv = Vec::new();
                Row::write(record.as_ref(), Format::Tsv, Profile::Stock, &mut tsv);
                let text = String::from_utf8(tsv).unwrap();
                let columns = record.log().columns.iter().filter(|c| c.profile == Profile::Stock);
                let varies = |name: &str| {
                    matches!(name, "ts" | "uid" | "duration" | "rtt")
                        || name.ends_with("pkts")
                        || name.ends_with("ip_bytes")
                        || name.contains("fuid")
                };
                let fields = columns
                    .zip(text.trim_end_matches('\n').split('\t'))
                    .filter(|(column, _)| !varies(column.name))
                    .map(|(column, value)| (column.name.to_owned(), value.to_owned()))
                    .collect();
                Line { log: record.log().path, fields }
            })
            .collect()
    }
}

/// Sends the segments of one connection.
pub(crate) struct Sender<'s> {
    sensor: &'s mut Sensor,
    port: u16,
    seq: [u32; 2],
    at: i64,
    /// Whether checksums are right.
    pub(crate) is_sound: bool,
}

impl<'s> Sender<'s> {
    pub(crate) fn new(sensor: &'s mut Sensor, port: u16) -> Self {
        Self { sensor, port, seq: [1000, 5000], at: 1_700_000_000_000_000, is_sound: true }
    }

    /// Lets time pass before the next segment.
    pub(crate) fn wait(&mut self, secs: i64) {
        self.at += secs * 1_000_000;
    }

    /// Bytes that are sent and not seen.
    pub(crate) fn lose(&mut self, from_client: bool, bytes: u32) {
        self.seq[usize::from(!from_client)] += bytes;
    }

    pub(crate) fn segment(&mut self, from_client: bool, flags: u8, data: &[u8]) {
        let (own, peer) = if from_client { (0, 1) } else { (1, 0) };
        let (sport, dport) = if from_client { (40000, self.port) } else { (self.port, 40000) };
        let mut tcp = Vec::new();
        tcp.extend_from_slice(&sport.to_be_bytes());
        tcp.extend_from_slice(&dport.to_be_bytes());
        tcp.extend_from_slice(&self.seq[own].to_be_bytes());
        tcp.extend_from_slice(&if flags & 0x10 != 0 { self.seq[peer] } else { 0 }.to_be_bytes());
        tcp.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend_from_slice(data);
        self.seq[own] += data.len() as u32 + u32::from(flags & 0x03 != 0);
        self.packet(from_client, tcp);
    }

    fn packet(&mut self, from_client: bool, mut payload: Vec<u8>) {
        let (client, server) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(93, 184, 216, 34));
        let (src, dst) = if from_client { (client, server) } else { (server, client) };
        let sum = fold(checksum::sum(&payload, checksum::pseudo(IpAddr::V4(src), IpAddr::V4(dst), 6, payload.len())));
        let sum = if self.is_sound { !sum } else { sum };
        payload[16..18].copy_from_slice(&sum.to_be_bytes());
        let mut ip = vec![0x45, 0];
        ip.extend_from_slice(&(20 + payload.len() as u16).to_be_bytes());
        ip.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
        ip.extend_from_slice(&src.octets());
        ip.extend_from_slice(&dst.octets());
        let sum = fold(checksum::sum(&ip, 0));
        ip[10..12].copy_from_slice(&(!sum).to_be_bytes());
        ip.extend_from_slice(&payload);
        self.at += 1000;
        let frame =
            Frame { at: Time::from_micros(self.at), wire_len: ip.len() as u32, data: &ip, interface: 0, link: Link::RAW, position: None };
        self.sensor.frame(&frame);
    }
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
