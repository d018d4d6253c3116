//! Analysis that follows the capture files, and captures that are put into a folder: each once, whatever dies.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic")]

mod daemon;
mod wire;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use daemon::{Daemon, TENREC, exchange};
use wire::Wire;

const DEADLINE: Duration = Duration::from_secs(60);

/// A collector that lives as long as the test, with both its sides.
struct Collector {
    child: Child,
    folder: tempfile::TempDir,
    ports: [u16; 2],
}

impl Collector {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ports = [free(), free()];
        let settings = folder.path().join("collector.toml");
        let at = folder.path().display();
        let text = format!(
            "collector = {{ listen = '127.0.0.1:{}', opensearch_listen = '127.0.0.1:{}', folder = '{at}/in', certificates = '{at}/certs' }}\n",
            ports[0], ports[1]
        );
        fs::write(&settings, text).unwrap();
        let mut command = Command::new(TENREC);
        command.args(["collector", "--settings"]).arg(&settings).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.contains("collecting on"))));
        // Whoever writes what arrives to a pipe that nobody reads stops.
        thread::spawn(move || lines.for_each(drop));
        Self { child, folder, ports }
    }

    fn settings(&self) -> String {
        let at = self.folder.path().display();
        format!(
            "forward = {{ enabled = true, hosts = ['127.0.0.1:{}'], ca = '{at}/certs/ca.crt' }}\n\
             opensearch = {{ enabled = true, hosts = ['https://127.0.0.1:{}'], ca = '{at}/certs/ca.crt' }}\nscan.enabled = false\n",
            self.ports[0], self.ports[1]
        )
    }

    /// How often each line of a log has come, with its tags.
    fn lines(&self, log: &str) -> BTreeMap<(String, Vec<String>), usize> {
        let mut counts = BTreeMap::new();
        let text = fs::read_to_string(self.folder.path().join("in").join(log)).unwrap_or_default();
        for line in text.lines() {
            let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            let tags = event["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
            *counts.entry((event["message"].as_str().unwrap().to_owned(), tags)).or_default() += 1;
        }
        counts
    }

    fn sessions(&self) -> usize {
        let mut files = Vec::new();
        find(&self.folder.path().join("in"), &mut files);
        let sessions = files.iter().filter(|path| path.to_string_lossy().contains("arkime_sessions3-"));
        sessions.map(|path| fs::read_to_string(path).unwrap_or_default().matches("\"firstPacket\"").count()).sum()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if entry.path().is_dir() { find(&entry.path(), files) } else { files.push(entry.path()) }
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "never {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn rotated(folder: &Path, collector: &Collector) -> String {
    format!("spool.folder = '{}/spool'\n{}", folder.display(), collector.settings())
}

/// A daemon whose settings have `mode` in their analysis section, in a folder that outlives it.
fn start(folder: &Path, more: &str, mode: &str) -> Daemon {
    let path = daemon::settings(folder, more);
    let text = fs::read_to_string(&path).unwrap().replace("analysis = { ", &format!("analysis = {{ mode = '{mode}', "));
    fs::write(&path, text).unwrap();
    // A folder of the daemon's own is taken away with it.
    Daemon::start_from(tempfile::tempdir().unwrap(), path)
}

#[test]
fn captures_are_analysed_once_they_are_complete_and_each_line_comes_once_through_kills() {
    let Some(wire) = Wire::lay("captures_are_analysed_once_they_are_complete_and_each_line_comes_once_through_kills") else { return };
    let collector = Collector::start();
    let folder = tempfile::tempdir().unwrap();
    let more = rotated(folder.path(), &collector);
    let mut sent = 0;
    for round in 0..6_u64 {
        let mut daemon = start(folder.path(), &more, "rotated");
        daemon.wait_for_line("ready");
        for frame in (0..20).flat_map(|n| exchange(40_000 + sent + n)) {
            wire.send(&frame);
        }
        sent += 20;
        // On disk, whatever becomes of the daemon then.
        let bytes: usize = 24 + exchange(1).iter().map(|frame| 16 + frame.len()).sum::<usize>() * 20;
        let client = || settings::control::Client::connect(&folder.path().join("run/control.sock"));
        wait_until("all frames written", || {
            client().is_ok_and(|mut client| client.status().is_ok_and(|status| status.pcap.bytes >= bytes as u64))
        });
        if round % 2 == 0 {
            daemon.end();
        } else {
            // Whatever it is doing with the captures of the rounds before.
            daemon.child.kill().unwrap();
            daemon.wait();
        }
    }
    let daemon = start(folder.path(), &more, "rotated");
    wait_until("every connection", || collector.lines("conn.ndjson").len() >= usize::from(sent));
    wait_until("every session", || collector.sessions() >= usize::from(sent));
    // Nothing more comes: what was analysed is analysed.
    let analysed = || fs::read_to_string(folder.path().join("logs/captures/analysed")).unwrap_or_default().lines().count();
    let captures = || fs::read_dir(folder.path().join("logs/captures/own")).unwrap().count();
    wait_until("all captures written down", || analysed() == captures());
    for log in ["conn.ndjson", "http.ndjson"] {
        let lines = collector.lines(log);
        assert_eq!(lines.len(), usize::from(sent), "{log}");
        let twice: usize = lines.values().map(|count| count - 1).sum();
        // A kill between an acknowledgement on its way and its arrival resends a window.
        println!("{log}: {} lines, {twice} came again", lines.len());
        assert!(twice <= 3 * usize::from(sent));
    }
    assert_eq!(collector.sessions(), usize::from(sent), "the same document for the same session");
    drop(daemon);
}

#[test]
fn a_capture_in_the_watched_folder_is_analysed_once_with_the_tags_of_its_name() {
    let Some(_wire) = Wire::lay("a_capture_in_the_watched_folder_is_analysed_once_with_the_tags_of_its_name") else { return };
    let collector = Collector::start();
    let folder = tempfile::tempdir().unwrap();
    let watched = folder.path().join("watched");
    fs::create_dir(&watched).unwrap();
    let capture = capture_of(&exchange(40_000));
    fs::write(watched.join("plant,line-2,NBSITEID7.pcap"), &capture).unwrap();
    fs::write(watched.join("broken.pcap"), &capture[..capture.len() - 7]).unwrap();
    fs::write(watched.join("notes.txt"), "no capture").unwrap();
    let more = format!("{}watch.folder = '{}'\n", rotated(folder.path(), &collector), watched.display());
    let mut daemon = start(folder.path(), &more, "live");
    daemon.wait_for_line("ready");
    wait_until("both captures", || collector.lines("conn.ndjson").len() == 2);
    wait_until("both moved", || {
        watched.join("processed/broken.pcap").exists() && watched.join("processed/plant,line-2,NBSITEID7.pcap").exists()
    });
    // The same name once more, with the same content: another capture.
    fs::write(watched.join("plant,line-2,NBSITEID7.pcap"), &capture).unwrap();
    wait_until("moved under another name", || watched.join("processed/1-plant,line-2,NBSITEID7.pcap").exists());
    wait_until("three connections", || collector.lines("conn.ndjson").values().sum::<usize>() == 3);
    assert!(daemon.end().success(), "{:#?}", daemon.told);
    let lines = collector.lines("conn.ndjson");
    assert!(lines.keys().any(|(_, tags)| tags.contains(&"plant".to_owned()) && tags.contains(&"line".to_owned())), "{lines:?}");
    let text = fs::read_to_string(collector.folder.path().join("in/conn.ndjson")).unwrap();
    assert!(text.contains(r#""netbox":{"site":"7"}"#));
    assert!(watched.join("notes.txt").exists());
    assert!(
        daemon.told.iter().any(|line| line.contains("broken.pcap") && line.contains("what was readable is analysed")),
        "{:#?}",
        daemon.told
    );
}

#[test]
fn log_files_of_a_zeek_that_is_there_already_are_forwarded_with_our_tags() {
    let Some(_wire) = Wire::lay("log_files_of_a_zeek_that_is_there_already_are_forwarded_with_our_tags") else { return };
    let collector = Collector::start();
    let (folder, zeek) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(zeek.path().join("weird.log"), "#separator\none\ntwo\n").unwrap();
    let more = format!("{}tail.zeek = ['{}/*.log']\n", rotated(folder.path(), &collector), zeek.path().display());
    let mut daemon = start(folder.path(), &more, "live");
    daemon.wait_for_line("ready");
    wait_until("both lines", || collector.lines("weird.ndjson").len() == 2);
    fs::rename(zeek.path().join("weird.log"), zeek.path().join("weird.1")).unwrap();
    fs::write(zeek.path().join("weird.log"), "three\n").unwrap();
    wait_until("the line of the next file", || collector.lines("weird.ndjson").len() == 3);
    assert!(daemon.end().success(), "{:#?}", daemon.told);
    let lines = collector.lines("weird.ndjson");
    assert!(lines.iter().all(|((_, tags), count)| *count == 1 && tags.contains(&"_filebeat_zeek_hedgehog".to_owned())), "{lines:?}");
}

/// A capture file of these frames.
fn capture_of(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 2 | (4 << 16), 0, 0, 65_535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for (number, frame) in frames.iter().enumerate() {
        for word in [1_700_000_000, number as u32 * 1000, frame.len() as u32, frame.len() as u32] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(frame);
    }
    bytes
}
