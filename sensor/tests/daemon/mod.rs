//! A daemon as an operator starts it, and what it is fed with.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use settings::control::{Client, Status};

use crate::wire::ethernet;

pub(crate) const TENREC: &str = env!("CARGO_BIN_EXE_tenrec");

/// A program that is ended with the test, and what it says.
pub(crate) struct Program {
    pub(crate) child: Child,
    lines: Receiver<String>,
    pub(crate) told: Vec<String>,
}

impl Program {
    /// `tenrec` with these arguments and settings.
    pub(crate) fn start(arguments: &[&str], settings: &Path) -> Self {
        let mut command = Command::new(TENREC);
        let command = command.env("TENREC_LOG", "info").args(arguments).arg("--settings").arg(settings);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, told: Vec::new() }
    }

    /// Waits for a line of the log, unless it has come already.
    pub(crate) fn wait_for_line(&mut self, part: &str) -> String {
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

    pub(crate) fn signal(&self, signal: &str) {
        Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
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

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon that captures from `near`, with everything in a folder of its own.
pub(crate) struct Daemon {
    program: Program,
    pub(crate) folder: tempfile::TempDir,
}

impl Deref for Daemon {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

impl DerefMut for Daemon {
    fn deref_mut(&mut self) -> &mut Program {
        &mut self.program
    }
}

impl Daemon {
    pub(crate) fn start(more: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), more)
    }

    pub(crate) fn start_with(more: &str, checksums: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = settings(folder.path(), more);
        let text = fs::read_to_string(&path).unwrap().replace("checksums = false", checksums);
        fs::write(&path, text).unwrap();
        Self::start_from(folder, path)
    }

    pub(crate) fn start_in(folder: tempfile::TempDir, more: &str) -> Self {
        let settings = settings(folder.path(), more);
        Self::start_from(folder, settings)
    }

    pub(crate) fn start_from(folder: tempfile::TempDir, settings: PathBuf) -> Self {
        Self { program: Program::start(&["run"], &settings), folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn status(&self) -> Status {
        Client::connect(&self.path("run/control.sock")).unwrap().status().unwrap()
    }

    /// Waits until so many packets are analysed.
    pub(crate) fn wait_for_packets(&self, packets: u64) -> Status {
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
}

pub(crate) fn settings(folder: &Path, more: &str) -> PathBuf {
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
pub(crate) fn exchange(port: u16) -> Vec<Vec<u8>> {
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

pub(crate) fn segment(from_client: bool, port: u16, sequence: u32, acknowledged: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
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

/// A small file system over a folder, taken away again when dropped.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn small(folder: &Path, size: &str) -> Self {
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
