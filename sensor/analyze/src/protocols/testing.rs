//! Drives analyzers in tests: conversations split anywhere, and captures through the engine.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::app::{App, Scene};
use crate::log::{Format, Profile, Record, Row};
use crate::output::Sink;
use crate::{Direction, Endpoint, FlowId, FlowNotes, Frame, Link, Options, Protocol, Sensor, Time, Transport};

/// Bytes of one side.
pub(crate) type Said<'a> = (Direction, &'a [u8]);

/// Short for [`Direction::Originator`].
pub(crate) const ORIG: Direction = Direction::Originator;
/// Short for [`Direction::Responder`].
pub(crate) const RESP: Direction = Direction::Responder;

/// Rows that a conversation leaves, each as `log<TAB>row`, and at the end `services<TAB>names`. The bytes of each side
/// of a TCP stream arrive in pieces of `piece`.
pub(crate) fn converse(protocol: &'static Protocol, transport: Transport, port: u16, said: &[Said<'_>], piece: usize) -> Vec<String> {
    let mut sink = Sink::new(Options { profile: Profile::Malcolm, ..Options::default() });
    let end = |last: u8, port| Endpoint { addr: IpAddr::from([10, 0, 0, last]), port };
    let id = FlowId { uid: sink.uids.flow(), orig: end(1, 40_000), resp: end(2, port), transport };
    let mut notes = FlowNotes::default();
    let mut app = App::only(protocol, &id);
    let mut at = Time::default();
    for (i, (from, bytes)) in said.iter().enumerate() {
        at = Time::from_secs(i64::try_from(i).unwrap());
        let mut scene = Scene { at, id, notes: &mut notes, sink: &mut sink };
        if transport == Transport::Udp {
            app.datagram(&mut scene, *from, bytes);
        } else {
            bytes.chunks(piece).for_each(|piece| app.stream(&mut scene, *from, piece));
        }
    }
    let mut scene = Scene { at, id, notes: &mut notes, sink: &mut sink };
    app.end(&mut scene, ORIG);
    app.end(&mut scene, RESP);
    app.finish(&mut scene);
    let mut rows = rows(&sink.records, Profile::Malcolm);
    rows.push(format!("services\t{}", notes.services.join(",")));
    rows
}

/// A conversation gives the same rows however it is split, and no prefix of it panics.
pub(crate) fn any_split_gives_the_same_rows(protocol: &'static Protocol, port: u16, said: &[Said<'_>]) -> Vec<String> {
    let whole = converse(protocol, Transport::Tcp, port, said, usize::MAX);
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(converse(protocol, Transport::Tcp, port, said, piece), whole, "pieces of {piece}");
    }
    every_truncation_is_survived(protocol, Transport::Tcp, port, said);
    whole
}

/// No prefix of any message panics.
pub(crate) fn every_truncation_is_survived(protocol: &'static Protocol, transport: Transport, port: u16, said: &[Said<'_>]) {
    for (i, (from, bytes)) in said.iter().enumerate() {
        for len in (0..bytes.len()).step_by(1 + bytes.len() / 512) {
            let mut cut = said[..i].to_vec();
            cut.push((*from, &bytes[..len]));
            cut.extend(said.get(i + 1..).unwrap_or_default());
            converse(protocol, transport, port, &cut, usize::MAX);
        }
    }
}

/// Rows of a capture, as `log<TAB>row`.
#[allow(dead_code, reason = "golden captures come with the protocols that have some")]
pub(crate) fn capture(file: &[u8], profile: Profile) -> Vec<String> {
    rows(&records(file, profile, true), profile)
}

fn records(file: &[u8], profile: Profile, checksums: bool) -> Vec<Box<dyn Record>> {
    let mut sensor = Sensor::new(Options { profile, checksums, ..Options::default() });
    for (at, link, data) in frames(file) {
        let wire_len = u32::try_from(data.len()).unwrap();
        sensor.frame(&Frame { at, wire_len, data: &data, interface: 0, link: Link(u16::try_from(link).unwrap()), position: None });
    }
    sensor.finish();
    sensor.take().records
}

fn rows(records: &[Box<dyn Record>], profile: Profile) -> Vec<String> {
    let mut rows = Vec::new();
    for record in records {
        let mut row = format!("{}\t", record.log().path).into_bytes();
        Row::write(&**record, Format::Tsv, profile, &mut row);
        rows.push(String::from_utf8_lossy(&row).trim_end_matches('\n').to_owned());
    }
    rows
}

/// Frames of a PCAP or PCAPNG file with time and link type.
fn frames(file: &[u8]) -> Vec<(Time, u32, Vec<u8>)> {
    let mut all = Vec::new();
    let magic = u32::from_le_bytes(file[..4].try_into().unwrap());
    if magic == 0x0a0d_0d0a {
        let mut at = 0;
        let mut links = Vec::new();
        let word = |i: usize| u32::from_le_bytes(file[i..i + 4].try_into().unwrap());
        while at + 12 <= file.len() {
            let len = word(at + 4) as usize;
            match word(at) {
                1 => {
                    let mut unit = 1_000i64;
                    let mut option = at + 16;
                    while option + 4 < at + len - 4 {
                        let (code, size) = (word(option) & 0xffff, (word(option) >> 16) as usize);
                        if code == 9 {
                            unit = 10i64.pow(9 - u32::from(file[option + 4]));
                        }
                        if code == 0 {
                            break;
                        }
                        option += 4 + size.div_ceil(4) * 4;
                    }
                    links.push((word(at + 8) & 0xffff, unit));
                }
                6 => {
                    let (link, unit) = links[word(at + 8) as usize];
                    let ticks = (i64::from(word(at + 12)) << 32) | i64::from(word(at + 16));
                    all.push((Time(ticks * unit), link, file[at + 28..at + 28 + word(at + 20) as usize].to_vec()));
                }
                _ => {}
            }
            at += len;
        }
        return all;
    }
    let swapped = matches!(magic, 0xd4c3_b2a1 | 0x4d3c_b2a1);
    let unit = if matches!(magic, 0xa1b2_3c4d | 0x4d3c_b2a1) { 1 } else { 1000 };
    let word = |i: usize| {
        let raw: [u8; 4] = file[i..i + 4].try_into().unwrap();
        if swapped { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) }
    };
    let mut at = 24;
    while at + 16 <= file.len() {
        let len = word(at + 8) as usize;
        let Some(data) = file.get(at + 16..at + 16 + len) else { break };
        all.push((Time(i64::from(word(at)) * 1_000_000_000 + i64::from(word(at + 4)) * unit), word(20) & 0xffff, data.to_vec()));
        at += 16 + len;
    }
    all
}

/// `CAPTURE=file OUT=dir cargo test -p analyze dump_a_capture -- --ignored` writes the logs of a capture.
#[test]
#[ignore = "a tool, not a test"]
fn dump_a_capture() {
    let (Ok(path), Ok(out)) = (std::env::var("CAPTURE"), std::env::var("OUT")) else { return };
    let profile = if std::env::var("MALCOLM").is_ok() { Profile::Malcolm } else { Profile::Stock };
    let mut logs: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for record in records(&std::fs::read(&path).unwrap(), profile, std::env::var("NO_CHECKSUMS").is_err()) {
        let log = record.log();
        let text = logs.entry(log.path).or_insert_with(|| crate::log::header(log, profile, "2026-01-01-00-00-00").into_bytes());
        Row::write(&*record, Format::Tsv, profile, text);
    }
    for (name, text) in logs {
        std::fs::write(format!("{out}/{name}.log"), text).unwrap();
    }
}
