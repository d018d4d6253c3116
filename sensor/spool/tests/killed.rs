//! SIGKILL of the writing process at random points: whatever was flushed is there afterwards, once, in order.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a failed test may panic, and the child tells by its output")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use spool::{Options, Writer};

const FOLDER: &str = "TENREC_TEST_SPOOL";
/// Kills, unless `TENREC_ROUNDS` says another number.
const ROUNDS: u32 = 100;

fn options() -> Options {
    Options { segment: 20_000, block: 1000, ..Options::with_budget(64 << 20) }
}

/// The process that is killed: appends numbers without end and says how far it has flushed.
#[test]
#[ignore = "started by the other test, and ended by it alone"]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let mut writer = Writer::open(Path::new(&folder), options()).unwrap();
    let mut reader = writer.reader("probe").unwrap();
    let mut number = 0;
    loop {
        let batch = reader.read(1000, usize::MAX).unwrap();
        if batch.is_empty() {
            break;
        }
        number += batch.len();
    }
    let mut out = std::io::stdout().lock();
    loop {
        for _ in 0..7 {
            writer.append(format!("{number:020}").as_bytes()).unwrap();
            number += 1;
        }
        writer.flush().unwrap();
        writeln!(out, "flushed {number}").unwrap();
    }
}

#[test]
fn what_was_flushed_survives_a_hundred_kills() {
    let rounds = std::env::var("TENREC_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (mut random, mut promised) = (1_u32, 0);
    for _ in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // After so many promises, wherever it is then.
        let until = (random >> 16) as usize % 200 + 1;
        let promises = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        for line in promises.filter_map(|line| line.strip_prefix("flushed ").map(str::to_owned)).take(until) {
            promised = line.parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let writer = Writer::open(folder.path(), options()).unwrap();
    let mut reader = writer.reader("check").unwrap();
    let mut came = 0_usize;
    loop {
        let batch = reader.read(1000, usize::MAX).unwrap();
        if batch.is_empty() {
            break;
        }
        for record in batch.iter() {
            assert_eq!(String::from_utf8_lossy(record), format!("{came:020}"));
            came += 1;
        }
    }
    println!("{rounds} kills: {promised} records promised, {came} came, none twice");
    assert!(came >= promised);
    assert_eq!(writer.stats().lost(), 0);
}
