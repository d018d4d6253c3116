//! The daemon as an operator runs it: from the wire to files, and back to an untouched machine.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic")]

mod wire;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use settings::control::{Client, Request, Response, Status};
use wire::{Wire, ethernet, ipv4};

const TENREC: &str = env!("CARGO_BIN_EXE_tenrec");

/// A daemon that captures from `near`, with everything in a folder of its own.
struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
    lines: Receiver<String>,
    told: Vec<String>,
}

impl Daemon {
    fn start(more: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), more)
    }

    fn start_with(more: &str, checksums: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = settings(folder.path(), more);
        let text = fs::read_to_string(&path).unwrap().replace("checksums = false", checksums);
        fs::write(&path, text).unwrap();
        Self::start_from(folder, path)
    }

    fn start_in(folder: tempfile::TempDir, more: &str) -> Self {
        let settings = settings(folder.path(), more);
        Self::start_from(folder, settings)
    }

    fn start_from(folder: tempfile::TempDir, settings: PathBuf) -> Self {
        let mut child = Command::new(TENREC)
            .env("TENREC_LOG", "info")
            .args(["run", "--settings"])
            .arg(settings)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, folder, lines, told: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for a line of the log, unless it has come already.
    fn wait_for_line(&mut self, part: &str) -> String {
        if let Some(line) = self.told.iter().find(|line| line.contains(part)) {
            return line.clone();
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.told.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(_) => panic!("no line with {part:?}, but {:#?}", self.told),
            }
        }
    }

    fn status(&self) -> Status {
        Client::connect(&self.path("run/control.sock")).unwrap().status().unwrap()
    }

    /// Waits until so many packets are analysed.
    fn wait_for_packets(&self, packets: u64) -> Status {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let status = self.status();
            if status.packets_analysed >= packets && status.interfaces[0].received >= packets {
                return status;
            }
            assert!(Instant::now() < deadline, "{packets} packets were not analysed: {status:?}");
            thread::yield_now();
        }
    }

    fn signal(&self, signal: &str) {
        Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
    }

    fn end(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.wait()
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.told.extend(self.lines.iter());
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon does not end");
            thread::yield_now();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(folder: &Path, more: &str) -> PathBuf {
    let path = folder.join("tenrec.toml");
    let at = folder.display();
    let text = format!(
        "capture.interfaces = ['near']\ncapture.workers = 1\ncapture.ring_megabytes = 4\n\
         pcap.folder = '{at}/pcap'\nlogs.folder = '{at}/logs'\nfiles = {{ folder = '{at}/files', carving = 'all' }}\n\
         control.socket = '{at}/run/control.sock'\nanalysis = {{ seed = 7, checksums = false }}\ndisk.floor_megabytes = 1\n{more}"
    );
    fs::write(&path, text).unwrap();
    path
}

/// Frames of one HTTP exchange, both directions, without TCP's checksums: as a virtual machine sends them.
fn exchange(port: u16) -> Vec<Vec<u8>> {
    let request = b"GET /hello HTTP/1.1\r\nHost: server\r\nUser-Agent: test\r\n\r\n".as_slice();
    let body = "hello ".repeat(100);
    let response = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (a, b) = (request.len() as u32, response.len() as u32);
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    const PUSH: u8 = 24;
    const FIN: u8 = 17;
    vec![
        segment(true, port, 100, 0, SYN, b""),
        segment(false, port, 500, 101, SYN | ACK, b""),
        segment(true, port, 101, 501, ACK, b""),
        segment(true, port, 101, 501, PUSH, request),
        segment(false, port, 501, 101 + a, PUSH, response.as_bytes()),
        segment(true, port, 101 + a, 501 + b, ACK, b""),
        segment(false, port, 501 + b, 101 + a, FIN, b""),
        segment(true, port, 101 + a, 502 + b, FIN, b""),
        segment(false, port, 502 + b, 102 + a, ACK, b""),
    ]
}

fn segment(from_client: bool, port: u16, sequence: u32, acknowledged: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (client, server) = (([10, 0, 0, 1], port), ([10, 0, 0, 2], 80));
    let (from, to) = if from_client { (client, server) } else { (server, client) };
    let mut packet = vec![0x45, 0];
    packet.extend((40 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    packet.extend(from.0);
    packet.extend(to.0);
    // The header's own checksum is right; TCP's is not there yet.
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    packet.extend(from.1.to_be_bytes());
    packet.extend(to.1.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(acknowledged.to_be_bytes());
    packet.extend([0x50, flags, 4, 0, 0, 0, 0, 0]);
    packet.extend(payload);
    ethernet(&[], 0x0800, &packet, 60)
}

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

/// The documents of an index of the embedded collector, by id, as its changes left them.
fn documents(folder: &Path, index: &str) -> std::collections::BTreeMap<String, serde_json::Value> {
    let mut documents = std::collections::BTreeMap::new();
    for entry in fs::read_dir(folder.join("received/opensearch")).into_iter().flatten() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with(index) {
            continue;
        }
        for line in fs::read_to_string(&path).unwrap().split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let change: serde_json::Value = serde_json::from_str(line).unwrap();
            let id = change["_id"].as_str().unwrap().to_owned();
            if change["deleted"] == true { drop(documents.remove(&id)) } else { drop(documents.insert(id, change)) }
        }
    }
    documents
}

#[test]
fn sessions_and_the_list_of_captures_outlive_a_restart_without_a_collector_and_arrive_once() {
    let Some(wire) = Wire::lay("sessions_and_the_list_of_captures_outlive_a_restart_without_a_collector_and_arrive_once") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = settings(
        folder.path(),
        &format!(
            "pcap.rotate_megabytes = 1\npcap.budget_megabytes = 3\nscan.enabled = false\nspool.folder = '{at}/spool'\n\
             node = {{ name = 's', tags = ['plant'] }}\nopensearch = {{ enabled = true, hosts = ['http://127.0.0.1:{port}'] }}\n"
        ),
    );
    let mut daemon = Daemon::start_from(tempfile::tempdir().unwrap(), path.clone());
    daemon.wait_for_line("ready");
    for frame in (0..20).flat_map(|n| exchange(40_000 + n)) {
        wire.send(&frame);
    }
    // Six megabytes: files are rotated, and the oldest are deleted before anybody has heard of them.
    let filler = ethernet(&[], 0x0800, &ipv4([10, 0, 0, 3], [10, 0, 0, 4], 17, [1000, 2000], 0), 1000);
    for _ in 0..6000 {
        wire.send(&filler);
    }
    daemon.wait_for_line("no delivery to OpenSearch");
    assert!(daemon.end().success(), "{:#?}", daemon.told);

    let mut collector = Command::new(TENREC)
        .args(["collector", "--plain", "--listen", "127.0.0.1:0", "--opensearch-listen", &format!("127.0.0.1:{port}"), "--folder"])
        .arg(folder.path().join("received"))
        .arg("--certificates")
        .arg(folder.path().join("certs"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut daemon = Daemon::start_from(tempfile::tempdir().unwrap(), path);
    daemon.wait_for_line("connected to OpenSearch");
    let deadline = Instant::now() + Duration::from_secs(20);
    while documents(folder.path(), "arkime_sessions3-").len() < 20 || documents(folder.path(), "arkime_stats").is_empty() {
        assert!(Instant::now() < deadline, "{:#?}", daemon.told);
        thread::yield_now();
    }
    assert!(daemon.end().success(), "{:#?}", daemon.told);
    let _ = collector.kill();
    let _ = collector.wait();

    let sessions = documents(folder.path(), "arkime_sessions3-");
    let logged: usize = fs::read_dir(folder.path().join("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("sessions."))
        .map(|path| fs::read_to_string(path).unwrap().lines().count())
        .sum();
    assert_eq!(sessions.len(), logged, "every session that was logged, and each once");
    assert!(sessions.values().all(|session| session["_version"] == 1 && session["_source"]["node"] == "s"));
    assert!(sessions.values().all(|session| session["_source"]["tags"].as_array().unwrap().contains(&"plant".into())));
    let told: Vec<_> = documents(folder.path(), "arkime_files")
        .into_values()
        .map(|file| (file["_source"]["name"].as_str().unwrap().to_owned(), file["_source"]["filesize"].as_u64()))
        .collect();
    let on_disk: Vec<_> = fs::read_dir(folder.path().join("pcap"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| packets::Name::of(path).is_some())
        .map(|path| (path.to_str().unwrap().to_owned(), Some(path.metadata().unwrap().len())))
        .collect();
    let sorted = |mut files: Vec<(String, Option<u64>)>| {
        files.sort();
        files
    };
    assert_eq!(sorted(told), sorted(on_disk));
    let highest = documents(folder.path(), "arkime_files").values().map(|file| file["_source"]["num"].as_u64().unwrap()).max().unwrap();
    assert!(highest > 3 && documents(folder.path(), "arkime_sequence")["fn-s"]["_version"] == highest);
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

/// A small file system over a folder, taken away again when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn small(folder: &Path, size: &str) -> Self {
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tenrec"]).arg(folder).status();
        assert!(status.unwrap().success());
        Self(folder.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy"]).arg(&self.0).status();
    }
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
