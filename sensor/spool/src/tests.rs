mod model;
mod power;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Small segments and blocks, so that a few records cross both.
fn options() -> Options {
    Options { budget: 1 << 20, segment: 2000, block: 300, sync_every: Duration::from_secs(3600) }
}

fn record(number: usize) -> Vec<u8> {
    // Hardly compressible, so that sizes on disk follow.
    let mut state = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
    let mut text = format!("{{\"n\":{number},\"x\":\"").into_bytes();
    for _ in 0..60 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(b'!' + ((state >> 33) % 90) as u8);
    }
    text.extend_from_slice(b"\"}");
    text
}

fn fill(writer: &mut Writer, numbers: std::ops::Range<usize>) {
    for number in numbers {
        writer.append(&record(number)).unwrap();
    }
    writer.flush().unwrap();
}

fn number(record: &[u8]) -> usize {
    let text = String::from_utf8_lossy(record);
    text.split(&[':', ','][..]).nth(1).unwrap().parse().unwrap()
}

fn drain(reader: &mut Reader) -> Vec<usize> {
    let mut numbers = Vec::new();
    loop {
        let batch = reader.read(7, 1 << 20).unwrap();
        if batch.is_empty() {
            return numbers;
        }
        for found in batch.iter() {
            let number = number(found);
            assert_eq!(found, record(number));
            numbers.push(number);
        }
    }
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    segment::list(&disk::Real, folder).unwrap().into_iter().map(|first| segment::path(folder, first)).collect()
}

fn spool() -> (TempDir, Writer) {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::open(folder.path(), options()).unwrap();
    (folder, writer)
}

#[test]
fn records_come_out_as_they_went_in_across_blocks_and_segments() {
    let (folder, mut writer) = spool();
    fill(&mut writer, 0..100);
    assert!(segments(folder.path()).len() > 3);
    let mut reader = writer.reader("a").unwrap();
    assert_eq!(drain(&mut reader), (0..100).collect::<Vec<_>>());
    fill(&mut writer, 100..103);
    assert_eq!(drain(&mut reader), [100, 101, 102]);
    assert_eq!(writer.stats().waiting, 103);
}

#[test]
fn a_rewound_reader_gives_the_same_bytes_again_from_the_first_unacknowledged_record() {
    let (_folder, mut writer) = spool();
    fill(&mut writer, 0..50);
    let mut reader = writer.reader("a").unwrap();
    let batch = reader.read(20, usize::MAX).unwrap();
    reader.acknowledge(batch.sequence(5).unwrap()).unwrap();
    reader.rewind();
    let again = reader.read(15, usize::MAX).unwrap();
    assert!(again.iter().eq(batch.iter().skip(5)));
    assert_eq!(writer.stats().acknowledged, 5);
    assert_eq!(writer.stats().waiting, 45);
}

#[test]
fn a_place_survives_a_restart_and_acknowledged_segments_are_deleted() {
    let (folder, mut writer) = spool();
    fill(&mut writer, 0..100);
    let mut reader = writer.reader("a").unwrap();
    let batch = reader.read(60, usize::MAX).unwrap();
    let before = segments(folder.path()).len();
    reader.acknowledge(batch.sequence(60).unwrap()).unwrap();
    assert!(segments(folder.path()).len() < before);
    drop((reader, writer));
    let mut writer = Writer::open(folder.path(), options()).unwrap();
    fill(&mut writer, 100..110);
    assert_eq!(drain(&mut writer.reader("a").unwrap()), (60..110).collect::<Vec<_>>());
}

#[test]
fn readers_are_independent_and_the_slowest_keeps_the_segments() {
    let (folder, mut writer) = spool();
    let mut slow = writer.reader("slow").unwrap();
    let mut fast = writer.reader("fast").unwrap();
    fill(&mut writer, 0..100);
    let batch = fast.read(100, usize::MAX).unwrap();
    let before = segments(folder.path()).len();
    fast.acknowledge(batch.sequence(100).unwrap()).unwrap();
    assert_eq!(segments(folder.path()).len(), before);
    assert_eq!(drain(&mut slow).len(), 100);
}

#[test]
fn a_torn_tail_is_truncated_and_the_valid_prefix_kept_at_every_length() {
    let (folder, mut writer) = spool();
    fill(&mut writer, 0..9);
    drop(writer);
    let path = segments(folder.path()).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let mut writer = Writer::open(folder.path(), options()).unwrap();
        let kept = drain(&mut writer.reader("r").unwrap());
        assert_eq!(kept, (0..kept.len()).collect::<Vec<_>>(), "{length}");
        assert_eq!(writer.stats().corrupt, 0, "{length}");
        assert_eq!(kept.len(), if length == whole.len() { 9 } else { (kept.len() / 3) * 3 }, "{length}");
        writer.append(&record(kept.len())).unwrap();
        writer.flush().unwrap();
        assert_eq!(drain(&mut writer.reader("again").unwrap()).len(), kept.len() + 1);
        drop(writer);
        for later in segments(folder.path()) {
            fs::remove_file(later).unwrap();
        }
        let _ = fs::remove_file(folder.path().join("r.cursor"));
        let _ = fs::remove_file(folder.path().join("again.cursor"));
    }
}

#[test]
fn a_corrupt_middle_is_counted_and_what_follows_is_delivered() {
    let (folder, mut writer) = spool();
    fill(&mut writer, 0..100);
    drop(writer);
    let victims = segments(folder.path());
    for (segment, offset) in [(&victims[1], 700), (&victims[2], 1)] {
        let file = OpenOptions::new().read(true).write(true).open(segment).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[byte[0] ^ 0x40], offset).unwrap();
    }
    let writer = Writer::open(folder.path(), options()).unwrap();
    let numbers = drain(&mut writer.reader("a").unwrap());
    assert_eq!(numbers.len() + writer.stats().corrupt as usize, 100);
    assert!((1..=6).contains(&writer.stats().corrupt), "{:?}", writer.stats());
    assert!(numbers.is_sorted());
    assert_eq!((numbers[0], numbers[numbers.len() - 1]), (0, 99));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn flipped_bytes_lose_only_what_they_hit_and_everything_is_accounted(
        hits in prop::collection::vec((0_usize..8, 0_u64..1900, 1_u8..=255), 1..6),
    ) {
        let (folder, mut writer) = spool();
        fill(&mut writer, 0..120);
        writer.append(&record(120)).unwrap();
        drop(writer);
        let victims = segments(folder.path());
        for (segment, offset, flip) in hits {
            // The last segment is left alone: there a corrupt end is a torn tail.
            let file = OpenOptions::new().read(true).write(true).open(&victims[segment.min(victims.len() - 2)]).unwrap();
            let mut byte = [0];
            if file.read_exact_at(&mut byte, offset).is_ok() {
                file.write_all_at(&[byte[0] ^ flip], offset).unwrap();
            }
        }
        let writer = Writer::open(folder.path(), options()).unwrap();
        let numbers = drain(&mut writer.reader("a").unwrap());
        prop_assert!(numbers.is_sorted());
        prop_assert_eq!(numbers.len() + writer.stats().corrupt as usize, 121);
        prop_assert!(writer.stats().corrupt <= 6 * 4, "{:?}", writer.stats());
        prop_assert_eq!(numbers.last(), Some(&120));
    }
}

#[test]
fn over_budget_the_oldest_go_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path(), Options { budget: 8000, ..options() }).unwrap();
    let mut reader = writer.reader("a").unwrap();
    fill(&mut writer, 0..200);
    let stats = writer.stats();
    assert!(stats.bytes <= 8000, "{stats:?}");
    let numbers = drain(&mut reader);
    assert_eq!(numbers, ((200 - numbers.len())..200).collect::<Vec<_>>());
    assert_eq!(stats.deleted as usize, 200 - numbers.len());
    assert_eq!(stats.waiting as usize, numbers.len());
    assert_eq!(stats.lost(), stats.deleted);
}

/// A spool on a disk that takes so many bytes.
fn bounded(room: usize) -> (model::Model, Writer) {
    let disk = model::Model::default();
    disk.set_room(Some(room));
    let writer = Writer::open_on(Arc::new(disk.clone()), Path::new("/spool"), options(), None).unwrap();
    (disk, writer)
}

#[test]
fn a_full_disk_refuses_and_counts_and_takes_again_when_there_is_room() {
    let (disk, mut writer) = bounded(1000);
    let mut taken = Vec::new();
    for number in 0..60 {
        match writer.append(&record(number)) {
            Ok(()) => taken.push(number),
            Err(error) => assert!(matches!(error, Error::Full { .. }), "{error}"),
        }
    }
    assert!(matches!(writer.flush(), Err(Error::Full { .. })));
    assert!(taken.len() < 20);
    assert_eq!(writer.stats().refused as usize, 60 - taken.len());
    disk.set_room(None);
    for number in 60..70 {
        writer.append(&record(number)).unwrap();
        taken.push(number);
    }
    writer.flush().unwrap();
    assert_eq!(drain(&mut writer.reader("a").unwrap()), taken);
    drop(writer);
    let writer = Writer::open_on(Arc::new(disk), Path::new("/spool"), options(), None).unwrap();
    assert_eq!(drain(&mut writer.reader("b").unwrap()), taken);
}

#[test]
fn a_record_appended_between_two_refused_flushes_is_not_forgotten() {
    let (disk, mut writer) = bounded(0);
    writer.append(&record(0)).unwrap();
    writer.flush().unwrap_err();
    writer.append(&record(1)).unwrap();
    disk.set_room(None);
    writer.flush().unwrap();
    assert_eq!(drain(&mut writer.reader("a").unwrap()), [0, 1]);
}

#[test]
fn a_cursor_ahead_of_the_disk_does_not_swallow_new_records() {
    let (folder, mut writer) = spool();
    fill(&mut writer, 0..10);
    let mut reader = writer.reader("a").unwrap();
    let batch = reader.read(10, usize::MAX).unwrap();
    reader.acknowledge(batch.sequence(10).unwrap()).unwrap();
    drop((reader, writer));
    // The power cut took what was delivered and not synced.
    for path in segments(folder.path()) {
        OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
    }
    let mut writer = Writer::open(folder.path(), options()).unwrap();
    fill(&mut writer, 10..14);
    let mut reader = writer.reader("a").unwrap();
    assert_eq!(drain(&mut reader), [10, 11, 12, 13]);
    assert_eq!(writer.stats().lost(), 0);
}

#[test]
fn a_damaged_cursor_means_from_the_begin() {
    let (folder, mut writer) = spool();
    fill(&mut writer, 0..10);
    let mut reader = writer.reader("a").unwrap();
    let batch = reader.read(5, usize::MAX).unwrap();
    reader.acknowledge(batch.sequence(5).unwrap()).unwrap();
    drop((reader, writer));
    fs::write(folder.path().join("a.cursor"), b"garbage").unwrap();
    let writer = Writer::open(folder.path(), options()).unwrap();
    assert_eq!(drain(&mut writer.reader("a").unwrap()).len(), 10);
}

#[test]
fn a_second_writer_is_refused() {
    let (folder, _writer) = spool();
    assert!(matches!(Writer::open(folder.path(), options()), Err(Error::InUse { .. })));
}

#[test]
fn the_largest_record_passes_and_a_larger_one_is_refused() {
    let (_folder, mut writer) = spool();
    let largest = vec![b'x'; MAX_RECORD];
    writer.append(&largest).unwrap();
    assert!(matches!(writer.append(&vec![b'x'; MAX_RECORD + 1]), Err(Error::TooLong { .. })));
    writer.append(b"after").unwrap();
    writer.flush().unwrap();
    let batch = writer.reader("a").unwrap().read(5, usize::MAX).unwrap();
    assert!(batch.iter().eq([largest.as_slice(), b"after"]));
}

#[test]
fn a_batch_is_bounded_by_records_and_by_bytes() {
    let (_folder, mut writer) = spool();
    fill(&mut writer, 0..50);
    let mut reader = writer.reader("a").unwrap();
    assert_eq!(reader.read(3, usize::MAX).unwrap().len(), 3);
    assert_eq!(reader.read(50, 200).unwrap().len(), 3);
    assert_eq!(reader.read(50, 1).unwrap().len(), 1);
    assert_eq!(reader.read(0, 1).unwrap().sequence(1), None);
}

#[test]
fn what_is_given_up_on_demand_is_counted_and_the_newest_segment_stays() {
    let (_folder, mut writer) = spool();
    fill(&mut writer, 0..200);
    let before = writer.stats();
    let (bytes, lost) = writer.give_up(before.bytes / 2);
    assert!(bytes >= before.bytes / 2 && lost > 50 && writer.stats().deleted == lost);
    assert_eq!(writer.stats().bytes, before.bytes - bytes);
    let spare = writer.spare();
    assert_eq!(writer.give_up(u64::MAX).0, spare);
    assert_eq!((writer.stats().segments, writer.spare()), (1, 0));
}

#[test]
fn a_flush_wakes_who_asked_for_it() {
    let (_folder, mut writer) = spool();
    let woken = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&woken);
    writer.on_append(move || {
        seen.fetch_add(1, Ordering::Relaxed);
    });
    writer.append(b"x").unwrap();
    assert_eq!(woken.load(Ordering::Relaxed), 0);
    writer.flush().unwrap();
    assert_eq!(woken.load(Ordering::Relaxed), 1);
}

#[test]
fn readers_are_named_by_what_can_be_a_file_name() {
    let (_folder, writer) = spool();
    for name in ["", "../x", "a b"] {
        assert!(matches!(writer.reader(name), Err(Error::Name(_))));
    }
}
