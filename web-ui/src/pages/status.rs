//! The front page: is everything captured, is everything delivered, and what was seen.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use settings::control::{Status, Verdict};

use super::{Page, down, text};
use crate::format::{bits, bytes, clock, count, curve, duration, short, time};
use crate::{App, Snapshot};

pub(crate) async fn page(State(app): State<App>) -> Response {
    Page::Status.whole(&app).await
}

pub(crate) fn live(app: &App) -> String {
    let snapshot = app.snapshot.borrow();
    match &snapshot.status {
        Some(status) => text(&View::of(status, &snapshot)),
        None => down(&snapshot.trouble),
    }
}

/// Size of the curve's box, as the template's viewBox has it.
const CURVE: (f64, f64) = (320.0, 56.0);

#[derive(Template)]
#[template(path = "status.html")]
struct View<'a> {
    health: Health,
    tiles: Vec<Tile>,
    curve: String,
    rate: String,
    throughput: String,
    places: Vec<Place>,
    interfaces: Vec<InterfaceRow<'a>>,
    workers: Vec<WorkerRow>,
    logs: Vec<LogRow<'a>>,
    delivery: Option<Delivery<'a>>,
    pcap: Vec<(&'static str, String)>,
    verdicts: Vec<VerdictRow<'a>>,
    files: Vec<(&'static str, String)>,
    version: &'a str,
    started: String,
    uptime: String,
}

/// One sentence, and how bad it is: `good`, `warn`, `bad`.
struct Health {
    class: &'static str,
    words: String,
}

struct Tile {
    label: &'static str,
    value: String,
    exact: String,
    note: String,
    class: &'static str,
}

/// A place where something can be lost.
struct Place {
    name: &'static str,
    unit: &'static str,
    lost: String,
    class: &'static str,
}

struct InterfaceRow<'a> {
    name: &'a str,
    mode: &'a str,
    queues: u32,
    cells: Vec<(&'static str, String, &'static str)>,
}

struct WorkerRow {
    number: u32,
    packets: String,
    bytes: String,
    flows: String,
    busy: String,
    busy_percent: u32,
    restarts: u64,
}

struct LogRow<'a> {
    name: &'a str,
    lines: String,
    percent: u32,
}

struct Delivery<'a> {
    class: &'static str,
    state: &'a str,
    address: &'a str,
    since: String,
    error: &'a str,
    rows: Vec<(&'static str, String)>,
}

struct VerdictRow<'a> {
    time: String,
    file: &'a str,
    mime: &'a str,
    size: String,
    rules: &'a [String],
    class: &'static str,
}

impl<'a> View<'a> {
    fn of(status: &'a Status, snapshot: &Snapshot) -> Self {
        let rate = snapshot.packet_rates.back().copied().unwrap_or(0.0);
        Self {
            health: health(status),
            tiles: tiles(status),
            curve: curve(snapshot.packet_rates.iter().copied(), CURVE.0, CURVE.1),
            rate: short(rate),
            throughput: bits(snapshot.byte_rate),
            places: status
                .drops
                .places()
                .map(|(name, unit, lost)| Place { name, unit, lost: count(lost), class: if lost == 0 { "none" } else { "bad" } })
                .into(),
            interfaces: status.interfaces.iter().map(interface).collect(),
            workers: status.workers.iter().map(worker).collect(),
            logs: logs(status),
            delivery: delivery(status),
            pcap: pcap(status),
            verdicts: status.verdicts.iter().take(8).map(verdict).collect(),
            files: vec![
                ("Seen", count(status.files.seen)),
                ("Carved", count(status.files.carved)),
                ("Scanned", count(status.files.scanned)),
                ("Matched", count(status.files.matched)),
                ("Scan failed", count(status.files.failed)),
            ],
            version: &status.version,
            started: time(status.started),
            uptime: duration(status.uptime),
        }
    }
}

/// The worst thing first.
fn health(status: &Status) -> Health {
    let drops = &status.drops;
    let packets = drops.nic + drops.ring + drops.worker;
    let records = drops.records + drops.spool + drops.forward;
    let trouble = status.collector.as_ref().filter(|collector| !collector.last_error.is_empty());
    let (class, words) = if status.interfaces.is_empty() {
        ("warn", "No interface is being captured.".to_owned())
    } else if records > 0 {
        ("bad", format!("{} records were lost.", count(records)))
    } else if packets > 0 {
        ("bad", format!("{} packets were lost before analysis.", count(packets)))
    } else if let Some(collector) = trouble {
        ("warn", format!("Nothing is lost, but the collector does not take records: {}", collector.last_error))
    } else if drops.pcap + drops.carver + drops.scan > 0 {
        ("warn", "Every packet is analysed; PCAP or carved files have gaps.".to_owned())
    } else if status.collector.is_none() {
        ("good", "Every packet is analysed. Forwarding is off.".to_owned())
    } else {
        ("good", "Every packet is analysed, every record is on its way.".to_owned())
    };
    Health { class, words }
}

fn tiles(status: &Status) -> Vec<Tile> {
    let tile = |label, number: u64, note: String, class| Tile { label, value: short(number as f64), exact: count(number), note, class };
    let packets: u64 = status.interfaces.iter().map(|interface| interface.received).sum();
    let lines: u64 = status.logs.values().sum();
    let lost: u64 = status.drops.places().iter().map(|(_, _, lost)| lost).sum();
    vec![
        tile("Packets analysed", status.packets_analysed, format!("of {} received", short(packets as f64)), ""),
        tile("Active flows", status.flows.active, format!("{} in total", short(status.flows.total as f64)), ""),
        tile("Records", lines, format!("in {} logs", status.logs.len()), ""),
        tile(
            "Files matched",
            status.files.matched,
            format!("of {} scanned", short(status.files.scanned as f64)),
            if status.files.matched > 0 { "alert" } else { "" },
        ),
        tile(
            "Lost",
            lost,
            if lost == 0 { "at no place".to_owned() } else { "see the places below".to_owned() },
            if lost > 0 { "bad" } else { "" },
        ),
    ]
}

fn interface(interface: &settings::control::Interface) -> InterfaceRow<'_> {
    let bad = |number: u64| if number > 0 { "bad" } else { "" };
    InterfaceRow {
        name: &interface.name,
        mode: &interface.mode,
        queues: interface.queues,
        cells: vec![
            ("Received", count(interface.received), ""),
            ("Captured", count(interface.captured), ""),
            ("Filtered", count(interface.filtered), ""),
            ("Shunted", count(interface.shunted), ""),
            ("Too big", count(interface.too_big), bad(interface.too_big)),
            ("Ring full", count(interface.ring_full), bad(interface.ring_full)),
            ("NIC lost", count(interface.nic_dropped), bad(interface.nic_dropped)),
            ("Volume", bytes(interface.bytes), ""),
        ],
    }
}

fn worker(worker: &settings::control::Worker) -> WorkerRow {
    let percent = (worker.busy.clamp(0.0, 1.0) * 100.0).round();
    WorkerRow {
        number: worker.number,
        packets: count(worker.packets),
        bytes: bytes(worker.bytes),
        flows: count(worker.flows_active),
        busy: format!("{percent:.0} %"),
        busy_percent: percent as u32,
        restarts: worker.restarts,
    }
}

fn logs(status: &Status) -> Vec<LogRow<'_>> {
    let most = status.logs.values().max().copied().unwrap_or(0).max(1);
    let mut logs: Vec<_> = status.logs.iter().collect();
    logs.sort_by(|(a, lines_a), (b, lines_b)| lines_b.cmp(lines_a).then(a.cmp(b)));
    logs.into_iter()
        .map(|(name, lines)| LogRow { name, lines: count(*lines), percent: (lines * 100 / most).clamp(1, 100) as u32 })
        .collect()
}

fn delivery(status: &Status) -> Option<Delivery<'_>> {
    let collector = status.collector.as_ref()?;
    let spool = status.spool.unwrap_or_default();
    let class = match (collector.state.as_str(), collector.last_error.is_empty()) {
        ("connected", true) => "good",
        ("connecting", true) => "warn",
        _ => "bad",
    };
    Some(Delivery {
        class,
        state: &collector.state,
        address: &collector.address,
        since: duration(status.started + status.uptime - collector.since),
        error: &collector.last_error,
        rows: vec![
            ("Waiting", format!("{} records", count(spool.records))),
            ("On disk", bytes(spool.bytes)),
            ("Acknowledged", format!("{} records", count(spool.acknowledged))),
            ("Lost", format!("{} records", count(spool.lost))),
        ],
    })
}

fn pcap(status: &Status) -> Vec<(&'static str, String)> {
    let pcap = &status.pcap;
    if pcap.file.is_empty() {
        return Vec::new();
    }
    let name = pcap.file.rsplit('/').next().unwrap_or_default().to_owned();
    vec![
        ("Writing", name),
        ("So far", bytes(pcap.bytes)),
        ("On disk", format!("{} in {} files", bytes(pcap.total_bytes), count(pcap.files))),
        ("Deleted for space", format!("{} files", count(pcap.deleted))),
    ]
}

fn verdict(verdict: &Verdict) -> VerdictRow<'_> {
    VerdictRow {
        time: clock(verdict.time),
        file: &verdict.file,
        mime: &verdict.mime,
        size: bytes(verdict.size),
        rules: &verdict.rules,
        class: if verdict.rules.is_empty() { "" } else { "alert" },
    }
}
