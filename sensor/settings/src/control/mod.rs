//! The control socket: what `tenrec status` and the web UI may ask the daemon, and what it answers.
//! One message a line: see [`crate::lines`].

mod client;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::lines::{ClientError, MAX_LINE, decode, encode};
pub use client::{Client, Content, DAEMON};

/// Rows of one answer at most.
pub const MAX_ROWS: usize = 1000;

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// The counters and states of everything.
    Status,
    /// The flows that ended last, newest first.
    Connections {
        /// Rows wanted, at most [`MAX_ROWS`].
        limit: usize,
    },
    /// The files seen last, newest first, with their verdicts.
    Files {
        /// Rows wanted, at most [`MAX_ROWS`].
        limit: usize,
    },
    /// The bytes of a carved file, which follow after the line of the answer: see [`Response::Content`].
    Content {
        /// [`File::fuid`] of one of the files seen last.
        fuid: String,
    },
    /// Reads the settings file again and takes over what can change while running.
    Reload,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Connections`].
    Connections {
        /// Newest first.
        connections: Vec<Connection>,
    },
    /// To [`Request::Files`].
    Files {
        /// Newest first.
        files: Vec<File>,
    },
    /// To [`Request::Content`]: exactly `size` bytes follow after the newline. A connection that ends earlier has lost the
    /// file on its way.
    Content {
        /// Name of the carved file.
        name: String,
        /// Bytes.
        size: u64,
    },
    /// To [`Request::Reload`]: which keys were taken over, and which wait for a restart.
    Reloaded {
        /// Keys that are in force now, `section.key`.
        applied: Vec<String>,
        /// Keys that changed in the file and need a restart.
        restart: Vec<String>,
    },
    /// The request was understood and refused, or not understood.
    Error {
        /// For the operator.
        message: String,
    },
}

/// Everything the daemon counts. Times are seconds since 1970, UTC; counters start at 0 with the daemon.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Name of the sensor.
    pub node: String,
    /// When the daemon started.
    pub started: f64,
    /// Seconds since then.
    pub uptime: f64,
    /// One entry per interface.
    pub interfaces: Vec<Interface>,
    /// One entry per worker.
    pub workers: Vec<Worker>,
    /// Packets that analysis has finished.
    pub packets_analysed: u64,
    /// Bytes of those packets on the wire.
    pub bytes_analysed: u64,
    /// Losses by place.
    pub drops: Drops,
    /// Flows.
    pub flows: Flows,
    /// Lines written, by log name (`conn`, `dns`, `eve`, …).
    pub logs: BTreeMap<String, u64>,
    /// Carved files and their scan.
    pub files: FileCounts,
    /// The verdicts given last, newest first; a handful.
    pub verdicts: Vec<Verdict>,
    /// The PCAP writer.
    pub pcap: PcapState,
    /// What is forwarded, and where to; empty when forwarding is off.
    pub destinations: Vec<Destination>,
}

/// One kind of records with the queue that they wait in and the collectors that take them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Destination {
    /// What is sent there: `logs` (Lumberjack), `sessions` or `sensor` (OpenSearch).
    pub name: String,
    /// The queue.
    pub spool: SpoolState,
    /// The collectors, one entry each host that is in use or was tried last.
    pub collectors: Vec<CollectorState>,
    /// Documents that OpenSearch refused for good since the start; they are kept on disk.
    pub refused: u64,
}

impl Destination {
    /// Whether a collector takes records now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.collectors.iter().any(|collector| collector.state == "connected")
    }
}

/// Counters of one interface: `received = captured + filtered + shunted + too_big + ring_full`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Name of the interface.
    pub name: String,
    /// How packets are taken: `xdp-native`, `xdp-generic`, `af_packet`, `file`.
    pub mode: String,
    /// Receive queues.
    pub queues: u32,
    /// Packets that reached the capture program.
    pub received: u64,
    /// Packets handed to a worker.
    pub captured: u64,
    /// Packets that the capture filter left out.
    pub filtered: u64,
    /// Packets of flows that analysis had asked to cut off.
    pub shunted: u64,
    /// Packets longer than a ring's slot.
    pub too_big: u64,
    /// Packets lost because a ring was full.
    pub ring_full: u64,
    /// Packets that the NIC lost before anyone saw them.
    pub nic_dropped: u64,
    /// Bytes captured, on the wire.
    pub bytes: u64,
}

/// Counters of one worker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Worker {
    /// Number from 0.
    pub number: u32,
    /// Packets analysed.
    pub packets: u64,
    /// Bytes of those packets on the wire.
    pub bytes: u64,
    /// Flows in its table.
    pub flows_active: u64,
    /// Share of the last second that it was busy, 0 to 1.
    pub busy: f64,
    /// Times it panicked and began anew.
    pub restarts: u64,
}

/// Everything that was lost, where it was lost. Packets for the first four, chunks, records or files as named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Drops {
    /// Packets, at the NIC.
    pub nic: u64,
    /// Packets, at the capture rings.
    pub ring: u64,
    /// Packets, inside workers.
    pub worker: u64,
    /// Packets, that did not reach the PCAP file.
    pub pcap: u64,
    /// Sessions whose packets are not found by their id, in one file each.
    pub index: u64,
    /// Files cut or left out by the carver.
    pub carver: u64,
    /// Files that were not scanned.
    pub scan: u64,
    /// Records that the record writer did not take.
    pub records: u64,
    /// Records deleted from the spool or refused by it.
    pub spool: u64,
    /// Records that the forwarder gave up.
    pub forward: u64,
}

impl Drops {
    /// The places in the order of the data's way, with what is counted there.
    #[must_use]
    pub fn places(&self) -> [(&'static str, &'static str, u64); 10] {
        [
            ("nic", "packets", self.nic),
            ("ring", "packets", self.ring),
            ("worker", "packets", self.worker),
            ("pcap", "packets", self.pcap),
            ("index", "sessions", self.index),
            ("carver", "files", self.carver),
            ("scan", "files", self.scan),
            ("records", "records", self.records),
            ("spool", "records", self.spool),
            ("forward", "records", self.forward),
        ]
    }
}

/// Flows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Flows {
    /// In the tables now.
    pub active: u64,
    /// Since the start.
    pub total: u64,
}

/// Files in the traffic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileCounts {
    /// Seen.
    pub seen: u64,
    /// Written to disk.
    pub carved: u64,
    /// Scanned.
    pub scanned: u64,
    /// Matched by a rule or a signature.
    pub matched: u64,
    /// Whose scan failed.
    pub failed: u64,
}

/// A verdict.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// When it was given.
    pub time: f64,
    /// Name of the carved file.
    pub file: String,
    /// MIME type by content.
    pub mime: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Rules and signatures that matched, `scanner:name`.
    pub rules: Vec<String>,
}

/// The PCAP writer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PcapState {
    /// The file being written; empty when PCAP is off.
    pub file: String,
    /// Bytes in that file.
    pub bytes: u64,
    /// Finished files on disk.
    pub files: u64,
    /// Bytes in all files on disk.
    pub total_bytes: u64,
    /// Files deleted for the budget.
    pub deleted: u64,
}

/// A queue of records on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpoolState {
    /// Records that wait.
    pub records: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Records acknowledged by the collector since the start.
    pub acknowledged: u64,
    /// Records lost: deleted for the budget, refused on a full disk, or unreadable.
    pub lost: u64,
}

/// The connection to the collector.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CollectorState {
    /// `connecting`, `connected` or `waiting` (until the next attempt).
    pub state: String,
    /// The collector that is meant.
    pub address: String,
    /// The last error in plain words; empty after a success.
    pub last_error: String,
    /// Since when the state holds.
    pub since: f64,
}

/// A finished flow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connection {
    /// Start.
    pub time: f64,
    /// Zeek's uid.
    pub uid: String,
    /// Address of the originator.
    pub source: String,
    /// Its port (ICMP: type).
    pub source_port: u16,
    /// Address of the responder.
    pub destination: String,
    /// Its port (ICMP: code).
    pub destination_port: u16,
    /// `tcp`, `udp`, `icmp`, …
    pub protocol: String,
    /// Services identified, separated by commas; empty for none.
    pub service: String,
    /// Duration in seconds.
    pub duration: f64,
    /// Payload bytes from the originator.
    pub source_bytes: u64,
    /// Payload bytes from the responder.
    pub destination_bytes: u64,
    /// Zeek's conn_state.
    pub state: String,
}

/// A file seen in the traffic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct File {
    /// When it began.
    pub time: f64,
    /// Zeek's fuid.
    pub fuid: String,
    /// Zeek's uid of its connection.
    pub uid: String,
    /// Protocol it came by (`HTTP`, …).
    pub source: String,
    /// Name given by the protocol; empty for none.
    pub name: String,
    /// MIME type by content; empty when unknown.
    pub mime: String,
    /// Bytes seen.
    pub size: u64,
    /// SHA-256 in hexadecimal; empty when bytes are missing.
    pub sha256: String,
    /// Name of the carved file; empty when it was not carved.
    pub extracted: String,
    /// What the scanner said: `unscanned`, `clean`, `matched` or `failed`.
    pub verdict: String,
    /// Rules and signatures that matched, `scanner:name`.
    pub rules: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_short_and_readable_on_the_wire() {
        assert_eq!(encode(&Request::Status).unwrap(), b"{\"request\":\"status\"}\n");
        assert_eq!(encode(&Request::Files { limit: 5 }).unwrap(), b"{\"request\":\"files\",\"limit\":5}\n");
    }

    #[test]
    fn a_status_survives_the_wire_and_unknown_fields_are_ignored() {
        let status = Status {
            node: "n".into(),
            destinations: vec![Destination { name: "logs".into(), ..Default::default() }],
            ..Default::default()
        };
        let line = encode(&Response::Status(Box::new(status.clone()))).unwrap();
        assert_eq!(decode::<Response>(&line).unwrap(), Response::Status(Box::new(status)));
        let newer = br#"{"response":"status","node":"n","from_the_future":[1]}"#;
        assert!(matches!(decode::<Response>(newer).unwrap(), Response::Status(status) if status.node == "n"));
    }
}
