//! How the sensor is, in the shape of Arkime's capture: its newest state, and a history in steps of 5, 60 and 600 seconds.
//!
//! Every value is measured. `deltaDropped` is what never reached the analysis (the card, full rings, frames too long for
//! them); `deltaOverloadDropped` what was lost behind the rings (frames that the PCAP writer had no room for, and those of a
//! worker that failed); `deltaESDropped` sessions that will not reach OpenSearch. `packetQueue` is what stands in the rings,
//! `esQueue` what waits in the spools. Queues of Arkime's that Tenrec does not have are 0.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use forward::{
    Intake,
    opensearch::{Operation, record},
};
use serde_json::{Value, json};
use settings::Node;

use super::Delivered;
use crate::run::{Status, health::resident, worker::Counted};

const NEWEST: &str = "arkime_stats";
const HISTORY: &str = "arkime_dstats";
/// Steps of the history in seconds; each keeps the last 1440, then begins anew.
const STEPS: [u64; 3] = [5, 60, 600];
const KEPT: u64 = 1440;
/// Decimal megabytes, as Arkime counts space.
const MEGA: u64 = 1_000_000;

/// Makes the documents.
pub(super) struct Statistics {
    node: String,
    /// Where Arkime's viewer asks this sensor for packets.
    host: String,
    /// Folder of the captures.
    captures: Option<PathBuf>,
    started: i64,
    /// What was counted when the newest state was told last, and each step of the history.
    told: [Option<Sample>; 4],
}

/// All counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sample {
    at: Option<Instant>,
    cpu: f64,
    packets: u64,
    bytes: u64,
    sessions: u64,
    session_bytes: u64,
    written: u64,
    unwritten: u64,
    dropped: u64,
    fragments_dropped: u64,
    overload_dropped: u64,
    undelivered: u64,
}

impl Statistics {
    pub(super) fn new(node: &Node, captures: Option<PathBuf>) -> Self {
        let begun = Sample { at: Some(Instant::now()), cpu: cpu_seconds(), ..Sample::default() };
        let host = if node.host.is_empty() { node.name.clone() } else { node.host.clone() };
        Self { node: node.name.clone(), host, captures, started: jiff::Timestamp::now().as_second(), told: [Some(begun); 4] }
    }

    /// Puts the steps of the history that are due into the queue; gives the newest state.
    pub(super) fn tell(&mut self, status: &Status, sessions: &Delivered, intake: &mut Intake) -> Option<Vec<u8>> {
        let now = jiff::Timestamp::now();
        let seconds = u64::try_from(now.as_second()).ok()?;
        let sample = Sample::of(status, sessions);
        let state = Now::of(status, sessions, self.captures.as_deref());
        for (place, step) in (1..).zip(STEPS) {
            let last = self.told.get(place).copied().flatten().unwrap_or_default();
            let elapsed = last.at.map_or(0.0, |at| at.elapsed().as_secs_f64());
            // Half a second early is better than half a second late: each step of the clock gets its document.
            if elapsed + 0.5 < step as f64 {
                continue;
            }
            let document = self.document(step, now, &sample, &last, &state);
            let id = format!("{}-{}-{step}", self.node, seconds / step % KEPT);
            intake.put(Operation::Index, HISTORY, &id, document.as_bytes());
            if let Some(told) = self.told.get_mut(place) {
                *told = Some(sample);
            }
        }
        let [newest, ..] = &mut self.told;
        let last = newest.replace(sample).unwrap_or_default();
        let document = self.document(1, now, &sample, &last, &state);
        // The time is a version that rises over restarts too: what comes late does not replace what is newer.
        let version = u64::try_from(now.as_millisecond()).ok()?;
        Some(record(Operation::IndexVersion(version), NEWEST, &self.node, document.as_bytes()))
    }

    /// The fields in the order in which Arkime writes them.
    fn document(&self, step: u64, now: jiff::Timestamp, sample: &Sample, last: &Sample, state: &Now) -> String {
        let elapsed = match (sample.at, last.at) {
            (Some(at), Some(before)) => at.duration_since(before).as_millis().max(1) as u64,
            _ => 1,
        };
        let since = |of: fn(&Sample) -> u64| of(sample).saturating_sub(of(last));
        let [tcp, udp, icmp, sctp, esp, other] = state.active;
        let fields = [
            ("ver", json!(concat!("tenrec-", env!("CARGO_PKG_VERSION")))),
            ("nodeName", json!(self.node)),
            ("hostname", json!(self.host)),
            ("interval", json!(step)),
            ("currentTime", json!(now.as_second())),
            ("usedSpaceM", json!(state.used / MEGA)),
            ("freeSpaceM", json!(state.free / MEGA)),
            ("freeSpaceP", json!(percent(state.free, state.space))),
            ("monitoring", json!(state.active.iter().sum::<u64>())),
            ("memory", json!(state.memory)),
            ("memoryP", json!(percent(state.memory, state.memory_of_all))),
            // Hundredths of a percent of one core.
            ("cpu", json!(((sample.cpu - last.cpu).max(0.0) * 1000.0 * 10_000.0 / elapsed as f64) as u64)),
            ("diskQueue", json!(0)),
            ("esQueue", json!(state.undelivered)),
            ("packetQueue", json!(state.in_rings)),
            ("fragsQueue", json!(0)),
            ("frags", json!(0)),
            ("needSave", json!(0)),
            ("closeQueue", json!(0)),
            ("totalPackets", json!(sample.packets)),
            ("totalK", json!(sample.bytes / 1000)),
            ("totalSessions", json!(sample.sessions)),
            ("totalDropped", json!(sample.dropped)),
            ("tcpSessions", json!(tcp)),
            ("udpSessions", json!(udp)),
            ("icmpSessions", json!(icmp)),
            ("sctpSessions", json!(sctp)),
            ("espSessions", json!(esp)),
            ("otherSessions", json!(other)),
            ("deltaPackets", json!(since(|it| it.packets))),
            ("deltaBytes", json!(since(|it| it.bytes))),
            ("deltaWrittenBytes", json!(since(|it| it.written))),
            ("deltaUnwrittenBytes", json!(since(|it| it.unwritten))),
            ("deltaSessions", json!(since(|it| it.sessions))),
            ("deltaSessionBytes", json!(since(|it| it.session_bytes))),
            ("deltaDropped", json!(since(|it| it.dropped))),
            ("deltaFragsDropped", json!(since(|it| it.fragments_dropped))),
            ("deltaOverloadDropped", json!(since(|it| it.overload_dropped))),
            ("deltaESDropped", json!(since(|it| it.undelivered))),
            ("deltaDupDropped", json!(0)),
            ("esHealthMS", json!(state.answered_in)),
            ("deltaMS", json!(elapsed)),
            ("startTime", json!(self.started)),
        ];
        Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()).to_string()
    }
}

impl Sample {
    fn of(status: &Status, sessions: &Delivered) -> Self {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sum = |of: fn(&Counted) -> &AtomicU64| status.workers.iter().map(|worker| load(of(worker))).sum::<u64>();
        let interfaces = status.interfaces();
        let lost: u64 = interfaces.iter().map(|it| it.total.ring_full + it.total.too_big + status.nic_dropped(&it.name)).sum();
        let pcap = status.pcap.as_ref().map(|counters| counters.snapshot());
        let bytes = sum(|worker| &worker.bytes);
        Self {
            at: Some(Instant::now()),
            cpu: cpu_seconds(),
            packets: sum(|worker| &worker.frames),
            bytes,
            sessions: sum(|worker| &worker.sessions),
            session_bytes: load(&sessions.bytes),
            written: pcap.map_or(0, |pcap| pcap.bytes_written),
            unwritten: if pcap.is_some() { 0 } else { bytes },
            dropped: lost,
            fragments_dropped: sum(|worker| &worker.fragments_dropped),
            overload_dropped: sum(|worker| &worker.failures) + pcap.map_or(0, |pcap| pcap.frames_dropped_queue + pcap.frames_dropped_disk),
            undelivered: sessions.stats().lost() + sessions.state.borrow().refused,
        }
    }
}

/// What is not a counter.
struct Now {
    /// Bytes of all captures.
    used: u64,
    /// Bytes that are free where they are, and all of them.
    free: u64,
    space: u64,
    /// Bytes of this process in memory, and of the machine.
    memory: u64,
    memory_of_all: u64,
    /// Open sessions: TCP, UDP, ICMP, SCTP, ESP, others.
    active: [u64; 6],
    /// Frames that were captured and are not analysed yet.
    in_rings: u64,
    /// Documents that wait.
    undelivered: u64,
    /// Milliseconds that OpenSearch took for its last answer.
    answered_in: u64,
}

impl Now {
    fn of(status: &Status, sessions: &Delivered, captures: Option<&Path>) -> Self {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let captured: u64 = status.interfaces().iter().map(|it| it.total.captured).sum();
        let analysed: u64 = status.workers.iter().map(|worker| load(&worker.frames)).sum();
        let mut active = [0; 6];
        for worker in &status.workers {
            active.iter_mut().zip(&worker.active_sessions).for_each(|(sum, counter)| *sum += load(counter));
        }
        let disk = captures.and_then(|folder| rustix::fs::statvfs(folder).ok());
        Self {
            used: status.pcap.as_ref().map_or(0, |counters| counters.snapshot().bytes_on_disk),
            free: disk.as_ref().map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
            space: disk.as_ref().map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize)),
            memory: resident(),
            memory_of_all: memory_of_all(),
            active,
            // The counters of the kernel are a second old at most: then there may seem to be fewer than none.
            in_rings: captured.saturating_sub(analysed),
            undelivered: sessions.stats().waiting,
            answered_in: sessions.state.borrow().answered_in,
        }
    }
}

/// Seconds of processor time that all threads of this process have had.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Bytes of memory that the machine has: `MemTotal` of proc_meminfo(5), in KiB.
fn memory_of_all() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}

/// With two places.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 * 10_000.0 / whole as f64).round() / 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_measured() {
        assert!(resident() < memory_of_all());
        let before = cpu_seconds();
        let mut sum = 0_u64;
        while cpu_seconds() <= before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }

    #[test]
    fn a_document_has_arkimes_fields_in_arkimes_order_and_differences_since_the_last() {
        let statistics = Statistics::new(&Node { name: "s".to_owned(), host: "192.0.2.7".to_owned(), ..Node::default() }, None);
        let at = Instant::now();
        let last = Sample { at: Some(at), packets: 10, dropped: 1, cpu: 1.0, ..Sample::default() };
        let sample = Sample { at: Some(at + std::time::Duration::from_secs(2)), packets: 30, dropped: 4, cpu: 2.0, ..Sample::default() };
        let state = Now {
            used: 3_000_000,
            free: 50,
            space: 200,
            memory: 1,
            memory_of_all: 3,
            active: [1, 2, 3, 4, 5, 6],
            in_rings: 7,
            undelivered: 8,
            answered_in: 9,
        };
        let text = statistics.document(1, jiff::Timestamp::now(), &sample, &last, &state);
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&document["nodeName"], &document["hostname"]), (&json!("s"), &json!("192.0.2.7")));
        assert_eq!((&document["deltaPackets"], &document["deltaDropped"], &document["deltaMS"]), (&json!(20), &json!(3), &json!(2000)));
        // One second in two: half a core.
        assert_eq!((&document["cpu"], &document["freeSpaceP"], &document["memoryP"]), (&json!(5000), &json!(25.0), &json!(33.33)));
        assert_eq!((&document["monitoring"], &document["usedSpaceM"]), (&json!(21), &json!(3)));
        let names: Vec<&String> = document.as_object().unwrap().keys().collect();
        assert_eq!(names.len(), 43);
        assert_eq!((names[0].as_str(), names[18].as_str(), names[42].as_str()), ("ver", "closeQueue", "startTime"));
    }
}
