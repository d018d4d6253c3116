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
    Time,
    log::{Format, Profile, Record, Row},
};
use rtrb::Consumer;

use super::log_files::{self, LogFiles};

/// How long the writer rests when there is nothing to write.
const REST: Duration = Duration::from_millis(5);
/// How often lines are passed to the file system, so that `tail -f` shows them.
const FLUSH: Duration = Duration::from_secs(1);
/// Lines of each kind that are remembered for the control socket.
const REMEMBERED: usize = 1000;

/// Where else lines go.
pub trait Deliver: Send {
    /// One line, without its line break: of which log, when it happened, and the line as the settings want it for delivery.
    fn line(&mut self, log: &'static str, at: Time, line: &[u8]);

    /// Called about once a second, and at the end.
    fn flush(&mut self);
}

/// What becomes of records.
pub struct Options {
    /// The log files, if there are any.
    pub logs: Option<log_files::Options>,
    /// Columns.
    pub profile: Profile,
    /// Where else lines go, as one-line JSON.
    pub deliver: Option<Box<dyn Deliver>>,
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

    /// Lines by log.
    pub fn logs(&self) -> Vec<(&'static str, u64)> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Starts the record writer. It ends when all workers have.
///
/// # Errors
/// If the folder cannot be made.
pub fn start(options: Options, workers: Vec<Consumer<Vec<Box<dyn Record>>>>) -> io::Result<(JoinHandle<()>, Arc<Written>)> {
    let logs = options.logs.map(LogFiles::open).transpose()?;
    let written = Arc::new(Written::default());
    let mut writer = Writer {
        logs,
        profile: options.profile,
        deliver: options.deliver,
        written: Arc::clone(&written),
        line: Vec::new(),
        lines: BTreeMap::new(),
        failing: false,
    };
    let thread = thread::Builder::new().name("records".to_owned()).spawn(move || {
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
    deliver: Option<Box<dyn Deliver>>,
    written: Arc<Written>,
    line: Vec<u8>,
    lines: BTreeMap<&'static str, u64>,
    failing: bool,
}

impl Writer {
    fn run(&mut self, mut workers: Vec<Consumer<Vec<Box<dyn Record>>>>) {
        let mut flushed = Instant::now();
        loop {
            let mut idle = true;
            // Asked first: what a worker left behind is then seen once more.
            let ended = workers.iter().all(Consumer::is_abandoned);
            for worker in &mut workers {
                if let Ok(batch) = worker.pop() {
                    idle = false;
                    for record in &batch {
                        self.write(record.as_ref());
                    }
                }
            }
            if flushed.elapsed() >= FLUSH {
                flushed = Instant::now();
                self.flush();
            }
            if idle {
                if ended {
                    break;
                }
                thread::park_timeout(REST);
            }
        }
        self.flush();
    }

    fn write(&mut self, record: &dyn Record) {
        match self.logs.as_mut().map(|logs| logs.write(record)) {
            Some(Ok(())) => {
                self.written.lines.fetch_add(1, Ordering::Relaxed);
            }
            Some(Err(error)) => self.failed(&error, 1),
            None => {}
        }
        let log = record.log().path;
        *self.lines.entry(log).or_default() += 1;
        let remembered = match log {
            "conn" => Some(&self.written.connections),
            "files" => Some(&self.written.files),
            _ => None,
        };
        if remembered.is_none() && self.deliver.is_none() {
            return;
        }
        self.line.clear();
        Row::write(record, Format::Json, self.profile, &mut self.line);
        let line = self.line.trim_ascii_end();
        if let Some(deliver) = &mut self.deliver {
            deliver.line(log, record.at(), line);
        }
        if let Some(remembered) = remembered {
            let mut lines = remembered.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() >= REMEMBERED {
                lines.pop_front();
            }
            lines.push_back(String::from_utf8_lossy(line).into_owned());
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
