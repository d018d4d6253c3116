//! A clock that is set back while a capture is written.

use std::time::{Duration, SystemTime};

use super::*;

#[test]
fn a_clock_that_is_set_back_begins_another_file_and_hides_no_packet_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let (mut feeds, writer) = start(options(folder.path()), 1).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64;
    let mut data = Vec::new();
    let mut put = |at: i64, n: u32| feeds[0].frame(&Frame { at: Time(at), ..frame(n, 0, &mut data) }).unwrap().file;
    let ahead = now + 3_600_000_000_000;
    let first = [put(ahead, 0), put(ahead + 7, 1), put(ahead - 2_000_000_000, 2)];
    let second = [put(now, 3), put(now + 7, 4)];
    assert!(first.iter().all(|file| *file == first[0]) && second.iter().all(|file| *file == second[0]) && first[0] != second[0]);
    drop(feeds);
    let counters = writer.counters();
    writer.finish();
    for entry in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        let Some(name) = packets::Name::of(&entry.path()) else { continue };
        let (begin, last) = if name.number == first[0] { (ahead, ahead + 7) } else { (now, now + 7) };
        assert_eq!(name.first.0 / 1000, begin / 1000);
        // The kernel's stamps are some milliseconds behind its clock.
        let modified = entry.metadata().unwrap().modified().unwrap() + Duration::from_millis(100);
        assert!(modified >= SystemTime::UNIX_EPOCH + Duration::from_nanos(last as u64), "{}", entry.path().display());
    }
    assert_eq!(counters.snapshot().frames_written, 5);
}
