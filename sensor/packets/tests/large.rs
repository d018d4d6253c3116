//! A store as large as a disk: what it takes to find a needle in it.
//!
//! The captures are sparse, the indices are real: each block of 256 KiB has the keys of 60 flows, and sessions of 40 packets
//! fill what the blocks would hold. The times are told and not asserted; `TENREC_LARGE_GB=100 cargo test --release -p packets
//! --test large -- --nocapture` measures what a release does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic")]

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use analyze::Time;
use packets::{
    Filter, Name, Question, Search, Store,
    index::{Indexer, Place, SessionPlaces, Writer, path_of, session_hash},
    record::{FILE_HEADER, file_header, record_header},
};

const BLOCK: u64 = 256 << 10;
const FILE: u64 = 4 << 30;
const FLOWS: u32 = 60;
/// Sessions whose last packets lie in one block.
const SESSIONS: u64 = 6;
const START: i64 = 1_700_000_000;

fn frame(from: u32, port: u16) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
    frame.extend(from.to_be_bytes());
    frame.extend([10, 1, (from % 7) as u8, (from % 50) as u8]);
    frame.extend(port.to_be_bytes());
    frame.extend([1, 187]);
    frame.resize(54, 0);
    frame
}

fn put(records: &mut Vec<u8>, at: Time, frame: &[u8]) {
    records.extend(record_header(at, frame.len() as u32, frame.len() as u32));
    records.extend(frame);
}

/// The id of the session that ends in a block.
fn id(block: u64, n: u64) -> String {
    format!("231114-{block:020}{n:04}")
}

/// Writes the store; returns the bytes of its indices.
fn write(folder: &Path, bytes: u64, needle: u64) -> u64 {
    let (mut indexer, mut index_bytes) = (Indexer::default(), 0);
    let blocks_of_file = FILE / BLOCK;
    for number in 0..bytes / FILE {
        let first = Time::from_secs(START + number as i64 * 100);
        let name = Name { interface: "eth1".to_owned(), first, number: number as u32 + 1, lz4: false };
        let path = folder.join(name.file_name());
        let file = File::create(&path).unwrap();
        file.write_all_at(&file_header(0), 0).unwrap();
        file.set_len(FILE_HEADER as u64 + FILE).unwrap();
        let mut index = Writer::create(&path_of(&path)).unwrap();
        let mut entries = Vec::new();
        for block in 0..blocks_of_file {
            let global = number * blocks_of_file + block;
            let mut records = Vec::new();
            let at = Time(first.0 + (block as i64 * 100_000_000_000) / blocks_of_file as i64);
            for flow in 0..FLOWS {
                // Hosts and ports that come back, and some that do not.
                let from = 0x0a00_0000 | (global as u32).wrapping_mul(2_654_435_761).wrapping_add(flow * 40_503) & 0xffff;
                put(&mut records, at, &frame(from, 1024 + (global as u32 * FLOWS + flow) as u16 % 60_000));
            }
            if global == needle {
                put(&mut records, at, &frame(u32::from_be_bytes([192, 0, 2, 7]), 4242));
                file.write_all_at(&records, FILE_HEADER as u64 + block * BLOCK).unwrap();
            }
            let offset = FILE_HEADER as u64 + block * BLOCK;
            let place = Place { offset, length: BLOCK as u32, disk_offset: offset, disk_length: BLOCK as u32 };
            indexer.block(place, &records, &mut entries).unwrap();
            let sessions: Vec<_> = (0..SESSIONS)
                .map(|n| {
                    let last = if global == needle && n == 0 { 1 } else { 40 };
                    let offsets = (0..last).map(|packet| offset + packet * 70).collect();
                    SessionPlaces { id: session_hash(&id(global, n)), root: None, others: Vec::new(), offsets }
                })
                .collect();
            SessionPlaces::entries(&sessions, &mut entries);
            if entries.len() > 1 << 20 || block + 1 == blocks_of_file {
                index.append(&entries).unwrap();
                entries.clear();
            }
        }
        index_bytes += index.bytes();
    }
    index_bytes
}

fn count(mut search: Search) -> (u64, u64, u64) {
    let mut packets = 0;
    while search.packet().is_some() {
        packets += 1;
    }
    (packets, search.looked().bytes, search.looked().index_bytes)
}

fn tell(what: &str, took: Duration, more: &str) {
    let _ = writeln!(io::stderr(), "{what}: {:.3} s{more}", took.as_secs_f64());
}

#[test]
fn a_needle_is_found_in_a_store_as_large_as_a_disk() {
    let gigabytes: u64 = std::env::var("TENREC_LARGE_GB").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let bytes = (gigabytes << 30).next_multiple_of(FILE);
    let folder = tempfile::tempdir().unwrap();
    let needle = bytes / BLOCK / 3;
    let index_bytes = write(folder.path(), bytes, needle);
    let permille = index_bytes as f64 * 1000.0 / bytes as f64;
    let _ = writeln!(io::stderr(), "{gigabytes} GB of captures, {index_bytes} bytes of indices ({permille:.2} per mille)");

    let ask = |filter: &str, from: Option<i64>, to: Option<i64>| {
        let (from, to) = (from.map(Time::from_secs), to.map(Time::from_secs));
        Store::open(folder.path()).unwrap().search(Question { filter: Filter::compile(filter).unwrap(), from, to })
    };
    for (what, filter, from, to, wanted) in [
        ("a host", "host 192.0.2.7", None, None, 1),
        ("a host and a port", "tcp and host 192.0.2.7 and port 4242", None, None, 1),
        ("a host that never was", "host 192.0.2.8", None, None, 0),
        ("a host within 100 seconds", "host 192.0.2.8", Some(START), Some(START + 100), 0),
    ] {
        let started = Instant::now();
        let (packets, read, index) = count(ask(filter, from, to));
        tell(what, started.elapsed(), &format!(", {read} bytes of packets and {index} of indices read"));
        assert_eq!(packets, wanted, "{filter}");
        assert!(read < bytes / 100, "{filter}: {read}");
    }
    let started = Instant::now();
    let store = Store::open(folder.path()).unwrap();
    let places = store.session(&id(needle, 0)).unwrap().unwrap();
    let (packets, ..) = count(store.packets(places));
    tell("a session by its id", started.elapsed(), "");
    assert_eq!(packets, 1);
    let started = Instant::now();
    assert!(store.session("231114-unknown").unwrap().is_none());
    tell("a session that is not there", started.elapsed(), "");
    fs::remove_dir_all(folder.path()).unwrap();
}
