//! An index says what was put into it, however it was cut or damaged since.

use std::{fs, path::Path};

use super::*;
use crate::{keys::Key, record::record_header};

/// Records of a UDP packet each, from 10.0.0.1 to 10.0.0.2, to these ports, a second apart.
fn records(ports: &[u16]) -> Vec<u8> {
    let mut records = Vec::new();
    for (n, port) in ports.iter().enumerate() {
        let mut frame = vec![2; 12];
        frame.extend([8, 0, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x9c, 0x40]);
        frame.extend(port.to_be_bytes());
        frame.extend([0, 12, 0, 0, 1, 2, 3, 4]);
        records.extend(record_header(Time::from_secs(1_700_000_000 + n as i64), frame.len() as u32, frame.len() as u32));
        records.extend(frame);
    }
    records
}

fn place(n: u64, length: usize) -> Place {
    Place { offset: 24 + n * 1000, length: length as u32, disk_offset: 24 + n * 500, disk_length: 500 }
}

fn write(path: &Path, blocks: u64) {
    let mut writer = Writer::create(path).unwrap();
    let mut indexer = Indexer::default();
    for n in 0..blocks {
        let records = records(&[53, 80 + n as u16, 53]);
        let mut entry = Vec::new();
        indexer.block(place(n, records.len()), &records, &mut entry).unwrap();
        writer.append(&entry).unwrap();
    }
}

/// Blocks that may have a port, and how far the index could be read.
fn blocks_with(path: &Path, port: u16) -> (Vec<Place>, Parsed) {
    let mut entries = Entries::open(path).unwrap();
    let mut found = Vec::new();
    while let Some(entry) = entries.read_next().unwrap() {
        if entry.may_have(Key::port(port))
            && let Entry::Block { place, frames, span, .. } = entry
        {
            assert_eq!((frames, span.last.secs() - span.first.secs()), (3, 2));
            found.push(place);
        }
    }
    (found, entries.parsed())
}

#[test]
fn a_block_is_found_by_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.idx");
    write(&path, 100);
    let length = records(&[1, 1, 1]).len();
    assert_eq!(blocks_with(&path, 117), (vec![place(37, length)], Parsed::Whole));
    assert_eq!(blocks_with(&path, 53).0.len(), 100);
    assert_eq!(blocks_with(&path, 7), (Vec::new(), Parsed::Whole));
}

#[test]
fn a_torn_tail_costs_only_what_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.idx");
    write(&path, 3);
    let whole = fs::read(&path).unwrap();
    let entry = (whole.len() - MAGIC.len()) / 3;
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (found, parsed) = blocks_with(&path, 53);
        assert_eq!(found.len(), cut.saturating_sub(MAGIC.len()) / entry, "{cut}");
        assert_eq!(parsed == Parsed::Whole, cut >= MAGIC.len() && (cut - MAGIC.len()).is_multiple_of(entry), "{cut}");
    }
}

#[test]
fn a_damaged_byte_is_noticed_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.idx");
    write(&path, 2);
    let whole = fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 4;
        fs::write(&path, &damaged).unwrap();
        let (found, parsed) = blocks_with(&path, 53);
        assert!(found.len() < 2 && parsed != Parsed::Whole, "{place}");
    }
}

#[test]
fn sessions_are_read_as_they_were_written() {
    let sessions = vec![
        SessionPlaces { id: 1, root: None, others: vec![], offsets: vec![24, 114, 204, 5 << 30] },
        SessionPlaces { id: u64::MAX, root: Some(7), others: vec![8, u32::MAX], offsets: vec![] },
        SessionPlaces { id: 3, root: None, others: vec![2], offsets: (0..10_000).map(|n| 24 + n * 90).collect() },
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.idx");
    let many: Vec<_> = std::iter::repeat_n(sessions.clone(), 150).flatten().collect();
    let mut entries = Vec::new();
    SessionPlaces::entries(&many, &mut entries);
    Writer::create(&path).unwrap();
    Writer::open(&path).unwrap().append(&entries).unwrap();
    let mut entries = Entries::open(&path).unwrap();
    let (mut found, mut parts) = (Vec::new(), 0);
    while let Some(entry) = entries.read_next().unwrap() {
        let Entry::Sessions(payload) = entry else { panic!() };
        parts += 1;
        found.extend(Session::all(payload).map(|session| SessionPlaces {
            id: session.id,
            root: session.root,
            others: session.others().collect(),
            offsets: session.offsets().collect(),
        }));
    }
    assert_eq!((found == many, parts > 1, entries.parsed()), (true, true, Parsed::Whole));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
        for session in Session::all(&bytes) {
            let _ = (session.others().count(), session.offsets().count());
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.idx");
        fs::write(&path, [MAGIC.as_slice(), &bytes].concat()).unwrap();
        let mut entries = Entries::open(&path).unwrap();
        while let Some(entry) = entries.read_next().unwrap() {
            let _ = entry.may_have(Key::port(1));
        }
    }
}
