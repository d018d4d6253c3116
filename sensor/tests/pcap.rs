//! `tenrec pcap` as an operator uses it, and what others read in what it writes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic")]

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::{Command, Output},
    thread,
    time::Duration,
};

use analyze::{Frame, Link, Time};
use tenrec::pcap::{self, Options};

/// 2023-11-14 22:13:20 UTC and some nanoseconds.
const START: i64 = 1_700_000_000_000_000_123;

/// A UDP packet a millisecond, from two interfaces in turn, to port 53 or 80, from 10.0.0.N.
fn frame(n: u32, data: &mut Vec<u8>) -> Frame<'_> {
    let port: u16 = if n.is_multiple_of(100) { 53 } else { 80 };
    data.clear();
    data.extend([2; 12]);
    data.extend([8, 0, 0x45, 0, 0, 128, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, (n % 7) as u8, 10, 0, 1, 1, 0x9c, 0x40]);
    data.extend(port.to_be_bytes());
    data.extend([0, 108, 0, 0]);
    data.extend(n.to_be_bytes());
    data.resize(142, n as u8);
    let interface = (n % 2) as u16;
    Frame { at: Time(START + i64::from(n) * 1_000_000), wire_len: 142, data, interface, link: Link::ETHERNET, position: None }
}

/// A store of so many packets in files of a megabyte.
fn store(folder: &Path, lz4: bool, packets: u32) {
    let options = Options {
        folder: folder.to_owned(),
        interfaces: vec!["left".to_owned(), "right".to_owned()],
        rotate_bytes: 1 << 20,
        rotate_age: Duration::ZERO,
        lz4,
        budget_bytes: 0,
        floor_bytes: 0,
        share: std::sync::Arc::default(),
        snap: 0,
        events: Vec::new(),
    };
    let (mut feeds, writer) = pcap::start(options, 1).unwrap();
    let mut data = Vec::new();
    for n in 0..packets {
        while feeds[0].frame(&frame(n, &mut data)).is_none() {
            thread::yield_now();
        }
    }
    drop(feeds);
    writer.finish();
}

fn tenrec(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tenrec")).args(["pcap", "--folder"]).arg(folder).args(arguments).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What another program says of a capture; nothing if it is not installed.
fn ask(program: &str, arguments: &[&str], capture: &Path) -> Option<String> {
    match Command::new(program).args(arguments).arg(capture).output() {
        Ok(output) => {
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let _ = writeln!(io::stderr(), "SKIPPED: a part of a test: {program} is not installed");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

#[test]
fn others_read_what_was_found_in_the_order_of_time() {
    for lz4 in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (captures, out) = (folder.path().join("pcap"), folder.path().join("out"));
        store(&captures, lz4, 40_000);
        fs::create_dir(&out).unwrap();
        for name in ["found.pcap", "found.pcapng"] {
            let capture = out.join(name);
            let output = tenrec(&captures, &["--filter", "udp port 53", "--out", capture.to_str().unwrap()]);
            assert!(output.status.success() && told(&output).contains("400 packets"), "{}", told(&output));
            if let Some(lines) = ask("tcpdump", &["-n", "-tt", "--nano", "-r"], &capture) {
                let times: Vec<_> = lines.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
                assert_eq!((times.len(), times[0].as_str(), times[1].as_str()), (400, "1700000000.000000123", "1700000000.100000123"));
                assert!(times.is_sorted());
                assert!(lines.lines().all(|line| line.contains(".53: ")), "{lines}");
            }
            if let Some(told) = ask("capinfos", &["-c", "-M"], &capture) {
                assert!(told.contains("400"), "{told}");
            }
            if let Some(lines) = ask("tshark", &["-n", "-T", "fields", "-e", "frame.interface_name", "-e", "udp.dstport", "-r"], &capture) {
                let wanted = if name.ends_with("ng") { "left\t53" } else { "\t53" };
                assert!(lines.lines().count() == 400 && lines.lines().all(|line| line == wanted), "{lines}");
            }
        }
    }
}

#[test]
fn a_time_span_reads_no_more_than_it_must() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path(), false, 40_000);
    let from = "2023-11-14T22:13:30Z";
    let output = tenrec(folder.path(), &["--from", from, "--to", "1700000010.999"]);
    assert!(output.status.success() && told(&output).contains(" 999 packets"), "{}", told(&output));
    let read: u64 = told(&output).split("read packets from ").nth(1).unwrap().split(['(', ' ']).nth(2).unwrap().parse().unwrap();
    assert!(read < 2 << 20, "{}", told(&output));
    assert_eq!(output.stdout[..4], 0xa1b2_3c4d_u32.to_le_bytes());
}

#[test]
fn nothing_found_is_a_whole_capture_without_packets() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path(), true, 100);
    let output = tenrec(folder.path(), &["--filter", "host 192.0.2.1", "--out", "-"]);
    assert!(output.status.success() && told(&output).contains("0 packets"), "{}", told(&output));
    assert_eq!(output.stdout.len(), 24);
}

#[test]
fn mistakes_are_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    store(folder.path(), false, 100);
    for (arguments, part) in [
        (&["--filter", "host host"][..], "pcap-filter"),
        (&["--from", "yesterday"], "-10m"),
        (&["--from", "now", "--to", "-1h"], "later"),
        (&["--out", "/nonexistent/x.pcap"], "--out"),
        (&["--session", "1", "--filter", "tcp"], "cannot be used with"),
    ] {
        let output = tenrec(folder.path(), arguments);
        assert!(output.status.code() == Some(2) && told(&output).contains(part), "{arguments:?}: {}", told(&output));
    }
    let output = tenrec(folder.path(), &["--session", "231114-none"]);
    assert!(output.status.code() == Some(1) && told(&output).contains("knows the session"), "{}", told(&output));
    let output = tenrec(&folder.path().join("none"), &[]);
    assert!(output.status.code() == Some(2) && told(&output).contains("--folder"), "{}", told(&output));
}
