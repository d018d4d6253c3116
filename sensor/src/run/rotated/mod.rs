//! Analysis of whole capture files, while there is nothing better to do: the sensor's own, where it only records
//! (`analysis.mode = "rotated"`), and those that someone put into the watched folder.
//!
//! ```text
//! captures ─▶ analysis ─▶ logs.folder/captures/.partial/NAME/ ──rename──▶ logs.folder/captures/{own,watched}/NAME/ ─▶ tailer ─▶ spools
//!                 └─────▶ carver
//! ```
//! Each file is analysed once: its logs get their place in one step when they are complete, and from there the tailer takes
//! each line into the spool once. A crash in the middle leaves a partial folder, which is made anew. A file's uids come from
//! its name, so that carved files bear the same names each time. What is carved is scanned at least once.

mod due;
pub mod names;
mod output;

use std::{
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use analyze::{Frame, Notice, Position, files::Chunk};
use crossbeam_channel::{Receiver, Sender};
use detect::RuleSet;
use packets::Name;
use rtrb::Producer;

use self::{
    due::{Due, Source},
    output::Output,
};
use super::{records, worker::now};
use crate::{
    disk::Share,
    pcap::{self, FileEvent},
    replay::{Replay, ReplayError},
};

/// How long it rests when nothing is due.
const REST: Duration = Duration::from_millis(250);
/// How often all results are weighed, unless room is asked for.
const WEIGH: Duration = Duration::from_secs(5);
/// Frames between two looks at what was found.
const FRAMES_PER_BATCH: u32 = 256;
/// Niceness of the analysis: everything else comes first.
const NICENESS: i32 = 19;

/// What is analysed, and where it goes.
pub struct Options {
    /// Tells of the sensor's own files, if those are analysed.
    pub captures: Option<Receiver<FileEvent>>,
    /// The watched folder.
    pub watched: Option<PathBuf>,
    /// Folder of the results: see [`OWN`] and [`WATCHED`].
    pub folder: PathBuf,
    /// How to analyse.
    pub analysis: analyze::Options,
    /// Rules that look on.
    pub rules: Arc<RuleSet>,
    /// Form of the logs.
    pub format: analyze::log::Format,
    /// Name of the sensor in sessions.
    pub node: String,
    /// Tags of every document.
    pub tags: Vec<String>,
    /// Whether documents for OpenSearch are made.
    pub documents: bool,
    /// Bytes that results may take, oldest deleted first; 0: no bound but what the disk has.
    pub budget_bytes: u64,
    /// Where it is asked for room.
    pub share: Arc<Share>,
    /// What the daemon says of itself.
    pub own: Sender<records::Told>,
}

/// Folder of the results of the sensor's own files.
pub const OWN: &str = "own";
/// Folder of the results of files from elsewhere.
pub const WATCHED: &str = "watched";
/// The log of documents for OpenSearch: see [`tail::Shape::Document`].
pub const DOCUMENTS: &str = "documents.bulk";

/// Events of capture files that wait here; the PCAP writer keeps more.
pub const EVENTS: usize = 1024;
/// Batches of pieces of files that wait for the carver.
pub const CHUNK_BATCHES: usize = 64;

const PARTIAL: &str = ".partial";

/// Starts the analysis. `chunks` is its way to the carver, `places` to the index of the captures.
///
/// # Errors
/// If its folders cannot be made or read.
pub fn start(
    options: Options,
    chunks: Producer<Vec<Chunk>>,
    places: Option<pcap::Sessions>,
    written: Arc<records::Written>,
    stop: Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    let due = Due::open(&options)?;
    let follower = Follower { options, due, chunks, places, written, stop, weighed: None };
    thread::Builder::new().name("rotated".to_owned()).spawn(move || follower.run())
}

struct Follower {
    options: Options,
    due: Due,
    chunks: Producer<Vec<Chunk>>,
    places: Option<pcap::Sessions>,
    written: Arc<records::Written>,
    stop: Arc<AtomicBool>,
    weighed: Option<Instant>,
}

/// What became of a file.
enum Outcome {
    /// Its results are complete. The failure, if it could not be read to its end.
    Complete(Option<ReplayError>),
    /// The daemon ends: it is analysed at the next start.
    Stopped,
}

impl Follower {
    fn run(mut self) {
        super::ordinary_priority();
        let _ = rustix::process::setpriority_process(None, NICENESS);
        while !self.stop.load(Ordering::Acquire) {
            for lost in self.due.look() {
                let text = format!("{lost} was deleted for want of room before it was analysed");
                tracing::error!("{text}: this machine is too slow for its traffic, or pcap.budget_megabytes too small");
                let note = Notice { at: now(), note: "Tenrec::Not_Analysed", text };
                let _ = self.options.own.try_send(records::Told::Record(Box::new(note)));
            }
            if self.options.share.wanted() > 0 || self.weighed.is_none_or(|weighed| weighed.elapsed() >= WEIGH) {
                self.weighed = Some(Instant::now());
                self.keep_within_budget();
            }
            let Some(source) = self.due.next() else {
                thread::park_timeout(REST);
                continue;
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| self.analyse(&source))).unwrap_or_else(|_| {
                tracing::error!(file = %source.path.display(), "the analysis failed on this capture and gives it up; please report the message above");
                self.due.done(&source).map(|()| Outcome::Complete(None))
            });
            match outcome {
                Ok(Outcome::Complete(failure)) => {
                    if let Some(failure) = failure {
                        tracing::warn!("{failure}; what was readable is analysed");
                    }
                    tracing::info!(file = %source.path.display(), left = self.due.len(), "capture analysed");
                }
                Ok(Outcome::Stopped) => return,
                Err(error) => {
                    tracing::error!(file = %source.path.display(), %error, "the capture's results cannot be written: it is tried again; free space, or change logs.folder in tenrec.toml");
                    self.due.again(source);
                    thread::park_timeout(Duration::from_secs(5));
                }
            }
        }
    }

    fn analyse(&mut self, source: &Source) -> io::Result<Outcome> {
        let partial = self.options.folder.join(PARTIAL).join(&source.name);
        let complete = self.options.folder.join(source.kind).join(&source.name);
        let mut failure = None;
        // There already if the last process died after this step.
        if !complete.exists() {
            if partial.exists() {
                fs::remove_dir_all(&partial)?;
            }
            match self.read(source, &partial)? {
                None => return Ok(Outcome::Stopped),
                Some(outcome) => failure = outcome.err(),
            }
            make_durable(&partial)?;
            fs::rename(&partial, &complete)?;
            sync_folder(&self.options.folder.join(source.kind))?;
        }
        self.due.done(source)?;
        Ok(Outcome::Complete(failure))
    }

    /// Analyses into a folder. Nothing if the daemon ends meanwhile.
    fn read(&mut self, source: &Source, folder: &Path) -> io::Result<Option<Result<(), ReplayError>>> {
        let seed = self.options.analysis.seed ^ u64::from(crc32c::crc32c(source.name.as_bytes()));
        let mut sensor = self.options.rules.sensor(analyze::Options { seed, ..self.options.analysis.clone() });
        let marks = if source.kind == WATCHED { names::marks(&source.path) } else { tail::Marks::default() };
        let tags: Vec<String> = self.options.tags.iter().cloned().chain(marks.tags).collect();
        let places = self.places.as_ref().filter(|_| source.kind == OWN);
        let mut output = Output::create(folder, &self.options, tags, places, &self.written)?;
        let file = Name::of(&source.path).map_or(0, |name| name.number);
        let (mut failed, mut frames) = (None, 0_u32);
        let (chunks, stop) = (&mut self.chunks, &self.stop);
        let outcome = Replay::open(&source.path).and_then(|mut replay| {
            replay.run(|frame| {
                if failed.is_some() || stop.load(Ordering::Relaxed) {
                    return;
                }
                let position = frame.position.map(|position| Position { file, ..position });
                sensor.frame(&Frame { position, ..*frame });
                frames = frames.wrapping_add(1);
                if frames.is_multiple_of(FRAMES_PER_BATCH) && sensor.has_output() {
                    let batch = sensor.take();
                    failed = output.take(&batch).err();
                    hand_on(batch.chunks, chunks, stop);
                }
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        sensor.finish();
        let batch = sensor.take();
        output.take(&batch)?;
        hand_on(batch.chunks, &mut self.chunks, &self.stop);
        output.close()?;
        Ok(if self.stop.load(Ordering::Acquire) { None } else { Some(outcome) })
    }

    /// Deletes the oldest results that are too many.
    fn keep_within_budget(&self) {
        let mut results = results(&self.options.folder);
        let held: u64 = results.iter().map(|(_, _, bytes)| bytes).sum();
        let most = self.options.budget_bytes;
        let over = if most > 0 { held.saturating_sub(most) } else { 0 };
        let wanted = over.max(self.options.share.wanted());
        let mut freed = 0;
        if wanted > 0 {
            results.sort();
            for (_, path, bytes) in &results {
                if freed >= wanted {
                    break;
                }
                match fs::remove_dir_all(path) {
                    Ok(()) => {
                        freed += bytes;
                        self.options.share.dropped(*bytes, 1);
                    }
                    Err(error) => tracing::warn!(folder = %path.display(), %error, "old results cannot be deleted"),
                }
            }
            self.options.share.answer();
        }
        self.options.share.holds(held - freed.min(held), held - freed.min(held));
    }
}

/// To the carver, who may take his time: here nothing is lost by waiting.
fn hand_on(mut chunks: Vec<Chunk>, carver: &mut Producer<Vec<Chunk>>, stop: &AtomicBool) {
    if chunks.is_empty() {
        return;
    }
    while let Err(rtrb::PushError::Full(back)) = carver.push(chunks) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        chunks = back;
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// The folders of results: when each was made, where it is, its bytes.
fn results(folder: &Path) -> Vec<(std::time::SystemTime, PathBuf, u64)> {
    let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let all = [OWN, WATCHED].into_iter().flat_map(|kind| entries(folder.join(kind)));
    all.filter_map(|entry| {
        let made = entry.metadata().ok().filter(fs::Metadata::is_dir)?.modified().ok()?;
        let bytes = entries(entry.path()).filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        Some((made, entry.path(), bytes))
    })
    .collect()
}

fn make_durable(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        File::open(entry?.path())?.sync_all()?;
    }
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
