//! What goes into a feed comes out of the files.

mod found;
mod set_back;

use std::{
    collections::HashMap,
    fs,
    io::{Read, Write as _},
    path::Path,
};

use analyze::{Frame, Link, Position, Time};
use packets::record::Record;

use super::*;

fn options(folder: &Path) -> Options {
    Options {
        folder: folder.to_owned(),
        interfaces: vec!["left".to_owned(), "right".to_owned()],
        rotate_bytes: 0,
        rotate_age: Duration::ZERO,
        lz4: false,
        budget_bytes: 0,
        floor_bytes: 0,
        share: Arc::default(),
        snap: 0,
        events: Vec::new(),
    }
}

/// Frame `n` of an interface: a millisecond apart, sizes that vary, its number in its first bytes.
fn frame(n: u32, interface: u16, data: &mut Vec<u8>) -> Frame<'_> {
    data.clear();
    data.extend(n.to_be_bytes());
    data.resize(60 + (n as usize * 7919) % 1400, n as u8);
    Frame {
        at: Time(1_700_000_000_000_000_001 + i64::from(n) * 1_000_000),
        wire_len: data.len() as u32 + 10,
        data,
        interface,
        link: Link::ETHERNET,
        position: None,
    }
}

/// Writes `frames` frames on each interface and finishes; waits where a real worker would drop.
fn write_all(options: Options, frames: u32) -> Snapshot {
    write_and_note(options, frames).0
}

/// The same, and where each frame was said to stand, with its number.
fn write_and_note(options: Options, frames: u32) -> (Snapshot, Vec<(Position, u32)>) {
    let (mut feeds, writer) = start(options, 1).unwrap();
    let counters = writer.counters();
    let mut data = Vec::new();
    let mut positions = Vec::new();
    for n in 0..frames {
        for interface in 0..2 {
            positions.extend(feeds[0].frame(&frame(n, interface, &mut data)).map(|position| (position, n)));
        }
        while feeds[0].full.slots() < 4 {
            thread::yield_now();
        }
    }
    drop(feeds);
    writer.finish();
    (counters.snapshot(), positions)
}

/// The uncompressed files of a folder by their numbers.
fn files(folder: &Path) -> HashMap<u32, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let captures = paths.filter_map(|path| Some((packets::Name::of(&path)?.number, path)));
    captures.map(|(number, path)| (number, uncompressed(&path))).collect()
}

fn uncompressed(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    if path.extension().unwrap() == "lz4" {
        let compressed = std::mem::take(&mut bytes);
        lz4_flex::frame::FrameDecoder::new(compressed.as_slice()).read_to_end(&mut bytes).unwrap();
    }
    bytes
}

/// How many positions hold the frame that they were given to; the others must lie beyond the end of their file.
fn check_positions(folder: &Path, positions: &[(Position, u32)]) -> u64 {
    let files = files(folder);
    let mut right = 0;
    for (position, n) in positions {
        let Some(bytes) = files.get(&position.file).and_then(|file| file.get(position.offset as usize..)) else { continue };
        if bytes.is_empty() {
            continue;
        }
        let (record, _) = Record::read(bytes).unwrap();
        assert_eq!(record.data[..4], n.to_be_bytes(), "{position:?}");
        right += 1;
    }
    right
}

/// The files of an interface in the order of their names, each checked to be a whole capture; the frames' numbers.
fn read_all(folder: &Path, interface: &str) -> (usize, Vec<u32>) {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        packets::Name::of(path).is_some() && path.file_name().unwrap().to_str().unwrap().starts_with(&format!("tenrec-{interface}-"))
    });
    paths.sort();
    let mut numbers = Vec::new();
    for path in &paths {
        numbers.extend(read(path));
    }
    (paths.len(), numbers)
}

fn read(path: &Path) -> Vec<u32> {
    let bytes = uncompressed(path);
    assert_eq!(bytes[..4], 0xa1b2_3c4d_u32.to_le_bytes());
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut at = 24;
    let mut numbers = Vec::new();
    while at < bytes.len() {
        let (kept, wire) = (word(at + 8), word(at + 12));
        assert_eq!(wire, kept + 10);
        let data = &bytes[at + 16..at + 16 + kept as usize];
        let n = u32::from_be_bytes(data[..4].try_into().unwrap());
        assert!(data[4..].iter().all(|byte| *byte == n as u8));
        assert_eq!(word(at + 4) % 1_000_000, 1, "nanoseconds are kept");
        numbers.push(n);
        at += 16 + kept as usize;
    }
    numbers
}

#[test]
fn nothing_is_lost_at_a_rotation_by_size() {
    for lz4 in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let counters = write_all(Options { rotate_bytes: 600_000, lz4, ..options(folder.path()) }, 5000);
        assert_eq!((counters.frames_written, counters.frames_dropped_queue), (10_000, 0));
        for interface in ["left", "right"] {
            let (files, numbers) = read_all(folder.path(), interface);
            assert!(numbers.iter().copied().eq(0..5000), "{interface}, lz4 {lz4}");
            assert!(lz4 || files >= 6, "{files} files");
        }
        for entry in fs::read_dir(folder.path()).unwrap() {
            assert!(entry.unwrap().metadata().unwrap().len() <= 600_000);
        }
    }
}

#[test]
fn nothing_is_lost_at_a_rotation_by_age() {
    let folder = tempfile::tempdir().unwrap();
    write_all(Options { rotate_age: Duration::from_secs(1), ..options(folder.path()) }, 5000);
    let (files, numbers) = read_all(folder.path(), "left");
    assert!(numbers.iter().copied().eq(0..5000));
    assert!((4..=6).contains(&files), "{files} files of five seconds");
}

#[test]
fn the_budget_deletes_the_oldest_files_also_those_of_an_earlier_run() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("tenrec-left-20200101T000000.000000Z-0.pcap");
    let foreign = folder.path().join("evidence.pcap");
    fs::write(&old, vec![0; 100_000]).unwrap();
    fs::write(&foreign, vec![0; 100_000]).unwrap();
    let limits = Options { rotate_bytes: 600_000, budget_bytes: 3_000_000, ..options(folder.path()) };
    let counters = write_all(limits, 5000);
    assert!(counters.files_deleted > 3 && counters.frames_dropped_disk == 0, "{counters:?}");
    assert!(counters.bytes_on_disk <= 3_000_000);
    assert!(!old.exists() && foreign.exists());
    let (_, numbers) = read_all(folder.path(), "left");
    assert_eq!(numbers.last(), Some(&4999), "the newest are there");
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "without a gap");
}

#[test]
fn a_floor_that_cannot_be_kept_drops_frames_and_says_so_without_writing() {
    let folder = tempfile::tempdir().unwrap();
    let counters = write_all(Options { floor_bytes: u64::MAX / 2, ..options(folder.path()) }, 2000);
    assert_eq!((counters.frames_dropped_disk, counters.frames_written, counters.disk_full), (4000, 0, true));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_file_system_that_others_filled_drops_frames_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| std::process::Command::new("mount").args(arguments).arg(folder.path()).status();
    if !mount(&["-t", "tmpfs", "-o", "size=2m", "tenrec"]).is_ok_and(|status| status.success()) {
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: a_file_system_that_others_filled_drops_frames_and_recovers: needs root to mount a small file system"
        );
        return;
    }
    fs::write(folder.path().join("foreign"), vec![0; 1_900_000]).unwrap();
    let full = write_all(options(folder.path()), 2000);
    fs::remove_file(folder.path().join("foreign")).unwrap();
    let free = write_all(options(folder.path()), 500);
    let numbers = read_all(folder.path(), "left").1;
    std::process::Command::new("umount").arg("--lazy").arg(folder.path()).status().unwrap();
    assert_eq!((full.frames_dropped_disk, full.disk_full), (4000, true), "{full:?}");
    assert_eq!((free.frames_dropped_disk, free.frames_written), (0, 1000), "{free:?}");
    assert!(numbers.iter().copied().eq(0..500));
}

#[test]
fn a_disk_that_is_full_at_the_start_has_old_captures_give_way() {
    let folder = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| std::process::Command::new("mount").args(arguments).arg(folder.path()).status();
    if !mount(&["-t", "tmpfs", "-o", "size=2m", "tenrec"]).is_ok_and(|status| status.success()) {
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: a_disk_that_is_full_at_the_start_has_old_captures_give_way: needs root to mount a small file system"
        );
        return;
    }
    let old = folder.path().join("tenrec-left-20200101T000000.000000Z-00000007.pcap");
    fs::write(&old, vec![0; 1_500_000]).unwrap();
    let mut foreign = fs::File::create(folder.path().join("foreign")).unwrap();
    while foreign.write_all(&[0; 4096]).is_ok() {}
    let (mut feeds, writer) = start(Options { interfaces: vec!["left".to_owned()], ..options(folder.path()) }, 1).unwrap();
    let (mut data, mut written) = (Vec::new(), 0);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while written < 100 {
        written += u32::from(feeds[0].frame(&frame(written, 0, &mut data)).is_some());
        assert!(std::time::Instant::now() < deadline, "{:?}", writer.counters().snapshot());
        thread::yield_now();
    }
    drop(feeds);
    let counters = writer.counters();
    writer.finish();
    let numbers = read_all(folder.path(), "left").1;
    std::process::Command::new("umount").arg("--lazy").arg(folder.path()).status().unwrap();
    assert!(counters.snapshot().frames_written == 100 && numbers.iter().copied().eq(0..100), "{:?}", counters.snapshot());
}

#[test]
fn a_write_that_fails_in_the_middle_leaves_whole_records() {
    for lz4 in [false, true] {
        check_failing_writes(lz4);
    }
}

fn check_failing_writes(lz4: bool) {
    let folder = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| std::process::Command::new("mount").args(arguments).arg(folder.path()).status();
    if !mount(&["-t", "tmpfs", "-o", "size=1m", "tenrec"]).is_ok_and(|status| status.success()) {
        let _ = writeln!(
            io::stderr(),
            "SKIPPED: a_write_that_fails_in_the_middle_leaves_whole_records: needs root to mount a small file system"
        );
        return;
    }
    // The budget watches another folder and so believes that there is room.
    let elsewhere = tempfile::tempdir().unwrap();
    let counters = Arc::new(Counters::default());
    let budget = Budget::open(elsewhere.path(), name::is_capture, index::SUFFIX, 0, 0).unwrap();
    let numbers = Arc::new(Numbers::open(elsewhere.path()).unwrap());
    numbers.tend().unwrap();
    let told = vec![vec![Arc::default(); 2]];
    let (indices, _sessions) = Indices::new(Arc::clone(&counters));
    let mut files = Files::new(Options { lz4, ..options(folder.path()) }, budget, numbers, told, indices, Arc::clone(&counters));
    let (mut data, mut next, mut offset) = (Vec::new(), 0, 24);
    if lz4 {
        // Our frames compress to almost nothing: let others take nearly all of the room.
        fs::write(folder.path().join("foreign"), vec![0; 1_036_000]).unwrap();
    }
    for _ in 0..if lz4 { 200 } else { 6 } {
        let mut block = Block::new(0, (1, offset), Time(1_700_000_000_000_000_000), Vec::new());
        while block.has_room(&frame(next, 0, &mut data)) {
            block.push(&frame(next, 0, &mut data));
            next += 1;
        }
        offset += block.bytes().len() as u64;
        files.write(0, &block);
    }
    drop(files);
    let numbers = read_all(folder.path(), "left").1;
    std::process::Command::new("umount").arg("--lazy").arg(folder.path()).status().unwrap();
    let counters = counters.snapshot();
    assert!(counters.frames_dropped_disk > 0, "{counters:?}");
    // A file that ended early may have made room for the next.
    assert!(numbers.len() as u64 == counters.frames_written || counters.files_deleted > 0, "{counters:?}");
    assert!(!numbers.is_empty() && numbers.windows(2).all(|pair| pair[0] < pair[1]), "whole records, in order");
}

#[test]
fn every_position_is_that_of_its_frame_over_rotations() {
    for lz4 in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let limits = Options { rotate_bytes: 600_000, rotate_age: Duration::from_secs(2), lz4, ..options(folder.path()) };
        let (counters, positions) = write_and_note(limits, 5000);
        assert_eq!((positions.len(), counters.frames_written), (10_000, 10_000));
        assert_eq!(check_positions(folder.path(), &positions), 10_000);
        assert!(files(folder.path()).len() >= 6);
    }
}

#[test]
fn a_file_that_cannot_be_compressed_stays_within_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let (mut feeds, writer) =
        start(Options { rotate_bytes: 1_000_000, lz4: true, interfaces: vec!["left".to_owned()], ..options(folder.path()) }, 1).unwrap();
    let mut random: u64 = 1;
    for n in 0..4000 {
        let mut data = vec![0; 60 + n % 1400];
        for byte in &mut data {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (random >> 56) as u8;
        }
        feeds[0].frame(&Frame { data: &data, ..frame(0, 0, &mut Vec::new()) }).unwrap();
        while feeds[0].full.slots() < 4 {
            thread::yield_now();
        }
    }
    drop(feeds);
    writer.finish();
    let sizes: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
    assert!(sizes.len() > 2 && sizes.iter().all(|size| *size <= 1_000_000), "{sizes:?}");
}

#[test]
fn what_becomes_of_files_is_told_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, receiver) = crossbeam_channel::bounded(100);
    let limits = Options { rotate_bytes: 600_000, budget_bytes: 2_000_000, events: vec![sender], ..options(folder.path()) };
    let counters = write_all(limits.clone(), 3000);
    let events: Vec<_> = receiver.try_iter().collect();
    let count = |wanted: fn(&FileEvent) -> bool| events.iter().filter(|event| wanted(event)).count() as u64;
    assert_eq!(count(|event| matches!(event, FileEvent::Begun { .. })), counters.files_opened);
    assert_eq!(count(|event| matches!(event, FileEvent::Ended { .. })), counters.files_opened);
    assert_eq!(count(|event| matches!(event, FileEvent::Deleted { .. })), counters.files_deleted);
    let mut packets = 0;
    for event in &events {
        if let FileEvent::Ended { packets: of_file, .. } = event {
            packets += of_file;
        }
    }
    assert_eq!(packets, counters.frames_written);
    write_all(limits, 1);
    let found = receiver.try_iter().take_while(|event| matches!(event, FileEvent::Found { number, .. } if *number > 0)).count() as u64;
    assert_eq!(found, counters.files_opened - counters.files_deleted, "those of the earlier run are told at the start");
}

#[test]
fn a_block_that_is_lost_on_its_way_makes_no_position_wrong() {
    for lz4 in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { lz4, interfaces: vec!["left".to_owned()], ..options(folder.path()) };
        let counters = Arc::new(Counters::default());
        let numbers = Arc::new(Numbers::open(folder.path()).unwrap());
        numbers.tend().unwrap();
        let (full, mut filled) = RingBuffer::new(2);
        let (mut emptied, empty) = RingBuffer::new(2);
        let mut feed = Feed::new(&options, (full, empty), 3, Arc::clone(&numbers), Arc::clone(&counters));
        let budget = Budget::open(folder.path(), name::is_capture, index::SUFFIX, 0, 0).unwrap();
        let told = feed.told();
        let (indices, _sessions) = Indices::new(Arc::clone(&counters));
        let mut files = Files::new(options, budget, numbers, vec![told.clone()], indices, Arc::clone(&counters));
        let (mut data, mut positions) = (Vec::new(), Vec::new());
        for n in 0..6000 {
            positions.extend(feed.frame(&frame(n, 0, &mut data)).map(|position| (position, n)));
            // A writer that sleeps for a while, and one that loses a block of its own now and then.
            if n % 2000 < 1200 {
                while let Ok(block) = filled.pop() {
                    if n % 2000 < 900 {
                        files.write(0, &block);
                    } else {
                        told[0].break_off(block.file);
                    }
                    let _ = emptied.push(block.into_buffer());
                }
            }
        }
        drop(feed);
        while let Ok(block) = filled.pop() {
            files.write(0, &block);
        }
        files.finish();
        let right = check_positions(folder.path(), &positions);
        let all = self::files(folder.path()).into_values();
        let kept: u64 = all
            .map(|bytes| {
                let (mut at, mut records) = (24, 0);
                while let Some((_, length)) = Record::read(&bytes[at..]) {
                    (at, records) = (at + length, records + 1);
                }
                assert_eq!(at, bytes.len());
                records
            })
            .sum();
        let counters = counters.snapshot();
        assert_eq!(kept, counters.frames_written);
        assert!(right > 1000 && right <= kept && counters.frames_dropped_queue > 0, "{right} of {kept}, {counters:?}");
    }
}

#[test]
fn a_writer_that_falls_behind_costs_frames_and_never_time() {
    let folder = tempfile::tempdir().unwrap();
    let (full, filled) = RingBuffer::new(1);
    let (_emptied, empty) = RingBuffer::new(1);
    let counters = Arc::new(Counters::default());
    let numbers = Arc::new(Numbers::open(folder.path()).unwrap());
    numbers.tend().unwrap();
    let mut feed = Feed::new(&options(folder.path()), (full, empty), 2, numbers, Arc::clone(&counters));
    let mut data = Vec::new();
    for n in 0..2000 {
        feed.frame(&frame(n, 0, &mut data));
    }
    drop(feed);
    let in_queue: u64 = { filled }.pop().map_or(0, |block| block.frames);
    assert_eq!(in_queue + counters.snapshot().frames_dropped_queue, 2000);
    assert!(in_queue > 0 && folder.path().exists());
}
