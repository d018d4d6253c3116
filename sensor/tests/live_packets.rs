//! Packets back: every position of a session that was written live is one of its packets, and who asks for them gets them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic")]

mod daemon;
mod wire;

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{ErrorKind, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    pbkdf2,
};
use daemon::{Program, TENREC};
use packets::{Name, record::Record};
use serde_json::{Value, json};
use settings::control::Client;
use wire::{Wire, ethernet};

const SECRET: &str = "a secret of this test";
const PATIENCE: Duration = Duration::from_secs(30);

fn settings(folder: &Path, more: &str) -> PathBuf {
    let path = folder.join("tenrec.toml");
    let at = folder.display();
    let text = format!(
        "node.name = 'sensor1'\ncapture = {{ interfaces = ['near'], workers = 1, ring_megabytes = 16 }}\n\
         logs.folder = '{at}/logs'\nfiles = {{ folder = '{at}/files', carving = 'none' }}\nscan.enabled = false\n\
         control.socket = '{at}/run/control.sock'\nanalysis = {{ seed = 7, checksums = false }}\ndisk.floor_megabytes = 1\n\
         viewer = {{ listen = '127.0.0.1:0', secret = '{SECRET}', certificates = '{at}/certs', socket = '{at}/run/viewer.sock' }}\n{more}"
    );
    fs::write(&path, text).unwrap();
    path
}

/// A frame of TCP between 10.0.0.1, at a port, and 10.0.0.2:80, perhaps with a VLAN tag.
fn segment(tag: Option<u16>, from_client: bool, port: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (client, server) = (([10, 0, 0, 1], port), ([10, 0, 0, 2], 80));
    let (from, to) = if from_client { (client, server) } else { (server, client) };
    let mut packet = vec![0x45, 0];
    packet.extend((40 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    packet.extend(from.0);
    packet.extend(to.0);
    packet.extend(from.1.to_be_bytes());
    packet.extend(to.1.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(1_u32.to_be_bytes());
    packet.extend([0x50, flags, 4, 0, 0, 0, 0, 0]);
    packet.extend(payload);
    ethernet(tag.as_slice(), 0x0800, &packet, 60)
}

/// Frames of some sessions at once, with so many segments of a kilobyte each, in turn.
fn sessions(ports: std::ops::Range<u16>, segments: u32) -> Vec<Vec<u8>> {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    const FIN: u8 = 17;
    let tag = |port: u16| port.is_multiple_of(3).then_some(100);
    let mut frames = Vec::new();
    let mut random = 1_u64;
    for port in ports.clone() {
        frames.push(segment(tag(port), true, port, 100, SYN, b""));
        frames.push(segment(tag(port), false, port, 500, SYN | ACK, b""));
    }
    for n in 0..segments {
        for port in ports.clone() {
            // What cannot be compressed, so that files fill up.
            let payload: Vec<u8> = std::iter::repeat_with(|| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 56) as u8
            })
            .take(1000)
            .collect();
            frames.push(segment(tag(port), true, port, 101 + n * 1000, ACK, &payload));
        }
    }
    for port in ports {
        frames.push(segment(tag(port), true, port, 101 + segments * 1000, FIN, b""));
        frames.push(segment(tag(port), false, port, 501, FIN, b""));
    }
    frames
}

fn wait_for_packets(folder: &Path, packets: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = Client::connect(&folder.join("run/control.sock")).unwrap().status().unwrap();
        if status.packets_analysed >= packets {
            assert_eq!(status.packets_analysed, packets);
            return;
        }
        assert!(Instant::now() < deadline, "{packets} packets were not analysed: {status:?}");
        thread::yield_now();
    }
}

/// The captures by their numbers, uncompressed; of one that a kill cut short, what it has.
fn captures(folder: &Path) -> HashMap<u32, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = paths.filter_map(|path| Some((Name::of(&path)?, path)));
    named
        .map(|(name, path)| {
            let mut bytes = fs::read(path).unwrap();
            if name.lz4 {
                let compressed = std::mem::take(&mut bytes);
                let read = lz4_flex::frame::FrameDecoder::new(compressed.as_slice()).read_to_end(&mut bytes);
                assert!(read.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::UnexpectedEof), "{read:?}");
            }
            (name.number, bytes)
        })
        .collect()
}

/// As Arkime's viewer decodes `packetPos` (viewer/db.js).
fn decoded(numbers: &[Value]) -> Vec<(u32, u64)> {
    let (mut file, mut last, mut gap) = (0, 0, 0);
    let mut out = Vec::new();
    for number in numbers.iter().map(|number| number.as_i64().unwrap()) {
        match number {
            ..0 => (file, last) = (-number, 0),
            _ => {
                gap = if number == 0 { gap } else { number };
                last += gap;
                out.push((file as u32, last as u64));
            }
        }
    }
    out
}

fn documents(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("logs/sessions.ndjson")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_position_of_a_live_session_is_one_of_its_packets_over_rotations() {
    for compression in ["none", "lz4"] {
        let Some(wire) = Wire::lay("every_position_of_a_live_session_is_one_of_its_packets_over_rotations") else { return };
        let folder = tempfile::tempdir().unwrap();
        let pcap = folder.path().join("pcap");
        let more = format!("pcap = {{ folder = '{}', rotate_megabytes = 1, compression = '{compression}' }}\n", pcap.display());
        let mut daemon = Program::start(&["run"], &settings(folder.path(), &more));
        daemon.wait_for_line("ready");
        let frames = sessions(40_000..40_010, 300);
        for frame in &frames {
            wire.send(frame);
        }
        wait_for_packets(folder.path(), frames.len() as u64);
        assert!(daemon.end().success(), "{:#?}", daemon.told);

        let captures = captures(&pcap);
        assert!(captures.len() > 2, "{compression}: {} files", captures.len());
        let documents = documents(folder.path());
        assert_eq!(documents.len(), 10, "{compression}");
        let (mut places, mut over_files) = (HashSet::new(), 0);
        for document in &documents {
            let port = document["source"]["port"].as_u64().unwrap() as u16;
            let positions = decoded(document["packetPos"].as_array().unwrap());
            let packets = document["source"]["packets"].as_u64().unwrap() + document["destination"]["packets"].as_u64().unwrap();
            assert_eq!((positions.len() as u64, packets), (304, 304), "{compression}: {document}");
            let files: HashSet<_> = positions.iter().map(|(file, _)| u64::from(*file)).collect();
            let named: HashSet<_> = document["fileId"].as_array().unwrap().iter().map(|file| file.as_u64().unwrap()).collect();
            assert_eq!(files, named);
            over_files += usize::from(files.len() > 1);
            for position in positions {
                let (record, _) = Record::read(&captures[&position.0][position.1 as usize..]).unwrap();
                let transport = if record.data[12..14] == [0x81, 0] { 38 } else { 34 };
                let ports = [&record.data[transport..transport + 2], &record.data[transport + 2..transport + 4]];
                assert!(ports.contains(&port.to_be_bytes().as_slice()), "{compression}: a packet of another session");
                assert!(places.insert(position), "one packet in two sessions");
            }
        }
        assert_eq!((places.len(), over_files), (frames.len(), 10), "each packet once, each session over several files");
    }
}

/// A token of Arkime 6.4 or later.
fn token(method: &str, target: &str) -> String {
    let (salt, nonce) = ([5; 16], [6; 12]);
    let mut key = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, 300_000.try_into().unwrap(), &salt, SECRET.as_bytes(), &mut key);
    let date = jiff::Timestamp::now().as_millisecond();
    let mut data = json!({ "date": date, "user": "admin", "node": "sensor1", "path": target, "method": method }).to_string().into_bytes();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
    let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut data).unwrap();
    json!({ "iv": hex::encode(nonce), "salt": hex::encode(salt), "data": hex::encode(data), "tag": hex::encode(tag.as_ref()) }).to_string()
}

fn curl(arguments: &[&str]) -> Output {
    Command::new("curl")
        .args(["-sS", "--insecure", "--path-as-is", "--max-time", "60", "-w", "%{stderr}%{http_code}"])
        .args(arguments)
        .output()
        .unwrap()
}

fn code(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: a part of a test: {why}");
}

/// Packets of a capture in microseconds.
fn count(capture: &[u8]) -> usize {
    assert_eq!(capture[..4], 0xa1b2_c3d4_u32.to_le_bytes());
    let (mut at, mut packets) = (24, 0);
    while at < capture.len() {
        let kept = u32::from_le_bytes(capture[at + 8..at + 12].try_into().unwrap()) as usize;
        (at, packets) = (at + 16 + kept, packets + 1);
    }
    assert_eq!(at, capture.len(), "whole packets");
    packets
}

/// The ids of the sessions, by the client's port: the same frames with the same seed give the same.
fn ids(pcap: &Path) -> HashMap<u64, String> {
    let options = analyze::Options { seed: 7, checksums: false, sessions: true, ..analyze::Options::default() };
    let mut sensor = analyze::Sensor::new(options);
    let mut paths: Vec<_> =
        fs::read_dir(pcap).unwrap().map(|entry| entry.unwrap().path()).filter(|path| Name::of(path).is_some()).collect();
    paths.sort();
    for path in paths {
        tenrec::replay::Replay::open(&path).unwrap().run(|frame| sensor.frame(frame)).unwrap();
    }
    sensor.finish();
    let mut ids = HashMap::new();
    for record in sensor.take().records {
        let Some(session) = record.session() else { continue };
        let mut document = Vec::new();
        session.write("", &mut document);
        let document: Value = serde_json::from_slice(&document).unwrap();
        ids.insert(document["source"]["port"].as_u64().unwrap(), session.id());
    }
    ids
}

#[test]
fn the_viewer_gives_packets_to_who_has_the_secret_also_while_they_are_written() {
    for compression in ["none", "lz4"] {
        let Some(wire) = Wire::lay("the_viewer_gives_packets_to_who_has_the_secret_also_while_they_are_written") else { return };
        let folder = tempfile::tempdir().unwrap();
        let pcap = folder.path().join("pcap");
        let more = format!("pcap = {{ folder = '{}', rotate_megabytes = 1, compression = '{compression}' }}\n", pcap.display());
        let settings = settings(folder.path(), &more);
        let mut daemon = Program::start(&["run"], &settings);
        daemon.wait_for_line("ready");
        let frames = sessions(40_000..40_004, 400);
        for frame in &frames {
            wire.send(frame);
        }
        wait_for_packets(folder.path(), frames.len() as u64);
        let mut viewer = Program::start(&["viewer"], &settings);
        let line = viewer.wait_for_line("packets are served");
        let address = line.split("address=").nth(1).unwrap().split(' ').next().unwrap().to_owned();

        // By filter over the local socket, while the sensor runs.
        let socket = folder.path().join("run/viewer.sock");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let url = "http://local/local/search?filter=tcp+port+40001&from=-1h&format=pcap";
            let output = curl(&["--unix-socket", socket.to_str().unwrap(), url]);
            assert_eq!(code(&output), "200");
            let found = output.stdout.windows(4).filter(|window| *window == [0x9c, 0x41, 0, 80]).count();
            if found >= 402 {
                break;
            }
            assert!(Instant::now() < deadline, "{found} packets of 402");
        }
        let output = curl(&["--unix-socket", socket.to_str().unwrap(), "http://local/local/search?filter=prot"]);
        assert!(code(&output) == "400" && String::from_utf8_lossy(&output.stdout).contains("pcap-filter"));

        // The sessions end five seconds after their last packet and are written a minute later; the end writes them now.
        assert!(daemon.end().success(), "{:#?}", daemon.told);
        let ids = ids(&pcap);
        assert_eq!(ids.len(), 4);
        let ask = |method: &str, target: &str, token: Option<&str>| {
            let header = format!("x-arkime-auth: {}", token.unwrap_or_default());
            let url = format!("https://{address}{target}");
            let mut arguments = vec!["-X", method, url.as_str()];
            if token.is_some() {
                arguments.extend(["-H", header.as_str()]);
            }
            curl(&arguments)
        };
        let with_token = |method: &str, target: &str| ask(method, target, Some(&token(method, target)));
        for id in ids.values() {
            let target = format!("/api/session/sensor1/3@{id}.pcap");
            for method in ["GET", "POST"] {
                let output = with_token(method, &target);
                assert_eq!((code(&output).as_str(), count(&output.stdout)), ("200", 404), "{compression}");
            }
            // And what others say of it.
            for ending in ["pcap", "pcapng"] {
                let output = with_token("GET", &format!("/api/session/sensor1/3@{id}.{ending}"));
                let file = folder.path().join(format!("session.{ending}"));
                fs::write(&file, &output.stdout).unwrap();
                match Command::new("tcpdump").args(["-n", "--nano", "-r"]).arg(&file).output() {
                    Ok(told) => assert_eq!(String::from_utf8_lossy(&told.stdout).lines().count(), 404, "{ending}"),
                    Err(_) => skipped("tcpdump is not installed"),
                }
            }
            let output = with_token("GET", &format!("/sensor1/pcap/3@{id}.pcap?noHeader=true"));
            assert_eq!(code(&output), "200");
            assert_ne!(output.stdout[..4], 0xa1b2_c3d4_u32.to_le_bytes());
            let output = with_token("GET", &format!("/api/session/sensor1/3@{id}/packets?base=hex&line=true&ts=true"));
            assert!(code(&output) == "200" && String::from_utf8_lossy(&output.stdout).contains("sessionsrc"));
            let output = with_token("GET", &format!("/api/session/raw/sensor1/3@{id}?type=src"));
            assert_eq!((code(&output).as_str(), output.stdout.len()), ("200", 400_000));
            let output = with_token("GET", &format!("/api/session/raw/sensor1/3@{id}.png"));
            assert!(code(&output) == "200" && output.stdout.starts_with(b"\x89PNG"));
            let output = with_token("GET", &format!("/api/session/entire/sensor1/{id}.pcap"));
            assert_eq!(count(&output.stdout), 404);
            let output = with_token("GET", &format!("/api/hunt/sensor1/h1/remote/3@{id}"));
            assert!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["error"].is_string());
            let command = Command::new(TENREC).args(["pcap", "--session", id, "--settings"]).arg(&settings).output().unwrap();
            assert!(String::from_utf8_lossy(&command.stderr).contains("404 packets"), "{}", String::from_utf8_lossy(&command.stderr));
        }
        // Nothing without a good token: no path, no method, no other target.
        let id = &ids[&40_000];
        let target = format!("/api/session/sensor1/3@{id}.pcap");
        let good = token("GET", &target);
        for (method, path, token) in [
            ("GET", target.as_str(), None),
            ("GET", &target, Some("")),
            ("GET", &target, Some("x.y.z")),
            ("POST", &target, Some(good.as_str())),
            ("GET", &format!("{target}?x=1"), Some(&good)),
            ("GET", "/local/search", None),
            ("GET", "/", None),
        ] {
            let output = ask(method, path, token);
            assert!(code(&output) == "403" && output.stdout.len() < 100, "{method} {path} {token:?}: {}", code(&output));
        }
        let target = "/local/search";
        assert_eq!(code(&ask("GET", target, Some(&token("GET", target)))), "404", "the search is for the local socket");
        let target = "/api/session/other/3@261124-x.pcap";
        assert_eq!(code(&ask("GET", target, Some(&token("GET", target)))), "404");
        assert!(viewer.end().success(), "{:#?}", viewer.told);
    }
}

#[test]
fn after_a_kill_all_that_was_written_is_found_and_the_index_is_mended() {
    let Some(wire) = Wire::lay("after_a_kill_all_that_was_written_is_found_and_the_index_is_mended") else { return };
    for compression in ["none", "lz4"] {
        let folder = tempfile::tempdir().unwrap();
        let pcap = folder.path().join("pcap");
        let more = format!("pcap = {{ folder = '{}', rotate_megabytes = 1, compression = '{compression}' }}\n", pcap.display());
        let settings = settings(folder.path(), &more);
        let mut daemon = Program::start(&["run"], &settings);
        daemon.wait_for_line("ready");
        let frames = sessions(40_000..40_010, 200);
        for frame in &frames {
            wire.send(frame);
        }
        wait_for_packets(folder.path(), frames.len() as u64);
        daemon.signal("-KILL");
        daemon.child.wait().unwrap();
        let find = || {
            let output = Command::new(TENREC)
                .args(["pcap", "--filter", "tcp port 40001", "--tagged", "--settings"])
                .arg(&settings)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let (mut at, mut found) = (24, Vec::new());
            while let Some((record, length)) = Record::read(&output.stdout[at..]) {
                found.push(record.data.to_vec());
                at += length;
            }
            assert_eq!(at, output.stdout.len());
            found
        };
        let sent: Vec<_> = frames
            .iter()
            .filter(|frame| {
                frame.windows(2).any(|window| window == 40_001_u16.to_be_bytes())
                    && frame[34..38].windows(2).any(|window| window == 40_001_u16.to_be_bytes())
            })
            .cloned()
            .collect();
        let found = find();
        // What was in memory is lost: less than the last second.
        assert!(!found.is_empty() && sent.starts_with(&found), "{compression}: {} of {}", found.len(), sent.len());
        let kept = captures(&pcap);
        let last = *kept.keys().max().unwrap();

        let mut daemon = Program::start(&["run"], &settings);
        daemon.wait_for_line("ready");
        wire.send(&frames[0]);
        wait_for_packets(folder.path(), 1);
        assert!(daemon.end().success(), "{:#?}", daemon.told);
        let now = captures(&pcap);
        assert!(now.keys().max().unwrap() > &last, "a number that was given is not given again");
        assert!(kept.iter().all(|(number, bytes)| now[number] == *bytes), "what was kept stays as it was");
        assert_eq!(find(), found);
        let _ =
            writeln!(std::io::stderr(), "{compression}: {} of {} packets were on disk when the sensor was killed", found.len(), sent.len());
    }
}
