//! `tenrec forward` as an operator runs it, with Filebeat's configuration, while everything that can die dies.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic")]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TENREC: &str = env!("CARGO_BIN_EXE_tenrec");
const DEADLINE: Duration = Duration::from_secs(60);

/// A log folder, a collector and what is between them.
struct Site {
    folder: tempfile::TempDir,
    port: u16,
    written: usize,
    rotated: usize,
}

/// A process that is ended with the test, however the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("zeek")).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let site = Self { folder, port, written: 0, rotated: 0 };
        let path = |name: &str| site.path(name).display().to_string();
        // The keys of the configuration in Malcolm's documentation.
        let text = format!(
            "filebeat.inputs:\n- type: log\n  paths:\n    - {}\n  fields_under_root: true\n  compression_level: 0\n  \
             exclude_lines: ['^\\s*#']\n  scan_frequency: 1s\n  clean_inactive: 180m\n  ignore_older: 120m\n  close_inactive: 90m\n  \
             close_renamed: true\n  close_removed: true\n  close_eof: false\n  clean_renamed: true\n  clean_removed: true\n\n\
             output.logstash:\n  hosts: [\"127.0.0.1:{port}\"]\n  ssl.enabled: true\n  ssl.certificate_authorities: [\"{}\"]\n  \
             ssl.certificate: \"{}\"\n  ssl.key: \"{}\"\n  ssl.supported_protocols: \"TLSv1.2\"\n  ssl.verification_mode: \"none\"\n",
            path("zeek/*.log"),
            path("certs/ca.crt"),
            path("certs/client.crt"),
            path("certs/client.key"),
        );
        fs::write(site.path("filebeat.yml"), text).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn collector(&self) -> Running {
        let mut child = Command::new(TENREC)
            .args(["collector", "--listen", &format!("127.0.0.1:{}", self.port), "--folder"])
            .arg(self.path("received"))
            .arg("--certificates")
            .arg(self.path("certs"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.contains("collecting on"))));
        Running(child)
    }

    fn forward(&self, more: &[&str]) -> Running {
        let mut command = Command::new(TENREC);
        command.args(["forward", "--config"]).arg(self.path("filebeat.yml")).arg("--data").arg(self.path("data")).args(more);
        Running(command.stderr(Stdio::null()).spawn().unwrap())
    }

    /// Appends lines, with a comment such as Zeek begins a file with.
    fn write(&mut self, lines: usize) {
        let path = self.path("zeek/conn.log");
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let text: String = (self.written..self.written + lines).map(|n| format!("{n}\tC{n:017}\t10.0.0.1\t{}\n", n % 65536)).collect();
        file.write_all(format!("#separator\n{text}").as_bytes()).unwrap();
        self.written += lines;
    }

    /// Renames the file as Zeek does; a new one comes with the next line.
    fn rotate(&mut self) {
        self.rotated += 1;
        fs::rename(self.path("zeek/conn.log"), self.path(&format!("zeek/conn.{}.log", self.rotated))).unwrap();
    }

    /// How often each line has come.
    fn received(&self) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        for entry in fs::read_dir(self.path("received")).into_iter().flatten().map(Result::unwrap) {
            for line in fs::read_to_string(entry.path()).unwrap().lines() {
                // The last one may be under way.
                let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { continue };
                let number = event["message"].as_str().unwrap().split('\t').next().unwrap().parse().unwrap();
                *counts.entry(number).or_default() += 1;
            }
        }
        counts
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "never {what}");
        std::thread::yield_now();
    }
}

fn rounds() -> usize {
    std::env::var("TENREC_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

#[test]
fn every_line_comes_although_forwarder_and_collector_are_killed_again_and_again() {
    let mut site = Site::new();
    let mut collector = site.collector();
    let (mut random, mut collectors_killed) = (7_u64, 0);
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    for round in 0..rounds() {
        let forwarder = site.forward(&[]);
        for _ in 0..5 {
            site.write(500 + below(3000) as usize);
            if below(6) == 0 {
                site.rotate();
                site.write(1);
            }
        }
        // At any point between its start and the end of its work. What is awaited here is chance itself.
        std::thread::sleep(Duration::from_millis(below(250)));
        drop(forwarder);
        if round % 4 == 3 {
            drop(collector);
            collector = site.collector();
            collectors_killed += 1;
        }
    }
    let _forwarder = site.forward(&[]);
    let deadline = Instant::now() + DEADLINE;
    let received = loop {
        let received = site.received();
        if received.len() == site.written {
            break received;
        }
        let missing = (0..site.written).filter(|number| !received.contains_key(number)).count();
        assert!(Instant::now() < deadline, "{missing} of {} lines never came", site.written);
    };
    let twice: usize = received.values().map(|count| count - 1).sum();
    println!(
        "{} kills of the forwarder, {collectors_killed} of the collector: {} lines in, {} came, {twice} of them again",
        rounds(),
        site.written,
        site.written + twice
    );
    // Under way when somebody died: two windows.
    let most = (rounds() + collectors_killed) * forward::PIPELINE * 2048;
    assert!(twice <= most, "{twice} came again");
}

#[test]
fn once_ends_when_everything_is_acknowledged_and_sends_nothing_twice() {
    let mut site = Site::new();
    let _collector = site.collector();
    site.write(3000);
    for _ in 0..2 {
        let mut forwarder = site.forward(&["--once"]);
        wait_until("the end of --once", || forwarder.0.try_wait().unwrap().is_some_and(|status| status.success()));
    }
    site.write(5);
    let mut forwarder = site.forward(&["--once"]);
    wait_until("the end of --once", || forwarder.0.try_wait().unwrap().is_some());
    assert_eq!(site.received(), (0..3005).map(|number| (number, 1)).collect());
}

#[test]
fn a_wrong_configuration_is_one_line_that_names_the_option() {
    let site = Site::new();
    let text = fs::read_to_string(site.path("filebeat.yml")).unwrap();
    fs::write(site.path("filebeat.yml"), text.replace("type: log", "type: tcp")).unwrap();
    let output = Command::new(TENREC).args(["forward", "--check", "--config"]).arg(site.path("filebeat.yml")).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.lines().count() == 1 && told.contains("filebeat.inputs[0].type"), "{told}");
}
