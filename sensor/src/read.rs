//! `tenrec read`: captures in, logs out. Shares every line of analysis with `tenrec run`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use analyze::log::Format;
use analyze::{Batch, Counters, Options, Sensor};
use detect::{Broken, RuleSet};
use indicatif::{ProgressBar, ProgressStyle};

use crate::carver::Carver;
use crate::logs::LogFolder;
use crate::replay::{Replay, ReplayError};

/// Frames between two looks at what was found: bounds what waits in memory.
const FRAMES_PER_BATCH: u64 = 256;
/// Frames between two updates of the progress bar.
const FRAMES_PER_TICK: u64 = 16_384;

/// What to read, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// Captures, in this order.
    pub captures: Vec<PathBuf>,
    /// Folder for everything that is written.
    pub out: PathBuf,
    /// Form of the logs.
    pub format: Format,
    /// Files of Suricata rules.
    pub rules: Vec<PathBuf>,
    /// How to analyse.
    pub options: Options,
    /// Name of the sensor in sessions.
    pub node: String,
    /// Whether to show progress on the terminal.
    pub progress: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// What the analysis counted.
    pub counters: Counters,
    /// Lines by log.
    pub lines: Vec<(&'static str, u64)>,
    /// Rules at work.
    pub rules: usize,
    /// Rules that were refused.
    pub refused: Vec<Broken>,
    /// Captures that could not be read, or not to the end.
    pub failed: Vec<ReplayError>,
}

/// Reads all captures of a job.
///
/// # Errors
/// If the output cannot be written. Captures that cannot be read are in the report.
pub fn read(job: &Job) -> io::Result<Report> {
    let rules = RuleSet::read(&job.rules)?;
    let mut sensor = rules.sensor(job.options.clone());
    let mut output = Output {
        logs: LogFolder::create(&job.out, job.format, job.options.profile, &job.node)?,
        carver: Carver::create(&job.out.join("files"))?,
        failure: None,
    };
    let mut report = Report { rules: rules.len(), refused: rules.refused, ..Report::default() };
    for capture in &job.captures {
        if let Err(e) = replay(capture, &mut sensor, &mut output, job.progress) {
            report.failed.push(e);
        }
        if let Some(e) = output.failure.take() {
            return Err(e);
        }
    }
    sensor.finish();
    output.take(sensor.take());
    if let Some(e) = output.failure.take() {
        return Err(e);
    }
    report.counters = sensor.counters();
    report.lines = output.logs.lines();
    output.logs.close()?;
    Ok(report)
}

fn replay(capture: &Path, sensor: &mut Sensor, output: &mut Output, progress: bool) -> Result<(), ReplayError> {
    let mut source = Replay::open(capture)?;
    let position = source.progress();
    let bar = if progress { bar(capture) } else { ProgressBar::hidden() };
    let mut frames = 0u64;
    let outcome = source.run(|frame| {
        sensor.frame(frame);
        frames += 1;
        if frames.is_multiple_of(FRAMES_PER_BATCH) && sensor.has_output() {
            output.take(sensor.take());
        }
        if frames.is_multiple_of(FRAMES_PER_TICK) {
            bar.set_position(position.load(Ordering::Relaxed));
        }
    });
    bar.finish_and_clear();
    outcome
}

fn bar(capture: &Path) -> ProgressBar {
    let size = capture.metadata().map_or(0, |m| m.len());
    let bar = ProgressBar::new(size);
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(capture.file_name().unwrap_or_default().to_string_lossy().into_owned());
    bar
}

struct Output {
    logs: LogFolder,
    carver: Carver,
    failure: Option<io::Error>,
}

impl Output {
    fn take(&mut self, batch: Batch) {
        let written = batch.records.iter().try_for_each(|record| self.logs.write(record.as_ref()));
        if let Err(e) = written.and_then(|()| batch.alerts.iter().try_for_each(|alert| self.logs.alert(alert))) {
            self.failure.get_or_insert(e);
            return;
        }
        for chunk in batch.chunks {
            if let Err(e) = self.carver.take(chunk) {
                self.failure.get_or_insert(e);
            }
        }
    }
}
