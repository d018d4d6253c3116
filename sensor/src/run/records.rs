//! The record writer: turns records into lines of log files, hands the same lines to the spool, remembers the last few.
//!
//! It may wait for the disk; workers do not wait for it. A log that cannot be written costs its lines, which are counted,
//! and is told once.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use analyze::{
    Alert, Time,
    log::{Eve, Format, Profile, Record, Row, Session},
};
use crossbeam_channel::Receiver;
use rtrb::Consumer;

use super::log_files::{self, LogFiles};
use super::scanning::{self, Scanned, Verdicts};
use super::worker::Findings;
use crate::pcap;

/// How long the writer rests when there is nothing to write.
const REST: Duration = Duration::from_millis(5);
/// How often lines are passed to the file system, so that `tail -f` shows them.
const FLUSH: Duration = Duration::from_secs(1);
/// How long a verdict waits for the record of its file.
const PATIENCE: Duration = Duration::from_secs(2);
/// Flows with a wrong checksum until it is told.
const TELLING: u32 = 3;
/// What the daemon says of itself may wait so much; the record writer looks every few milliseconds.
pub const OWN: usize = 256;
/// Lines of each kind that are remembered for the control socket.
const REMEMBERED: usize = 1000;

/// Where else lines go.
pub trait Deliver: Send {
    /// Whether lines of logs are wanted at all.
    fn wants_lines(&self) -> bool;

    /// One line of a Zeek log, without its line break: of which log, when it happened, the line.
    fn line(&mut self, log: &'static str, at: Time, line: &[u8]);

    /// One alert as an EVE object, without its line break.
    fn alert(&mut self, at: Time, line: &[u8]);

    /// One session of Arkime's, or a segment of one.
    fn session(&mut self, session: &Session);

    /// One measurement of the machine: when, of which module, its values.
    fn measured(&mut self, at: Time, module: &'static str, values: &serde_json::Value);

    /// The result of a scan, as the event that Malcolm takes.
    fn scanned(&mut self, at: Time, event: &serde_json::Map<String, serde_json::Value>);

    /// Called about once a second, and at the end.
    fn flush(&mut self);
}

/// What the daemon says of itself, and of the machine.
pub enum Told {
    /// A line of a log.
    Record(Box<dyn Record>),
    /// A measurement of the machine: when, of which module, its values.
    Measured(Time, &'static str, serde_json::Value),
}

/// What becomes of records.
pub struct Options {
    /// The log files, if there are any.
    pub logs: Option<log_files::Options>,
    /// Columns.
    pub profile: Profile,
    /// Form of the lines that are delivered.
    pub format: Format,
    /// Where else lines go.
    pub deliver: Option<Box<dyn Deliver>>,
    /// Where verdicts of the scan come from.
    pub scanned: Option<Verdicts>,
    /// What the daemon says of itself.
    pub own: Receiver<Told>,
    /// Where it is noted in which captures the packets of sessions are; set when captures are written.
    pub places: Option<pcap::Sessions>,
}

/// What the record writer has done, for others to read.
#[derive(Debug, Default)]
pub struct Written {
    /// Lines in log files.
    pub lines: AtomicU64,
    /// Lines that a log file did not take.
    pub dropped: AtomicU64,
    connections: Mutex<VecDeque<String>>,
    files: Mutex<VecDeque<String>>,
    logs: Mutex<Vec<(&'static str, u64)>>,
}

impl Written {
    /// The last connections, newest first, each a JSON object with the columns of `conn.log`.
    pub fn connections(&self, most: usize) -> Vec<String> {
        newest(&self.connections, most)
    }

    /// The last files, newest first, each a JSON object with the columns of `files.log`.
    pub fn files(&self, most: usize) -> Vec<String> {
        newest(&self.files, most)
    }

    /// Keeps a connection or a file for who asks for the last ones.
    pub fn remember(&self, record: &dyn Record, profile: Profile) {
        let kept = match record.log().path {
            "conn" => &self.connections,
            "files" => &self.files,
            _ => return,
        };
        let mut line = Vec::new();
        Row::write(record, Format::Json, profile, &mut line);
        let mut lines = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= REMEMBERED {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
    }

    /// Lines by log.
    pub fn logs(&self) -> Vec<(&'static str, u64)> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Starts the record writer. It ends when all workers have.
///
/// # Errors
/// If the folder cannot be made.
pub fn start(options: Options, workers: Vec<Consumer<Findings>>) -> io::Result<(JoinHandle<()>, Arc<Written>)> {
    let logs = options.logs.map(LogFiles::open).transpose()?;
    let written = Arc::new(Written::default());
    let mut writer = Writer {
        logs,
        profile: options.profile,
        format: options.format,
        deliver: options.deliver,
        scanned: options.scanned,
        own: options.own,
        places: options.places,
        early: VecDeque::new(),
        written: Arc::clone(&written),
        line: Vec::new(),
        lines: BTreeMap::new(),
        failing: false,
        unfinished_checksums: 0,
    };
    let thread = thread::Builder::new().name("records".to_owned()).spawn(move || {
        super::ordinary_priority();
        writer.run(workers);
        if let Some(Err(error)) = writer.logs.map(LogFiles::close) {
            tracing::error!(%error, "the last log lines could not be written");
        }
    })?;
    Ok((thread, written))
}

struct Writer {
    logs: Option<LogFiles>,
    profile: Profile,
    format: Format,
    deliver: Option<Box<dyn Deliver>>,
    scanned: Option<Verdicts>,
    own: Receiver<Told>,
    places: Option<pcap::Sessions>,
    /// Verdicts of files whose own record has not come yet.
    early: VecDeque<(Instant, Scanned)>,
    written: Arc<Written>,
    line: Vec<u8>,
    lines: BTreeMap<&'static str, u64>,
    failing: bool,
    /// Flows with a wrong checksum, counted up to [`TELLING`].
    unfinished_checksums: u32,
}

impl Writer {
    fn run(&mut self, mut workers: Vec<Consumer<Findings>>) {
        let mut flushed = Instant::now();
        loop {
            let mut idle = true;
            // Asked first: what a worker left behind is then seen once more.
            let ended = workers.iter().all(Consumer::is_abandoned);
            for worker in &mut workers {
                if let Ok(batch) = worker.pop() {
                    idle = false;
                    for record in &batch.records {
                        self.write(record.as_ref());
                    }
                    for alert in &batch.alerts {
                        self.alert(alert);
                    }
                }
            }
            let scan_ended = self.take_verdicts(&mut idle);
            self.take_own();
            if flushed.elapsed() >= FLUSH {
                flushed = Instant::now();
                self.flush();
            }
            if idle {
                if ended && scan_ended {
                    break;
                }
                thread::park_timeout(REST);
            }
        }
        self.flush();
    }

    /// What the daemon says of itself. Nobody waits for it at the end.
    fn take_own(&mut self) {
        while let Ok(told) = self.own.try_recv() {
            match told {
                Told::Record(record) => self.write(record.as_ref()),
                Told::Measured(at, module, values) => {
                    if let Some(deliver) = &mut self.deliver {
                        deliver.measured(at, module, &values);
                    }
                }
            }
        }
    }

    /// Verdicts to records; whether no more will come.
    fn take_verdicts(&mut self, idle: &mut bool) -> bool {
        let Some((receiver, _)) = &self.scanned else { return true };
        let ended = loop {
            match receiver.try_recv() {
                Ok(scanned) => self.early.push_back((Instant::now(), scanned)),
                Err(crossbeam_channel::TryRecvError::Empty) => break false,
                Err(crossbeam_channel::TryRecvError::Disconnected) => break true,
            }
        };
        while let Some((since, scanned)) = self.early.front() {
            let line = {
                let lines = self.written.files.lock().unwrap_or_else(PoisonError::into_inner);
                scanning::line_of(&lines, scanned.file.carved.fuid).map(str::to_owned)
            };
            // The record of the file takes another way than the file, and is hardly ever behind it.
            if line.is_none() && since.elapsed() < PATIENCE {
                break;
            }
            *idle = false;
            let Some((_, scanned)) = self.early.pop_front() else { break };
            self.verdict(&scanned, line.as_deref());
        }
        ended && self.early.is_empty()
    }

    fn verdict(&mut self, scanned: &Scanned, line: Option<&str>) {
        let record = scanned.record();
        match self.logs.as_mut().map(|logs| logs.write(&record)) {
            Some(Ok(())) => drop(self.written.lines.fetch_add(1, Ordering::Relaxed)),
            Some(Err(error)) => self.failed(&error, 1),
            None => {}
        }
        *self.lines.entry(scanning::FILESCAN.path).or_default() += 1;
        if let (Some(deliver), Some((_, node))) = (&mut self.deliver, &self.scanned) {
            deliver.scanned(scanned.at, &scanned.event(line, node));
        }
    }

    fn write(&mut self, record: &dyn Record) {
        match self.logs.as_mut().map(|logs| logs.write(record)) {
            Some(Ok(())) => {
                self.written.lines.fetch_add(1, Ordering::Relaxed);
            }
            Some(Err(error)) => self.failed(&error, 1),
            None => {}
        }
        if let Some(session) = record.session() {
            if let Some(places) = &self.places {
                places.save(session);
            }
            *self.lines.entry(record.log().path).or_default() += 1;
            if let Some(deliver) = &mut self.deliver {
                deliver.session(session);
            }
            return;
        }
        let log = record.log().path;
        *self.lines.entry(log).or_default() += 1;
        if log == "weird" && self.unfinished_checksums < TELLING {
            self.look_for_unfinished_checksums(record);
        }
        if let Some(deliver) = self.deliver.as_mut().filter(|deliver| deliver.wants_lines()) {
            self.line.clear();
            Row::write(record, self.format, self.profile, &mut self.line);
            deliver.line(log, record.at(), self.line.trim_ascii_end());
        }
        self.written.remember(record, self.profile);
    }

    /// Of Suricata's events a Malcolm sensor sends the alerts: the rest says what Zeek's logs say.
    fn alert(&mut self, alert: &Alert) {
        match self.logs.as_mut().map(|logs| logs.alert(alert)) {
            Some(Ok(())) => drop(self.written.lines.fetch_add(1, Ordering::Relaxed)),
            Some(Err(error)) => self.failed(&error, 1),
            None => {}
        }
        *self.lines.entry("alert").or_default() += 1;
        if let Some(deliver) = &mut self.deliver {
            self.line.clear();
            alert.eve(&mut Eve::new(&mut self.line));
            deliver.alert(alert.at, self.line.trim_ascii_end());
        }
    }

    /// Packets that never left a machine often have no checksum yet: virtual interfaces leave it to a card that is not
    /// there. They are left out of the analysis, as Zeek leaves them out, so the operator should hear why there is nothing.
    fn look_for_unfinished_checksums(&mut self, record: &dyn Record) {
        self.line.clear();
        Row::write(record, Format::Json, self.profile, &mut self.line);
        const NAMES: [&[u8]; 2] = [br#""name":"bad_TCP_checksum""#, br#""name":"bad_UDP_checksum""#];
        if !NAMES.iter().any(|name| self.line.windows(name.len()).any(|window| window == *name)) {
            return;
        }
        self.unfinished_checksums += 1;
        if self.unfinished_checksums == TELLING {
            tracing::warn!(
                flows = TELLING,
                "packets with wrong checksums are left out of the analysis; if the sender is a virtual machine or a container, \
                 they are not finished: set analysis.checksums = false in tenrec.toml, or `ethtool -K INTERFACE tx off` at the sender"
            );
        }
    }

    fn flush(&mut self) {
        match self.logs.as_mut().map_or(Ok(()), LogFiles::tend) {
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::info!("logs are being written again");
            }
            Ok(()) => {}
            Err(error) => self.failed(&error, 0),
        }
        *self.written.logs.lock().unwrap_or_else(PoisonError::into_inner) = self.lines.iter().map(|(log, lines)| (*log, *lines)).collect();
        if let Some(deliver) = &mut self.deliver {
            deliver.flush();
        }
    }

    fn failed(&mut self, error: &io::Error, lines: u64) {
        self.written.dropped.fetch_add(lines, Ordering::Relaxed);
        if !self.failing {
            self.failing = true;
            tracing::error!(%error, "logs cannot be written, their lines are dropped: free space, or change logs.folder in tenrec.toml");
        }
    }
}

fn newest(lines: &Mutex<VecDeque<String>>, most: usize) -> Vec<String> {
    lines.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().take(most).cloned().collect()
}
