use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use spool::Writer;
use tempfile::TempDir;

use super::*;

struct Site {
    folder: TempDir,
    next: usize,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        Self { folder, next: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    fn input(&self) -> Input {
        let pattern = self.path("*.log").to_str().unwrap().to_owned();
        Input { paths: vec![pattern], scan_frequency: Duration::ZERO, ..Input::default() }
    }

    fn tailer(&self, input: Input) -> Tailer {
        let options = spool::Options { block: 4 << 10, ..spool::Options::with_budget(64 << 20) };
        let spool = Writer::open(&self.spool(), options).unwrap();
        Tailer::open(Options { inputs: vec![input], name: "box".to_owned(), most_waiting: u64::MAX }, &self.spool(), spool).unwrap()
    }

    /// Appends so many lines with numbers of their own.
    fn write(&mut self, name: &str, lines: usize) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        for _ in 0..lines {
            writeln!(file, "line {}", self.next).unwrap();
            self.next += 1;
        }
    }

    fn append(&self, name: &str, text: &[u8]) {
        OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap().write_all(text).unwrap();
    }

    /// Everything in the spool so far.
    fn messages(&self) -> Vec<String> {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(self.spool()).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        let spool = Writer::open(copy.path(), spool::Options::with_budget(64 << 20)).unwrap();
        let batch = spool.reader("test").unwrap().read(usize::MAX, usize::MAX).unwrap();
        let message = |event: &[u8]| serde_json::from_slice::<serde_json::Value>(event).unwrap()["message"].as_str().unwrap().to_owned();
        batch.iter().map(message).collect()
    }

    /// Every line that was written stands in the spool once.
    fn check(&self) {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for message in self.messages() {
            *counts.entry(message).or_default() += 1;
        }
        let wrong: Vec<_> = (0..self.next).map(|n| format!("line {n}")).filter(|line| counts.get(line) != Some(&1)).collect();
        assert!(wrong.is_empty(), "not there once: {wrong:?}");
        assert_eq!(counts.len(), self.next);
    }
}

#[test]
fn lines_come_once_in_order_and_partial_ones_when_they_are_whole() {
    let mut site = Site::new();
    site.append("a.log", b"one\r\n\ntw");
    let mut tailer = site.tailer(site.input());
    tailer.run_once().unwrap();
    assert_eq!(site.messages(), ["one"]);
    site.append("a.log", b"o\nthree");
    tailer.run_once().unwrap();
    assert_eq!(site.messages(), ["one", "two"]);
    site.write("a.log", 0);
    fs::remove_file(site.path("a.log")).unwrap();
    tailer.run_once().unwrap();
    assert_eq!(site.messages(), ["one", "two", "three"]);
}

#[test]
fn excluded_lines_and_files_are_left_out() {
    let site = Site::new();
    site.append("a.log", b"#fields\nx\n");
    site.append("b.log", b"y\n");
    let pattern = |text: &str| vec![regex::bytes::Regex::new(text).unwrap()];
    let mut tailer = site.tailer(Input { exclude_lines: pattern(r"^\s*#"), exclude_files: pattern(r"b\.log$"), ..site.input() });
    let progress = tailer.run_once().unwrap();
    assert_eq!((site.messages(), progress.left_out), (vec!["x".to_owned()], 1));
}

#[test]
fn a_document_is_an_action_and_a_line_and_a_path_can_mark_its_events() {
    let site = Site::new();
    site.append("a.log", b"{\"index\":1}\t{\"b\":2}\n");
    site.tailer(Input { shape: Shape::Document, ..site.input() }).run_once().unwrap();
    let spool = Writer::open(&site.spool(), spool::Options::with_budget(64 << 20)).unwrap();
    let batch = spool.reader("x").unwrap().read(9, usize::MAX).unwrap();
    assert_eq!(batch.iter().collect::<Vec<_>>(), [b"{\"index\":1}\n{\"b\":2}\n"]);
    drop(spool);
    let marks = |path: &Path| Marks { tags: vec![path.file_name().unwrap().to_str().unwrap().to_owned()], site: Some("9".to_owned()) };
    site.append("b.log", b"x\n");
    let input = Input { marks: Some(marks), tags: vec!["all".to_owned()], ..site.input() };
    site.tailer(input).run_once().unwrap();
    let spool = Writer::open(&site.spool(), spool::Options::with_budget(64 << 20)).unwrap();
    let batch = spool.reader("x").unwrap().read(9, usize::MAX).unwrap();
    let event: serde_json::Value = serde_json::from_slice(batch.iter().last().unwrap()).unwrap();
    assert_eq!((&event["tags"], &event["netbox"]["site"]), (&serde_json::json!(["all", "b.log"]), &serde_json::json!("9")));
}

#[test]
fn a_renamed_file_is_read_to_its_end_and_its_successor_from_the_begin() {
    for new_name in ["conn.1.log", "conn.log.1"] {
        let mut site = Site::new();
        let mut tailer = site.tailer(site.input());
        site.write("conn.log", 10);
        tailer.run_once().unwrap();
        site.write("conn.log", 10);
        fs::rename(site.path("conn.log"), site.path(new_name)).unwrap();
        site.write("conn.log", 10);
        // The writer has not heard of the rotation yet.
        site.write(new_name, 5);
        tailer.run_once().unwrap();
        site.write(new_name, 5);
        tailer.run_once().unwrap();
        site.check();
    }
}

#[test]
fn what_was_renamed_while_nobody_looked_is_found_again() {
    let mut site = Site::new();
    site.write("conn.log", 10);
    site.tailer(site.input()).run_once().unwrap();
    site.write("conn.log", 10);
    fs::rename(site.path("conn.log"), site.path("conn.log.1")).unwrap();
    site.write("conn.log", 3);
    site.tailer(site.input()).run_once().unwrap();
    site.check();
}

#[test]
fn a_truncated_file_is_read_from_its_begin_even_if_it_is_longer_again() {
    for lines in [2, 40] {
        let mut site = Site::new();
        let mut tailer = site.tailer(site.input());
        site.write("a.log", 20);
        tailer.run_once().unwrap();
        File::create(site.path("a.log")).unwrap();
        site.write("a.log", lines);
        tailer.run_once().unwrap();
        site.check();
    }
}

#[test]
fn another_file_of_the_same_inode_is_another_file() {
    let mut site = Site::new();
    site.write("a.log", 20);
    site.tailer(site.input()).run_once().unwrap();
    // What a new file in the place of a deleted one looks like where inodes are given out again.
    let text: String = (20..60).map(|n| format!("line {n}\n")).collect();
    fs::write(site.path("a.log"), text).unwrap();
    site.next = 60;
    site.tailer(site.input()).run_once().unwrap();
    site.check();
}

#[test]
fn a_file_that_vanishes_is_still_read_to_its_end() {
    let mut site = Site::new();
    let mut tailer = site.tailer(site.input());
    site.write("a.log", 1);
    tailer.run_once().unwrap();
    site.write("a.log", 20);
    fs::remove_file(site.path("a.log")).unwrap();
    assert_eq!(tailer.run_once().unwrap().files, 0);
    site.check();
}

#[test]
fn old_files_are_followed_from_their_end() {
    let mut site = Site::new();
    site.append("old.log", b"not wanted\n");
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    File::options().append(true).open(site.path("old.log")).unwrap().set_modified(long_ago).unwrap();
    let mut tailer = site.tailer(Input { ignore_older: Duration::from_secs(3600), ..site.input() });
    tailer.run_once().unwrap();
    site.write("old.log", 3);
    tailer.run_once().unwrap();
    site.check();
}

#[test]
fn a_line_longer_than_is_kept_is_cut_and_the_next_is_whole() {
    let site = Site::new();
    let mut tailer = site.tailer(Input { max_bytes: 200_000, ..site.input() });
    site.append("a.log", &[b"x".repeat(500_000), b"\nnext\n".to_vec()].concat());
    tailer.run_once().unwrap();
    let lengths: Vec<_> = site.messages().iter().map(String::len).collect();
    assert_eq!(lengths, [200_000, 4]);
}

#[test]
fn a_line_that_grows_as_json_beyond_what_the_spool_takes_is_shortened() {
    let site = Site::new();
    let mut tailer = site.tailer(site.input());
    site.append("a.log", &[vec![1; 4 << 20], b"\nnext\n".to_vec()].concat());
    tailer.run_once().unwrap();
    assert_eq!(site.messages().iter().map(String::len).collect::<Vec<_>>(), [64 << 10, 4]);
}

#[test]
fn a_full_spool_makes_the_reading_wait() {
    let mut site = Site::new();
    site.write("a.log", 5000);
    let spool = Writer::open(&site.spool(), spool::Options::with_budget(64 << 20)).unwrap();
    let options = Options { inputs: vec![site.input()], name: "box".to_owned(), most_waiting: 1 };
    let mut tailer = Tailer::open(options, &site.spool(), spool).unwrap();
    assert_eq!(tailer.run_once().unwrap().lines, 5000);
    site.write("a.log", 5000);
    let progress = tailer.run_once().unwrap();
    assert!(progress.waits && progress.lines == 5000);
}

/// What may happen to log files, and to who follows them.
#[derive(Debug, Clone)]
enum Step {
    Write {
        file: usize,
        lines: usize,
    },
    Half {
        file: usize,
    },
    Rename {
        file: usize,
    },
    Truncate {
        file: usize,
    },
    Remove {
        file: usize,
    },
    Follow,
    Restart,
    /// The process dies; of the spool's last segment and the journal's end, so many bytes were not written.
    Die {
        torn: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_usize..3, 1_usize..60).prop_map(|(file, lines)| Step::Write { file, lines }),
        2 => (0_usize..3).prop_map(|file| Step::Half { file }),
        2 => (0_usize..3).prop_map(|file| Step::Rename { file }),
        1 => (0_usize..3).prop_map(|file| Step::Truncate { file }),
        1 => (0_usize..3).prop_map(|file| Step::Remove { file }),
        6 => Just(Step::Follow),
        1 => Just(Step::Restart),
        2 => (0_usize..6000).prop_map(|torn| Step::Die { torn }),
    ]
}

fn name(file: usize) -> String {
    format!("f{file}.log")
}

fn run(steps: &[Step]) {
    let mut site = Site::new();
    let mut tailer = Some(site.tailer(site.input()));
    let mut rotated = 0;
    // A file that is rotated away before anyone has seen it is lost to everyone.
    let mut unseen = false;
    let follow = |tailer: &mut Option<Tailer>, unseen: &mut bool| {
        tailer.as_mut().unwrap().run_once().unwrap();
        *unseen = false;
    };
    for step in steps {
        match step {
            Step::Write { file, lines } => {
                unseen |= !site.path(&name(*file)).exists();
                site.write(&name(*file), *lines);
            }
            Step::Half { file } => {
                site.append(&name(*file), b"li");
                follow(&mut tailer, &mut unseen);
                site.append(&name(*file), format!("ne {}\n", site.next).as_bytes());
                site.next += 1;
            }
            Step::Rename { file } => {
                rotated += 1;
                if unseen {
                    follow(&mut tailer, &mut unseen);
                }
                // Rotated out of the patterns' sight.
                let _ = fs::rename(site.path(&name(*file)), site.path(&format!("f{file}.{rotated}")));
            }
            Step::Truncate { file } => {
                // Read before: what is thrown away unread is lost to anyone.
                follow(&mut tailer, &mut unseen);
                if site.path(&name(*file)).exists() {
                    File::create(site.path(&name(*file))).unwrap();
                }
            }
            Step::Remove { file } => {
                follow(&mut tailer, &mut unseen);
                let _ = fs::remove_file(site.path(&name(*file)));
            }
            Step::Follow => follow(&mut tailer, &mut unseen),
            Step::Restart => {
                drop(tailer.take());
                tailer = Some(site.tailer(site.input()));
                unseen = true;
            }
            Step::Die { torn } => {
                // As it was before, with a piece of what was read since.
                let sizes = sizes(&site.spool());
                follow(&mut tailer, &mut unseen);
                let after = copy(&site.spool());
                drop(tailer.take());
                die(&site.spool(), after.path(), &sizes, *torn);
                tailer = Some(site.tailer(site.input()));
                unseen = true;
            }
        }
    }
    follow(&mut tailer, &mut unseen);
    site.check();
}

/// The spool as a kill leaves it that comes after `torn` more bytes were written: journal entries first, as they are written.
fn die(spool: &Path, after: &Path, sizes: &BTreeMap<String, u64>, torn: usize) {
    fs::remove_dir_all(spool).unwrap();
    fs::create_dir(spool).unwrap();
    let mut room = torn as u64;
    for entry in fs::read_dir(after).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let text = fs::read(entry.path()).unwrap();
        let old = sizes.get(&name).copied().unwrap_or(0);
        if !name.ends_with(".seg") {
            // The journal is ahead of the spool, never behind.
            fs::write(spool.join(&name), text).unwrap();
            continue;
        }
        let kept = (text.len() as u64).min(old + room);
        room -= kept - old.min(kept);
        fs::write(spool.join(&name), &text[..kept as usize]).unwrap();
    }
}

fn copy(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn sizes(folder: &Path) -> BTreeMap<String, u64> {
    let entry = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len());
    fs::read_dir(folder).unwrap().map(Result::unwrap).map(entry).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_line_once_whatever_happens_to_files_and_follower(steps in proptest::collection::vec(step(), 1..40)) {
        run(&steps);
    }
}
