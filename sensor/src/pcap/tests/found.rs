//! What was written is found again: by what is in it, by time, by session; after a crash, and without an index.

use std::{collections::BTreeMap, path::PathBuf};

use packets::{
    Filter, Places, Question, Store,
    index::{SessionPlaces, path_of, session_hash},
};

use super::*;

/// Port of frame `n`: every 500th is special.
fn port(n: u32) -> u16 {
    if n % 500 == 7 { 4242 } else { 1024 + (n % 50) as u16 }
}

/// A UDP packet from 10.0.0.1, to a port of 10.0.0.2, with its number in it.
fn udp(n: u32, data: &mut Vec<u8>) -> Frame<'_> {
    data.clear();
    data.extend([2; 12]);
    data.extend([8, 0, 0x45, 0, 1, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x9c, 0x40]);
    data.extend(port(n).to_be_bytes());
    data.extend([0, 100, 0, 0]);
    data.extend(n.to_be_bytes());
    data.resize(60 + (n as usize * 7919) % 1400, n as u8);
    let Frame { at, interface, link, .. } = frame(n, 0, &mut Vec::new());
    Frame { at, interface, link, wire_len: data.len() as u32, data, position: None }
}

/// Writes so many frames, and says where they were said to be.
fn write_udp(folder: &Path, lz4: bool, frames: u32) -> Vec<Position> {
    let limits = Options { rotate_bytes: 1 << 20, lz4, interfaces: vec!["left".to_owned()], ..options(folder) };
    let (mut feeds, writer) = start(limits, 1).unwrap();
    let mut data = Vec::new();
    let mut positions = Vec::new();
    for n in 0..frames {
        positions.push(feeds[0].frame(&udp(n, &mut data)).unwrap());
        while feeds[0].full.slots() < 4 {
            thread::yield_now();
        }
    }
    drop(feeds);
    writer.finish();
    positions
}

fn question(filter: &str) -> Question {
    Question { filter: Filter::compile(filter).unwrap(), from: None, to: None }
}

/// Numbers of the packets found, and what was looked at.
fn find(folder: &Path, question: Question) -> (Vec<u32>, u64, usize) {
    let mut search = Store::open(folder).unwrap().search(question);
    let numbers = numbers(&mut search);
    assert!(search.looked().failed.is_empty(), "{:?}", search.looked().failed);
    (numbers, search.looked().bytes, search.looked().without_index.len())
}

fn numbers(search: &mut packets::Search) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Some(found) = search.packet() {
        numbers.push(u32::from_be_bytes(found.record.data[42..46].try_into().unwrap()));
    }
    numbers
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    Store::open(folder).unwrap().captures().iter().map(|capture| capture.path.clone()).collect()
}

#[test]
fn packets_are_found_by_what_is_in_them_and_by_time_with_little_read() {
    for lz4 in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        write_udp(folder.path(), lz4, 6000);
        let wanted: Vec<_> = (0..6000).filter(|n| port(*n) == 4242).collect();
        let (all, everything, _) = find(folder.path(), Question::default());
        assert!(all.iter().copied().eq(0..6000));
        assert_eq!(find(folder.path(), question("udp port 4242")).0, wanted);
        let (none, read, _) = find(folder.path(), question("host 10.0.0.3"));
        assert!(none.is_empty() && read == 0, "{read} of {everything}");
        // A second in the middle.
        let at = |n: u32| frame(n, 0, &mut Vec::new()).at;
        let span = Question { from: Some(at(3000)), to: Some(at(3999)), ..question("udp") };
        let (some, read, _) = find(folder.path(), span);
        assert!(some.iter().copied().eq(3000..4000) && read < everything / 2, "{read} of {everything}");
        let index: u64 = captures(folder.path()).iter().map(|path| fs::metadata(path_of(path)).unwrap().len()).sum();
        println!("lz4 {lz4}: an index of {index} bytes for {everything}");
    }
}

#[test]
fn the_index_hides_nothing_that_reading_everything_finds() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Options { rotate_bytes: 1 << 20, interfaces: vec!["left".to_owned()], ..options(folder.path()) };
    let (mut feeds, writer) = start(limits, 1).unwrap();
    let mut data = Vec::new();
    for n in 0..6000 {
        let Frame { at, interface, link, .. } = udp(n, &mut data);
        // Rare things of every kind among what is everywhere.
        match n % 1000 {
            100 => data.splice(12..14, [0x81, 0, 0, 5, 8, 0]).for_each(drop),
            200 => data[12..14].copy_from_slice(&[8, 6]),
            300 => data[23] = 6,
            400 => data[26..30].copy_from_slice(&[192, 0, 2, 1]),
            500 => data[12..14].copy_from_slice(&[0x86, 0xdd]),
            600 => data[20..22].copy_from_slice(&[0, 9]),
            700 => data.truncate(36),
            _ => {}
        }
        let wire_len = data.len() as u32;
        feeds[0].frame(&Frame { at, interface, link, wire_len, data: &data, position: None }).unwrap();
        while feeds[0].full.slots() < 4 {
            thread::yield_now();
        }
    }
    drop(feeds);
    writer.finish();
    const FILTERS: [&str; 14] = [
        "vlan",
        "vlan and udp port 1024",
        "arp",
        "arp host 0.1.10.0",
        "tcp",
        "tcp port 4242 or host 192.0.2.1",
        "host 192.0.2.1 and host 10.0.0.2",
        "ip6",
        "not udp",
        "udp and not port 1024 and port 1030",
        "src port 40000 and dst port 4242",
        "port 4242 and host 10.0.0.9",
        "less 50",
        "ip[6:2] & 0x1fff != 0",
    ];
    let search = |filter| {
        let mut search = Store::open(folder.path()).unwrap().search(question(filter));
        let mut found = Vec::new();
        while let Some(packet) = search.packet() {
            found.push((packet.capture.name.number, packet.offset));
        }
        found
    };
    let with_index: Vec<_> = FILTERS.map(search).into();
    captures(folder.path()).iter().for_each(|path| fs::remove_file(path_of(path)).unwrap());
    let without: Vec<_> = FILTERS.map(search).into();
    for ((filter, with), without) in FILTERS.iter().zip(&with_index).zip(&without) {
        assert_eq!(with, without, "{filter}");
        assert!(!with.is_empty() || filter.contains("10.0.0.9"), "{filter}");
    }
}

#[test]
fn packets_are_found_at_their_positions() {
    for lz4 in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let positions = write_udp(folder.path(), lz4, 6000);
        let mut places = BTreeMap::<u32, Vec<u64>>::new();
        for position in positions.iter().step_by(97) {
            places.entry(position.file).or_default().push(position.offset);
        }
        assert!(places.len() > 2 || lz4);
        // One that lies beyond the end, as of a block that was lost.
        places.entry(positions.last().unwrap().file).or_default().push(1 << 40);
        let mut search = Store::open(folder.path()).unwrap().packets(Places(places));
        assert!(numbers(&mut search).into_iter().eq((0..6000).step_by(97)), "lz4 {lz4}");
    }
}

#[test]
fn without_its_index_a_file_is_read_in_full_and_that_is_said() {
    for lz4 in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        write_udp(folder.path(), lz4, 6000);
        let captures = captures(folder.path());
        fs::remove_file(path_of(&captures[0])).unwrap();
        let damaged = path_of(captures.last().unwrap());
        if captures.len() > 1 {
            fs::write(&damaged, "no index at all").unwrap();
        }
        let wanted: Vec<_> = (0..6000).filter(|n| port(*n) == 4242).collect();
        let (found, _, without) = find(folder.path(), question("udp port 4242"));
        assert_eq!((found, without), (wanted, captures.len().min(2)));
    }
}

#[test]
fn an_index_cut_off_anywhere_costs_no_packet_and_is_mended() {
    for lz4 in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        write_udp(folder.path(), lz4, 1500);
        let path = captures(folder.path()).pop().unwrap();
        let index = fs::read(path_of(&path)).unwrap();
        let all = find(folder.path(), Question::default()).0;
        for cut in (0..index.len()).step_by(index.len() / 40) {
            fs::write(path_of(&path), &index[..cut]).unwrap();
            assert_eq!(find(folder.path(), Question::default()).0, all, "lz4 {lz4}, {cut} of {}", index.len());
            let mended = packets::mend::mend(&packets::capture::Capture::at(&path).unwrap(), &mut |_| true).unwrap();
            assert!(mended.is_some(), "{cut}");
            let (found, read, without) = find(folder.path(), question("host 10.0.0.3"));
            assert_eq!((found.len(), read, without), (0, 0, 0), "lz4 {lz4}: mended at {cut}");
            assert_eq!(find(folder.path(), Question::default()).0, all);
            assert_eq!(packets::mend::mend(&packets::capture::Capture::at(&path).unwrap(), &mut |_| true).unwrap(), None, "once is enough");
        }
    }
}

#[test]
fn a_file_cut_off_behind_its_index_gives_what_is_left() {
    for lz4 in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        write_udp(folder.path(), lz4, 1000);
        let path = captures(folder.path()).pop().unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - bytes.len() / 3]).unwrap();
        let found = find(folder.path(), Question::default()).0;
        assert!(found.windows(2).all(|pair| pair[0] + 1 == pair[1]) && *found.last().unwrap() < 999, "lz4 {lz4}");
    }
}

#[test]
fn a_file_is_searched_while_it_is_written() {
    for lz4 in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let limits = Options { lz4, interfaces: vec!["left".to_owned()], ..options(folder.path()) };
        let (mut feeds, writer) = start(limits, 1).unwrap();
        let mut data = Vec::new();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        for round in 0..3 {
            for n in round * 700..(round + 1) * 700 {
                feeds[0].frame(&udp(n, &mut data)).unwrap();
            }
            feeds[0].flush();
            while find(folder.path(), Question::default()).0.len() < (round as usize + 1) * 700 {
                assert!(std::time::Instant::now() < deadline);
                thread::yield_now();
            }
            assert!(find(folder.path(), Question::default()).0.into_iter().eq(0..(round + 1) * 700));
        }
        drop(feeds);
        writer.finish();
    }
}

#[test]
fn a_session_is_found_by_its_id_and_all_segments_by_their_root() {
    let folder = tempfile::tempdir().unwrap();
    let positions = write_udp(folder.path(), false, 6000);
    // As the record writer would: the last packets of two segments, in two files.
    let day = jiff::Timestamp::from_second(positions_day()).unwrap().strftime("%y%m%d").to_string();
    let (first, second) = (format!("{day}-first"), format!("{day}-second"));
    let captures = captures(folder.path());
    let number = |path: &Path| packets::Name::of(path).unwrap().number;
    for (path, id, root, of) in [(&captures[0], &first, None, 0..500), (&captures[1], &second, Some(&first), 1500..2000)] {
        let offsets: Vec<_> = positions[of].iter().filter(|position| position.file == number(path)).map(|place| place.offset).collect();
        assert!(offsets.len() > 100);
        let session = SessionPlaces { id: session_hash(id), root: root.map(|root| session_hash(root)), others: Vec::new(), offsets };
        let mut entries = Vec::new();
        SessionPlaces::entries(&[session], &mut entries);
        index::Writer::open(&path_of(path)).unwrap().append(&entries).unwrap();
    }
    let store = Store::open(folder.path()).unwrap();
    let (one, all) = (store.session(&second).unwrap().unwrap(), store.whole_session(&first).unwrap().unwrap());
    assert_eq!(all.packets(), one.packets() + store.session(&first).unwrap().unwrap().packets());
    assert_eq!(numbers(&mut store.packets(one.clone())).len(), one.packets());
    assert_eq!(store.session(&format!("{day}-third")).unwrap(), None);
}

fn positions_day() -> i64 {
    frame(0, 0, &mut Vec::new()).at.secs()
}

#[test]
fn an_index_goes_with_its_file_and_orphans_go_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let orphan = folder.path().join("tenrec-left-20231114T221320.000001Z-00000900.pcap.idx");
    fs::write(&orphan, "x").unwrap();
    let limits = Options { rotate_bytes: 600_000, budget_bytes: 2_000_000, ..options(folder.path()) };
    let counters = write_all(limits, 3000);
    assert!(counters.files_deleted > 0 && !orphan.exists());
    let files = |ending: &str| {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(ending)).count()
    };
    assert_eq!(files(".pcap"), files(".idx"));
    let all: u64 = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(all - counters.bytes_on_disk < 100, "indices count towards the budget: {all} {counters:?}");
}
