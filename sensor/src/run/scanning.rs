//! Scanning: from the carver to the scan process, and from its verdicts to records.
//!
//! ```text
//! carver ──finished──▶ Scanner's queue ──▶ scan process ──verdict──▶ record writer ──▶ filescan.log, spool
//!                                                       └──────────▶ what the control socket shows
//! ```
//!
//! The scan process is started before privileges are given up; it gives up its own. A full queue, or a scanner that
//! cannot be started, leaves files unscanned and counted, never carving or capture waiting.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use analyze::log::{Log, Record, Row, column};
use analyze::{FlowId, Time, Uid};
use crossbeam_channel::{Receiver, Sender, bounded};
use scan::{Counters, FileFacts, Link, Outcome, Scanner, Verdict};
use serde_json::{Map, Value};
use settings::{Preservation, Settings, control};

use super::{Plan, Probe};
use crate::carver::Finished;

/// The hidden command that is the scan process.
pub const COMMAND: &str = "scan";
/// Verdicts that wait for the record writer; the scanner then waits for it.
const MOST_WAITING: usize = 1024;
/// Verdicts that the control socket remembers.
const REMEMBERED: usize = 1000;
/// Of those, the matches shown with the status.
const SHOWN: usize = 10;

/// A file with its verdict, on the way to the record writer.
pub struct Scanned {
    /// The file.
    pub file: Finished,
    /// What the scanner said.
    pub verdict: Verdict,
    /// When.
    pub at: Time,
}

/// A line of `filescan.log`: our own, for what has no place in Zeek's logs.
#[derive(Debug)]
pub struct ScanRecord {
    at: Time,
    fuid: Uid,
    id: FlowId,
    source: &'static str,
    name: String,
    mime: Option<&'static str>,
    size: u64,
    sha256: String,
    verdict: &'static str,
    rules: Vec<String>,
    errors: Vec<String>,
}

/// `filescan.log`.
pub static FILESCAN: Log = Log {
    path: "filescan",
    columns: &[
        column("ts", "time"),
        column("fuid", "string"),
        column("uid", "string"),
        column("id.orig_h", "addr"),
        column("id.orig_p", "port"),
        column("id.resp_h", "addr"),
        column("id.resp_p", "port"),
        column("source", "string"),
        column("extracted", "string"),
        column("mime_type", "string"),
        column("size", "count"),
        column("sha256", "string"),
        column("verdict", "enum"),
        column("rules", "vector[string]"),
        column("errors", "vector[string]"),
    ],
};

impl Record for ScanRecord {
    fn log(&self) -> &'static Log {
        &FILESCAN
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        row.time(Some(self.at));
        row.uid(Some(self.fuid));
        row.uid(Some(self.id.uid));
        row.tuple(Some(&self.id));
        row.symbol(Some(self.source));
        row.string(Some(&self.name));
        row.symbol(self.mime);
        row.count(Some(self.size));
        row.symbol(Some(&self.sha256));
        row.symbol(Some(self.verdict));
        for list in [&self.rules, &self.errors] {
            row.strings((!list.is_empty()).then(|| list.iter().map(String::as_bytes)));
        }
    }
}

impl Scanned {
    /// The record of it.
    pub fn record(&self) -> ScanRecord {
        let carved = &self.file.carved;
        ScanRecord {
            at: self.at,
            fuid: carved.fuid,
            id: carved.id,
            source: carved.source,
            name: carved.name.clone(),
            mime: carved.mime,
            size: self.file.size,
            sha256: self.file.sha256.clone(),
            verdict: word(self.verdict.outcome),
            rules: self.verdict.names(),
            errors: self.verdict.errors.clone(),
        }
    }

    /// The event that Malcolm takes. `line` is the file's line of `files.log` as JSON, if it is still known.
    pub fn event(&self, line: Option<&str>, node: &settings::Node) -> Map<String, Value> {
        let record = line.and_then(|line| serde_json::from_str::<Map<String, Value>>(line).ok()).unwrap_or_default();
        let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let facts = FileFacts {
            name: self.file.carved.name.clone(),
            size: self.file.size,
            mime: self.file.carved.mime.unwrap_or_default().to_owned(),
            md5: text("md5"),
            sha1: text("sha1"),
            sha256: self.file.sha256.clone(),
            record,
        };
        scan::event(&facts, &self.verdict, node, self.at.0.into())
    }
}

/// A verdict in a word, and the rules that matched.
type Judged = (&'static str, Vec<String>);

/// What the control socket shows of the scan.
#[derive(Default)]
struct Seen {
    counters: Mutex<Option<Arc<Counters>>>,
    /// Verdict and rules by fuid, and the fuids in order.
    verdicts: Mutex<(HashMap<String, Judged>, VecDeque<String>)>,
    matches: Mutex<VecDeque<control::Verdict>>,
    unscanned: AtomicU64,
}

/// Adds the scan to a plan, if the settings want it. To be called before privileges are given up.
pub fn add(settings: &Settings, plan: &mut Plan) {
    if !settings.scan.enabled {
        return;
    }
    let link = match link(settings) {
        Ok(link) => link,
        Err(error) => {
            tracing::error!(%error, "files are not scanned: the scan process cannot be started");
            return;
        }
    };
    let seen = Arc::new(Seen::default());
    let (sender, receiver) = bounded(MOST_WAITING);
    plan.records.scanned = Some((receiver, settings.node.clone()));
    plan.probes.push(Box::new(Arc::clone(&seen)));
    let mut queue = Queue {
        idle: Some((link, sender)),
        scanner: None,
        depth: settings.scan.queue,
        timeout: Duration::from_secs(settings.scan.timeout_seconds),
        preservation: settings.files.preservation,
        seen,
    };
    plan.finished = Box::new(move |file| queue.submit(file));
}

fn link(settings: &Settings) -> std::io::Result<Link> {
    let of = &settings.scan;
    if let Some(socket) = &of.socket {
        return Ok(Link::socket(socket));
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(COMMAND);
    for folder in of.rules.iter().filter(|folder| folder.exists()) {
        command.args([&OsString::from("--rules"), folder.as_os_str()]);
    }
    if let Some(clamd) = &of.clamd {
        command.args([&OsString::from("--clamd"), clamd.as_os_str()]);
    }
    command.args(["--timeout", &of.timeout_seconds.to_string(), "--memory", &of.memory_megabytes.to_string()]);
    Link::child(command)
}

/// The carver's end: hands files to the scanner, and waits for the last verdict when it is dropped.
struct Queue {
    /// What the scanner is made of, until the first file. Its thread must not be there before the sandbox.
    idle: Option<(Link, Sender<Scanned>)>,
    scanner: Option<Scanner<Finished>>,
    depth: usize,
    timeout: Duration,
    preservation: Preservation,
    seen: Arc<Seen>,
}

impl Queue {
    fn submit(&mut self, file: Finished) {
        if let Some((link, sender)) = self.idle.take() {
            let (seen, preservation) = (Arc::clone(&self.seen), self.preservation);
            let started = Scanner::start(link, self.depth, self.timeout, move |file: Finished, verdict: Verdict| {
                decided(file, verdict, preservation, &seen, &sender);
            });
            match started {
                Ok(scanner) => {
                    *self.seen.counters.lock().unwrap_or_else(PoisonError::into_inner) = Some(scanner.counters());
                    self.scanner = Some(scanner);
                }
                Err(error) => tracing::error!(%error, "files are not scanned: no thread for it"),
            }
        }
        let taken = self.scanner.as_ref().is_some_and(|scanner| scanner.submit(file.path.clone(), file));
        if !taken {
            self.seen.unscanned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(scanner) = self.scanner.take() {
            scanner.finish();
        }
    }
}

/// A verdict has come: remember it, pass it on, and keep or remove the file.
fn decided(file: Finished, verdict: Verdict, preservation: Preservation, seen: &Seen, sender: &Sender<Scanned>) {
    let at = Time(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX));
    seen.remember(&file, &verdict, at);
    if verdict.outcome == Outcome::Matched {
        tracing::warn!(file = %file.carved.name, rules = verdict.names().join(", "), "a file matched");
    }
    if !verdict.keeps(preservation) {
        remove(&file);
    }
    // An error means that the record writer is gone, which it is only after us.
    drop(sender.send(Scanned { file, verdict, at }));
}

/// Removes a file's name, and its content if no other name holds it.
fn remove(file: &Finished) {
    use std::os::unix::fs::MetadataExt;
    let content = file.path.parent().map(|folder| folder.join("by-hash").join(&file.sha256));
    if let Err(error) = std::fs::remove_file(&file.path) {
        tracing::debug!(%error, file = %file.path.display(), "a scanned file was gone already");
    }
    if let Some(content) = content
        && std::fs::metadata(&content).is_ok_and(|metadata| metadata.nlink() == 1)
    {
        drop(std::fs::remove_file(content));
    }
}

impl Seen {
    fn remember(&self, file: &Finished, verdict: &Verdict, at: Time) {
        let fuid = file.carved.fuid.to_string();
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let (by_fuid, order) = &mut *verdicts;
        if order.len() >= REMEMBERED
            && let Some(oldest) = order.pop_front()
        {
            by_fuid.remove(&oldest);
        }
        by_fuid.insert(fuid.clone(), (word(verdict.outcome), verdict.names()));
        order.push_back(fuid);
        drop(verdicts);
        if verdict.outcome != Outcome::Matched {
            return;
        }
        let mut matches = self.matches.lock().unwrap_or_else(PoisonError::into_inner);
        matches.truncate(SHOWN - 1);
        matches.push_front(control::Verdict {
            time: at.micros() as f64 / 1e6,
            file: file.carved.name.clone(),
            mime: file.carved.mime.unwrap_or_default().to_owned(),
            size: file.size,
            sha256: file.sha256.clone(),
            rules: verdict.names(),
        });
    }
}

impl Probe for Arc<Seen> {
    fn status(&self, status: &mut control::Status) {
        let unscanned = self.unscanned.load(Ordering::Relaxed);
        status.drops.scan = unscanned;
        if let Some(counters) = &*self.counters.lock().unwrap_or_else(PoisonError::into_inner) {
            let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            status.files.scanned = load(&counters.scanned);
            status.files.matched = load(&counters.matched);
            status.files.failed = load(&counters.failed);
        }
        status.verdicts = self.matches.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
    }

    fn files(&self, files: &mut [control::File]) {
        let verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        for file in files {
            if let Some((verdict, rules)) = verdicts.0.get(&file.fuid) {
                (*verdict).clone_into(&mut file.verdict);
                file.rules.clone_from(rules);
            }
        }
    }
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Clean => "clean",
        Outcome::Matched => "matched",
        Outcome::Failed => "failed",
    }
}

/// The file's line of `files.log` among those that are remembered.
pub(super) fn line_of(lines: &VecDeque<String>, fuid: Uid) -> Option<&str> {
    let wanted = format!("\"fuid\":\"{fuid}\"");
    lines.iter().rev().find(|line| line.contains(&wanted)).map(String::as_str)
}

/// What the record writer takes verdicts from.
pub type Verdicts = (Receiver<Scanned>, settings::Node);
