//! The daemon as an operator runs it: from the wire to files, and back to an untouched machine.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic")]

mod daemon;
mod wire;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use daemon::{Daemon, Mounted, TENREC, exchange, settings};
use settings::control::{Client, Request, Response};
use wire::Wire;

/// The lines of every log in a folder, sorted: flows that end together may end in any order.
fn logs(folder: &Path) -> Vec<(String, Vec<String>)> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let mut lines: Vec<_> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
            lines.sort();
            logs.push((path.file_name().unwrap().to_str().unwrap().to_owned(), lines));
        }
    }
    logs.sort();
    logs
}

fn offload(name: &str) -> bool {
    let output = Command::new("ethtool").args(["-k", "near"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().any(|line| line == format!("{name}: on"))
}

/// Each log's name and number of lines.
fn names(logs: &[(String, Vec<String>)]) -> Vec<(&str, usize)> {
    logs.iter().map(|(name, lines)| (name.as_str(), lines.len())).collect()
}

#[test]
fn live_and_from_its_own_captures_the_same_rows_come_out() {
    for compression in ["none", "lz4"] {
        let Some(wire) = Wire::lay("live_and_from_its_own_captures_the_same_rows_come_out") else { return };
        let mut daemon = Daemon::start(&format!("pcap.compression = '{compression}'\nscan.enabled = false\n"));
        daemon.wait_for_line("ready");
        let frames: Vec<_> = (0..50).flat_map(|n| exchange(40_000 + n)).collect();
        for frame in &frames {
            wire.send(frame);
        }
        let status = daemon.wait_for_packets(frames.len() as u64);
        let near = &status.interfaces[0];
        assert_eq!(near.received, near.captured + near.filtered + near.shunted + near.too_big + near.ring_full);
        assert_eq!(near.captured, frames.len() as u64);
        daemon.wait_for_line("first frame of queue 0");
        assert!(daemon.end().success(), "{:#?}", daemon.told);

        let live = logs(&daemon.path("logs"));
        assert!(live.iter().any(|(log, lines)| log == "conn.log" && lines.len() == 50), "{live:?}");
        assert!(live.iter().any(|(log, lines)| log == "http.log" && lines.len() == 50), "{live:?}");
        let captures: Vec<_> = fs::read_dir(daemon.path("pcap")).unwrap().map(|entry| entry.unwrap().path()).collect();
        let captures: Vec<_> = captures.into_iter().filter(|path| packets::Name::of(path).is_some()).collect();
        if compression == "none" {
            let mut capture = pcap::Capture::from_file(&captures[0]).unwrap();
            let mut theirs = Vec::new();
            while let Ok(packet) = capture.next_packet() {
                theirs.push(packet.data.to_vec());
            }
            assert_eq!(theirs, frames, "libpcap reads what was sent");
        }
        let read = Command::new(TENREC)
            .args(["read", "--zeek", "json", "--profile", "malcolm", "--carve", "all", "--no-checksums", "--seed", "7", "--out"])
            .arg(daemon.path("again"))
            .args(&captures)
            .status()
            .unwrap();
        assert!(read.success());
        let again = logs(&daemon.path("again"));
        assert_eq!(names(&live), names(&again), "{compression}");
        for ((log, live), (_, again)) in live.iter().zip(&again) {
            for (live, again) in live.iter().zip(again) {
                assert_eq!(live, again, "{log}, {compression}");
            }
        }
    }
}

#[test]
fn the_status_shows_the_invariant_and_the_last_connections_and_files() {
    let Some(wire) = Wire::lay("the_status_shows_the_invariant_and_the_last_connections_and_files") else { return };
    let mut daemon = Daemon::start("capture.filter = 'not port 41000'\n");
    daemon.wait_for_line("ready");
    let frames: Vec<_> = exchange(40_000).into_iter().chain(exchange(41_000)).collect();
    for frame in &frames {
        wire.send(frame);
    }
    daemon.wait_for_packets(9);
    let output = Command::new(TENREC).args(["status", "--settings"]).arg(daemon.path("tenrec.toml")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("received 18 = captured 9 + filtered 9 + shunted 0 + too_big 0 + ring_full 0"), "{text}");
    // A flow that has ended is logged when Zeek would: five seconds after its end.
    let mut client = Client::connect(&daemon.path("run/control.sock")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let Response::Connections { connections } = client.ask(&Request::Connections { limit: 10 }).unwrap() else { panic!() };
        if let [connection] = connections.as_slice() {
            assert_eq!((connection.destination_port, connection.state.as_str()), (80, "SF"));
            break;
        }
        assert!(Instant::now() < deadline, "{connections:?}");
        thread::yield_now();
    }
    let Response::Files { files } = client.ask(&Request::Files { limit: 10 }).unwrap() else { panic!() };
    assert_eq!((files.len(), files[0].size), (1, 600), "{files:?}");
}

#[test]
fn what_is_recorded_before_the_collector_answers_is_delivered_when_it_does() {
    let Some(wire) = Wire::lay("what_is_recorded_before_the_collector_answers_is_delivered_when_it_does") else { return };
    let folder = tempfile::tempdir().unwrap();
    let certificates = folder.path().join("certs");
    let collector = |port: u16| {
        let mut child = Command::new(TENREC)
            .args(["collector", "--listen", &format!("127.0.0.1:{port}"), "--folder"])
            .arg(folder.path().join("received"))
            .arg("--certificates")
            .arg(&certificates)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("collecting on"))).unwrap().unwrap();
        (child, line)
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // Once, for its certificates.
    let (mut child, _) = collector(port);
    child.kill().unwrap();
    child.wait().unwrap();
    let at = certificates.display();
    let mut daemon = Daemon::start(&format!(
        "forward = {{ enabled = true, hosts = ['127.0.0.1:{port}'], ca = '{at}/ca.crt' }}\nspool.folder = '{}'\n",
        folder.path().join("spool").display()
    ));
    daemon.wait_for_line("ready");
    for frame in (0..20).flat_map(|n| exchange(40_000 + n)) {
        wire.send(&frame);
    }
    let status = daemon.wait_for_packets(180);
    assert!(!status.destinations[0].is_connected());
    let (mut child, _) = collector(port);
    // The flows end five seconds after their last packet, and their lines follow the others.
    let deadline = Instant::now() + Duration::from_secs(40);
    let received = |log: &str| fs::read_to_string(folder.path().join("received").join(log)).map_or(0, |text| text.lines().count());
    while received("conn.ndjson") < 20 || received("http.ndjson") < 20 {
        assert!(Instant::now() < deadline, "{:?}", daemon.status());
        thread::yield_now();
    }
    let status = daemon.status();
    assert_eq!((status.destinations[0].is_connected(), status.drops.spool), (true, 0));
    assert!(daemon.end().success(), "{:#?}", daemon.told);
    assert_eq!((received("conn.ndjson"), received("http.ndjson")), (20, 20), "nothing comes twice");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn senders_that_leave_checksums_to_a_card_are_told() {
    let Some(wire) = Wire::lay("senders_that_leave_checksums_to_a_card_are_told") else { return };
    let mut daemon = Daemon::start_with("", "checksums = true");
    daemon.wait_for_line("ready");
    for frame in (0..5).flat_map(|n| exchange(40_000 + n)) {
        wire.send(&frame);
    }
    let line = daemon.wait_for_line("packets with wrong checksums");
    assert!(line.contains("analysis.checksums = false"), "{line}");
}

#[test]
fn rules_look_on_and_those_that_cannot_be_used_are_told() {
    let Some(wire) = Wire::lay("rules_look_on_and_those_that_cannot_be_used_are_told") else { return };
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("site.rules");
    fs::write(&rules, "alert http any any -> any any (msg:\"greeting\"; http.uri; content:\"/hello\"; sid:7;)\nalert ip any any -> any any (lua:x; sid:8;)\n")
        .unwrap();
    let mut daemon = Daemon::start_with("", &format!("checksums = false, rules = ['{}']", rules.display()));
    daemon.wait_for_line("ready");
    daemon.wait_for_line("rule left out");
    let frames = exchange(40_000);
    for frame in &frames {
        wire.send(frame);
    }
    daemon.wait_for_packets(frames.len() as u64);
    assert!(daemon.end().success());
    let events = fs::read_to_string(daemon.path("logs/eve.json")).unwrap();
    let alerts: Vec<_> = events.lines().filter(|line| line.contains(r#""event_type":"alert""#)).collect();
    assert!(matches!(alerts.as_slice(), [alert] if alert.contains(r#""signature_id":7"#)), "{alerts:?}");
}

#[test]
fn interfaces_are_put_back_even_if_the_daemon_is_killed() {
    let Some(_wire) = Wire::lay("interfaces_are_put_back_even_if_the_daemon_is_killed") else { return };
    for signal in ["-TERM", "-KILL"] {
        Command::new("ethtool").args(["-K", "near", "gro", "on"]).status().unwrap();
        let mut daemon = Daemon::start("");
        daemon.wait_for_line("ready");
        assert!(!offload("generic-receive-offload"));
        daemon.signal(signal);
        daemon.wait();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !offload("generic-receive-offload") || !offload("generic-segmentation-offload") {
            assert!(Instant::now() < deadline, "offloads are not back after {signal}");
            thread::yield_now();
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let Some(_wire) = Wire::lay("what_is_wrong_is_said_with_what_to_do") else { return };
    let run = |more: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = settings(folder.path(), more);
        let output = Command::new(TENREC).args(["run", "--settings"]).arg(path).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = run("logs.fodler = 'x'\n");
    assert!(code == Some(2) && text.contains("fodler") && text.contains("folder"), "{code:?} {text}");
    let (code, text) = run("capture.filter = 'tcp prot 80'\n");
    assert!(code == Some(1) && text.contains("tcp prot 80") && text.contains("pcap-filter"), "{code:?} {text}");
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("setpriv")
        .args(["--bounding-set=-all", TENREC, "run", "--settings"])
        .arg(settings(folder.path(), ""))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("no permission to capture"), "{text}");
    let missing = |name: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = settings(folder.path(), "");
        let output = Command::new(TENREC).args(["run", "--settings"]).arg(path).env("PCAP_IFACE", name).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = missing("eth77");
    assert!(code == Some(1) && text.contains("eth77") && text.contains("near"), "{code:?} {text}");
}

#[test]
fn a_full_disk_is_told_once_and_costs_what_it_must_and_nothing_else() {
    let Some(wire) = Wire::lay("a_full_disk_is_told_once_and_costs_what_it_must_and_nothing_else") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mounted = Mounted::small(folder.path(), "6m");
    let mut daemon = Daemon::start_in(folder, "");
    daemon.wait_for_line("ready");
    // Others fill the disk to the last byte.
    let foreign = daemon.path("foreign");
    let mut file = fs::File::create(&foreign).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    let mut sent = 0;
    let mut send = |ports: std::ops::Range<u16>| {
        for frame in ports.flat_map(exchange) {
            wire.send(&frame);
            sent += 1;
        }
        sent
    };
    let packets = send(40_000..40_400);
    daemon.wait_for_packets(packets);
    daemon.wait_for_line("captures cannot be written");
    daemon.wait_for_line("no new files are carved");
    let status = daemon.status();
    assert_eq!((status.interfaces[0].captured, status.drops.ring), (packets, 0), "capture goes on");
    assert!(status.drops.pcap > 0);
    // There is room again: writing goes on by itself.
    fs::remove_file(&foreign).unwrap();
    let packets = send(41_000..41_400);
    daemon.wait_for_packets(packets);
    daemon.wait_for_line("captures are being written again");
    assert!(daemon.end().success(), "{:#?}", daemon.told);
    let told = |part: &str| daemon.told.iter().filter(|line| line.contains(part)).count();
    assert_eq!(told("captures cannot be written"), 1, "{:#?}", daemon.told);
    drop(daemon);
    drop(mounted);
}

#[test]
fn when_others_fill_the_disk_the_parts_give_way_in_order_and_say_so() {
    let Some(wire) = Wire::lay("when_others_fill_the_disk_the_parts_give_way_in_order_and_say_so") else { return };
    let folder = tempfile::tempdir().unwrap();
    let _disk = Mounted::small(folder.path(), "64m");
    fs::create_dir(folder.path().join("logs")).unwrap();
    let old = ["dns.2026-01-01-00-00-00.log", "dns.2026-01-02-00-00-00.log"].map(|name| folder.path().join("logs").join(name));
    old.iter().for_each(|path| fs::write(path, vec![b'x'; 10 << 20]).unwrap());
    let mut daemon = Daemon::start_in(folder, "");
    daemon.wait_for_line("ready");
    exchange(40_000).iter().for_each(|frame| wire.send(frame));
    let other = daemon.path("of-somebody-else");
    fs::write(&other, vec![b'x'; 87 << 19]).unwrap();
    // Below the floor now.
    daemon.wait_for_line("no new files are carved");
    daemon.wait_for_line("log files deleted");
    daemon.wait_for_line("files are carved again");
    assert!(old.iter().any(|path| !path.exists()));
    fs::remove_file(other).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let notices = fs::read_to_string(daemon.path("logs/notice.log")).unwrap_or_default();
        if ["Tenrec::Carving_Stopped", "Tenrec::Deleted_For_Room", "Tenrec::Carving_Resumed"].iter().all(|note| notices.contains(note)) {
            break;
        }
        assert!(Instant::now() < deadline, "{notices}");
        thread::yield_now();
    }
    assert!(daemon.end().success(), "{:#?}", daemon.told);
}

#[test]
fn an_interface_that_goes_away_is_told_and_without_any_the_daemon_ends() {
    let Some(_wire) = Wire::lay("an_interface_that_goes_away_is_told_and_without_any_the_daemon_ends") else { return };
    let mut daemon = Daemon::start("");
    daemon.wait_for_line("ready");
    wire::ip(&["link", "del", "near"]);
    daemon.wait_for_line("the interface is gone");
    assert_eq!(daemon.wait().code(), Some(1));
    assert!(daemon.told.iter().any(|line| line.contains("no interface is left")), "{:#?}", daemon.told);
}

#[test]
fn workers_come_before_everyone_else() {
    let Some(_wire) = Wire::lay("workers_come_before_everyone_else") else { return };
    let mut daemon = Daemon::start("");
    daemon.wait_for_line("ready");
    let deadline = Instant::now() + Duration::from_secs(10);
    // A thread goes back to ordinary priority when it first runs.
    loop {
        let nice = niceness(daemon.child.id());
        if nice.iter().all(|(name, nice)| *nice == if name.starts_with("worker") { -10 } else { 0 }) {
            return;
        }
        assert!(Instant::now() < deadline, "{nice:?}");
        thread::yield_now();
    }
}

/// Names and niceness of a process's threads.
fn niceness(process: u32) -> Vec<(String, i32)> {
    let mut all = Vec::new();
    for task in fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        // proc(5): nice is field 19; the name, field 2, stands in brackets and may hold anything.
        let stat = fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
        let (before, after) = stat.rsplit_once(')').unwrap();
        let name = before.split_once('(').unwrap().1;
        all.push((name.to_owned(), after.split_whitespace().nth(16).unwrap().parse().unwrap()));
    }
    all
}

#[test]
fn privileges_are_gone_and_the_kernel_says_so() {
    let Some(_wire) = Wire::lay("privileges_are_gone_and_the_kernel_says_so") else { return };
    let mut daemon = Daemon::start("");
    daemon.wait_for_line("ready");
    for task in fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap() {
        let text = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        for line in ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }
}
