//! The embedded collector as a process of its own, killed in the middle of its work.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

/// A collector without TLS, on ports that it finds.
struct Collector {
    child: Child,
    opensearch: String,
    lumberjack: String,
}

impl Collector {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tenrec"))
            .args(["collector", "--plain", "--listen", "127.0.0.1:0", "--opensearch-listen", "127.0.0.1:0", "--folder"])
            .arg(folder.join("received"))
            .arg("--certificates")
            .arg(folder.join("certs"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |begin: &str| {
            let line = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with(begin)).expect("the collector did not start");
            line[begin.len()..].split_whitespace().next().unwrap().to_owned()
        };
        let opensearch = address("taking sessions as OpenSearch does on ");
        let lumberjack = address("collecting on ");
        Self { child, opensearch, lumberjack }
    }

    /// The status of an answer; nothing if there was none.
    fn ask(&self, method: &str, path: &str, body: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(&self.opensearch).ok()?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: c\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    /// Whether a window of one event was acknowledged.
    fn forward(&self, number: u32) -> bool {
        let event = format!("{{\"log\":{{\"file\":{{\"path\":\"/x/conn.log\"}}}},\"n\":{number}}}");
        let mut window = Vec::new();
        lumberjack::encode_window([event.as_bytes()].into_iter(), 0, &mut window).unwrap();
        let exchange = || {
            let mut stream = TcpStream::connect(&self.lumberjack)?;
            stream.write_all(&window)?;
            let mut ack = [0; 6];
            stream.read_exact(&mut ack).map(|()| ack)
        };
        exchange().is_ok_and(|ack: [u8; 6]| ack == lumberjack::encode_ack(1))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // SIGKILL.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_a_collector_has_answered_for_is_there_after_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut documents, mut events) = (Vec::new(), Vec::new());
    let rounds: u32 = std::env::var("TENREC_ROUNDS").map_or(4, |text| text.parse().unwrap());
    for round in 0..rounds {
        let collector = Collector::start(folder.path());
        std::thread::scope(|scope| {
            let (told, answers) = std::sync::mpsc::channel();
            let peer = &collector;
            let second = told.clone();
            scope.spawn(move || {
                for number in round * 100_000.. {
                    let body = format!("{{\"index\":{{\"_index\":\"arkime_x\",\"_id\":\"{number}\"}}}}\n{{\"n\":{number}}}\n");
                    match peer.ask("POST", "/_bulk", &body) {
                        Some(200) if told.send((true, number)).is_ok() => {}
                        _ => return,
                    }
                }
            });
            scope.spawn(move || {
                for number in round * 100_000.. {
                    if !peer.forward(number) || second.send((false, number)).is_err() {
                        return;
                    }
                }
            });
            for (is_document, number) in answers.iter() {
                if is_document {
                    documents.push(number)
                } else {
                    events.push(number)
                }
                if documents.len() as u32 >= (round + 1) * 30 && events.len() as u32 >= (round + 1) * 30 {
                    Command::new("kill").args(["-KILL", &peer.child.id().to_string()]).status().unwrap();
                    break;
                }
            }
            // What was answered before the blow.
            for (is_document, number) in answers.iter() {
                if is_document { documents.push(number) } else { events.push(number) }
            }
        });
    }
    let collector = Collector::start(folder.path());
    for number in &documents {
        assert_eq!(collector.ask("GET", &format!("/arkime_x/_doc/{number}"), ""), Some(200), "document {number} of {}", documents.len());
    }
    let received = std::fs::read_to_string(folder.path().join("received/conn.ndjson")).unwrap();
    for number in &events {
        assert!(received.contains(&format!("\"n\":{number}}}")), "event {number} of {}", events.len());
    }
}
