//! What goes into a feed comes out of the files.

use std::{
    fs,
    io::{Read, Write as _},
    path::Path,
};

use analyze::Link;

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
        snap: 0,
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
    let (mut feeds, writer) = start(options, 1).unwrap();
    let counters = writer.counters();
    let mut data = Vec::new();
    for n in 0..frames {
        for interface in 0..2 {
            feeds[0].frame(&frame(n, interface, &mut data));
        }
        while feeds[0].full.slots() < 4 {
            thread::yield_now();
        }
    }
    drop(feeds);
    writer.finish();
    counters.snapshot()
}

/// The files of an interface in the order of their names, each checked to be a whole capture; the frames' numbers.
fn read_all(folder: &Path, interface: &str) -> (usize, Vec<u32>) {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("tenrec-{interface}-")));
    paths.sort();
    let mut numbers = Vec::new();
    for path in &paths {
        numbers.extend(read(path));
    }
    (paths.len(), numbers)
}

fn read(path: &Path) -> Vec<u32> {
    let mut bytes = fs::read(path).unwrap();
    if path.extension().unwrap() == "lz4" {
        let compressed = std::mem::take(&mut bytes);
        lz4_flex::frame::FrameDecoder::new(compressed.as_slice()).read_to_end(&mut bytes).unwrap();
    }
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
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
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
    std::process::Command::new("umount").arg(folder.path()).status().unwrap();
    assert_eq!((full.frames_dropped_disk, full.disk_full), (4000, true), "{full:?}");
    assert_eq!((free.frames_dropped_disk, free.frames_written), (0, 1000), "{free:?}");
    assert!(numbers.iter().copied().eq(0..500));
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
    let budget = Budget::open(elsewhere.path(), budget::is_capture, 0, 0).unwrap();
    let mut files = Files::new(Options { lz4, ..options(folder.path()) }, budget, Arc::clone(&counters));
    let (mut data, mut next) = (Vec::new(), 0);
    if lz4 {
        // Our frames compress to almost nothing: let others take nearly all of the room.
        fs::write(folder.path().join("foreign"), vec![0; 1_036_000]).unwrap();
    }
    for _ in 0..if lz4 { 200 } else { 6 } {
        let mut block = Block::new(0, Time(1_700_000_000_000_000_000), Vec::new());
        while block.has_room(&frame(next, 0, &mut data)) {
            block.push(&frame(next, 0, &mut data));
            next += 1;
        }
        files.write(0, &block);
    }
    drop(files);
    let numbers = read_all(folder.path(), "left").1;
    std::process::Command::new("umount").arg(folder.path()).status().unwrap();
    let counters = counters.snapshot();
    assert!(counters.frames_dropped_disk > 0, "{counters:?}");
    assert_eq!(numbers.len() as u64, counters.frames_written);
    assert!(numbers.iter().copied().eq(0..numbers.len() as u32));
}

#[test]
fn a_writer_that_falls_behind_costs_frames_and_never_time() {
    let folder = tempfile::tempdir().unwrap();
    let (full, filled) = RingBuffer::new(1);
    let (_emptied, empty) = RingBuffer::new(1);
    let counters = Arc::new(Counters::default());
    let mut feed = Feed { open: vec![None, None], full, empty, unborn: 2, counters: Arc::clone(&counters) };
    let mut data = Vec::new();
    for n in 0..2000 {
        feed.frame(&frame(n, 0, &mut data));
    }
    drop(feed);
    let in_queue: u64 = { filled }.pop().map_or(0, |block| block.frames);
    assert_eq!(in_queue + counters.snapshot().frames_dropped_queue, 2000);
    assert!(in_queue > 0 && folder.path().exists());
}
