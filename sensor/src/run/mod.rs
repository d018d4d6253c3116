//! `tenrec run`: the daemon that joins capture, analysis, writing and delivery.
//!
//! ```text
//!          privileged                         sandboxed, before the first frame is parsed
//! plan ─▶ interfaces, rings, control socket ─▶ sandbox ─▶ PCAP writer, workers, record writer, carver ─▶ main loop
//! ```
//!
//! The main loop does what must happen once a second and waits for signals: SIGTERM and SIGINT end the daemon, with every
//! frame that was captured analysed and written; SIGHUP asks for what can be reloaded. A part that does not work is told
//! and left out; only without any interface, without a place for logs, or without the sandbox nothing goes on.

pub mod arkime;
pub mod control;
pub mod delivery;
pub mod engine;
pub mod file_budget;
pub mod files;
pub mod follow;
pub mod health;
pub mod log_files;
pub mod plan;
pub mod records;
pub mod rotated;
pub mod scanning;
pub mod worker;

use std::{
    collections::HashMap,
    fs, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use analyze::Notice;
use anyhow::Context;
use crossbeam_channel::Sender;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    capture::{self, InterfaceCounters, keeper::Keeper},
    carver::Finished,
    disk::{Disk, Given, Sacrifice, Shares},
    pcap,
    sandbox::{self, Policy, Strength},
};

/// All that the daemon needs to know.
pub struct Plan {
    /// What is captured.
    pub capture: capture::Options,
    /// Where captures are written, if they are.
    pub pcap: Option<pcap::Options>,
    /// How frames are analysed. Each worker has a seed of its own, made from this one.
    pub analysis: analyze::Options,
    /// Whether that is done as they come.
    pub analyses_live: bool,
    /// What is analysed from files.
    pub rotated: Option<rotated::Options>,
    /// Rules that look on.
    pub rules: Arc<detect::RuleSet>,
    /// How logs are written and delivered.
    pub records: records::Options,
    /// Where carved files are kept.
    pub files: files::Options,
    /// What the daemon says of itself goes to the record writer here.
    pub own: Sender<records::Told>,
    /// Looks after the room on the disk.
    pub disk: Disk,
    /// What each part holds of it.
    pub shares: Shares,
    /// Hears of every carved file that is complete on disk.
    pub finished: Box<dyn FnMut(Finished) + Send>,
    /// What the process may do once it is sandboxed, besides writing into the folders named above.
    pub policy: Policy,
    /// Called at SIGHUP.
    pub reload: Box<dyn FnMut() + Send>,
    /// Who else knows something that the control socket is asked for.
    pub probes: Vec<Box<dyn Probe>>,
    /// Services of the runtime, started in the sandbox: the control socket, the forwarder.
    pub services: Vec<Box<dyn FnOnce(Arc<Status>) -> Service + Send>>,
}

/// Adds what it knows to the answers of the control socket.
pub trait Probe: Send + Sync {
    /// To the status.
    fn status(&self, status: &mut settings::control::Status);

    /// To the files seen last.
    fn files(&self, _files: &mut [settings::control::File]) {}
}

/// A service of the runtime: runs until the stop flag of [`Status`] is set, and then ends within a few seconds.
pub type Service = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Everything that is counted, for the control socket.
pub struct Status {
    /// When the daemon began.
    pub since: jiff::Timestamp,
    /// The same instant, from which its age is measured: the clock may be set.
    pub begun: Instant,
    /// Interfaces that are wanted and cannot be captured from, each with the reason.
    pub failures: Vec<(String, String)>,
    /// How much of the sandbox the kernel has.
    pub sandbox: Strength,
    /// The workers.
    pub workers: Vec<Arc<worker::Counted>>,
    /// The PCAP writer, if there is one.
    pub pcap: Option<Arc<pcap::Counters>>,
    /// The record writer.
    pub records: Arc<records::Written>,
    /// The carver.
    pub carved: Arc<files::Carved>,
    /// Who else knows something.
    pub probes: Vec<Box<dyn Probe>>,
    interfaces: Mutex<Vec<InterfaceCounters>>,
    /// What the cards had lost before the capture began.
    nic_dropped_before: HashMap<String, u64>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Status {
    /// What became of the frames, as of at most a second ago.
    pub fn interfaces(&self) -> Vec<InterfaceCounters> {
        self.interfaces.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Frames that a card has lost since the capture began, before anyone saw them.
    pub fn nic_dropped(&self, interface: &str) -> u64 {
        let before = self.nic_dropped_before.get(interface).copied().unwrap_or(0);
        capture::interface::nic_dropped(interface).saturating_sub(before)
    }

    /// Turns true when the daemon ends.
    pub fn stop(&self) -> tokio::sync::watch::Receiver<bool> {
        self.stop.subscribe()
    }

    fn set_interfaces(&self, counters: Vec<InterfaceCounters>) {
        *self.interfaces.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }
}

/// How long services have to end, and with them the delivery of what was just recorded.
const FAREWELL: Duration = Duration::from_secs(7);

/// Niceness of the workers: where a machine has more to do than it can, the others wait first. A worker has a core, so the
/// machine stays usable.
const WORKER_NICENESS: i32 = -10;

/// Puts the calling thread back to ordinary priority.
pub(crate) fn ordinary_priority() {
    // Going down is always permitted.
    let _ = rustix::process::setpriority_process(None, 0);
}

/// Runs until it is told to end.
///
/// # Errors
/// If there is nothing to capture from, no place for logs, or no sandbox; the message says what to do.
pub fn run(mut plan: Plan) -> anyhow::Result<()> {
    make_folders(&mut plan)?;
    let (mut capture, sources) = capture::open(&plan.capture)?;
    let names = plan.capture.interfaces.iter().map(|wanted| wanted.name.clone());
    let nic_dropped_before = names.map(|name| (capture::interface::nic_dropped(&name), name)).map(|(n, name)| (name, n)).collect();
    let offloads = capture.take_offloads();
    let keeper = match Keeper::start(&offloads) {
        Ok(keeper) => Some(keeper),
        Err(error) => {
            tracing::warn!(%error, "the interfaces' offloads will not be put back when the sensor ends");
            None
        }
    };
    // The workers inherit it; everyone else goes back. Raising it again will not be permitted.
    if let Err(error) = rustix::process::setpriority_process(None, WORKER_NICENESS) {
        tracing::debug!(%error, "workers run at ordinary priority");
    }
    if sandbox::threads() > 1 {
        tracing::warn!("a thread was started before the sandbox and stays outside of it");
    }
    let strength = sandbox::enter(&plan.policy).context("privileges cannot be given up, so nothing is analysed")?;
    match strength {
        Strength::Full => {}
        Strength::Partial => tracing::info!("this kernel has an older Landlock: files are confined, ports may not be"),
        Strength::WithoutLandlock => tracing::warn!("this kernel has no Landlock: files are protected by their modes alone"),
    }
    let analysis = Analysis { options: plan.analysis, rules: plan.rules, is_live: plan.analyses_live, rotated: plan.rotated };
    let parts = Parts::start(plan.pcap, analysis, plan.records, plan.files, plan.finished, sources)?;
    ordinary_priority();
    let (stop, _) = tokio::sync::watch::channel(false);
    let status = Arc::new(Status {
        since: jiff::Timestamp::now(),
        begun: Instant::now(),
        failures: capture.failures().to_vec(),
        sandbox: strength,
        workers: parts.counted.clone(),
        pcap: parts.pcap.as_ref().map(pcap::Writer::counters),
        records: Arc::clone(&parts.written),
        carved: Arc::clone(&parts.carved),
        probes: plan.probes,
        interfaces: Mutex::new(capture.counters()),
        nic_dropped_before,
        stop,
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("runtime")
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let mut services = Vec::new();
    for service in plan.services {
        services.push(runtime.spawn(service(Arc::clone(&status))));
    }
    let outcome = runtime.block_on(main_loop(&mut capture, &status, &mut plan.reload, (&mut plan.disk, &plan.own)));
    tracing::info!("ending: what was captured is analysed and written");
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
    capture.stop();
    parts.finish();
    status.set_interfaces(capture.counters());
    for counters in status.interfaces() {
        tracing::info!(interface = %counters.name, "{}", counters.total);
    }
    status.stop.send_replace(true);
    runtime.block_on(async {
        let all = async {
            for service in services {
                let _ = service.await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, all).await;
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    drop(capture);
    drop(keeper);
    outcome
}

/// Folders are made while that is still allowed, and the sandbox lets them be written to.
fn make_folders(plan: &mut Plan) -> anyhow::Result<()> {
    let mut folders = vec![plan.files.folder.clone()];
    folders.extend(plan.records.logs.iter().map(|logs| logs.folder.clone()));
    folders.extend(plan.policy.write.iter().cloned());
    for folder in &folders {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}: free space, or change it in tenrec.toml", folder.display()))?;
    }
    if let Some(pcap) = &plan.pcap {
        match fs::create_dir_all(&pcap.folder) {
            Ok(()) => folders.push(pcap.folder.clone()),
            Err(error) => {
                tracing::error!(folder = %pcap.folder.display(), %error, "no captures are written: free space, or change pcap.folder in tenrec.toml");
                plan.pcap = None;
            }
        }
    }
    plan.policy.write = folders;
    Ok(())
}

/// How frames are analysed, as they come or later.
struct Analysis {
    options: analyze::Options,
    rules: Arc<detect::RuleSet>,
    is_live: bool,
    rotated: Option<rotated::Options>,
}

/// The threads.
struct Parts {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
    pcap: Option<pcap::Writer>,
    counted: Vec<Arc<worker::Counted>>,
    written: Arc<records::Written>,
    carved: Arc<files::Carved>,
}

impl Parts {
    fn start(
        pcap: Option<pcap::Options>,
        analysis: Analysis,
        mut records: records::Options,
        files: files::Options,
        finished: Box<dyn FnMut(Finished) + Send>,
        sources: Vec<capture::Source>,
    ) -> io::Result<Self> {
        let (mut feeds, mut writer) = (Vec::new(), None);
        if let Some(options) = pcap {
            match pcap::start(options, sources.len()) {
                Ok((ends, thread)) => {
                    records.places = Some(thread.sessions());
                    (feeds, writer) = (ends, Some(thread));
                }
                Err(error) => tracing::error!(%error, "no captures are written"),
            }
        }
        let mut feeds = feeds.into_iter();
        let stop = Arc::new(AtomicBool::new(false));
        let (mut workers, mut counted, mut record_ends, mut chunk_ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (number, source) in sources.into_iter().enumerate() {
            let options = analyze::Options { seed: analysis.options.seed.wrapping_add(number as u64), ..analysis.options.clone() };
            let (rules, analyses) = (Arc::clone(&analysis.rules), analysis.is_live);
            let parts = worker::Parts { number, source, options, rules, analyses, feed: feeds.next(), stop: Arc::clone(&stop) };
            let (thread, outlets, counts) = worker::start(parts)?;
            workers.push(thread);
            counted.push(counts);
            record_ends.push(outlets.findings);
            chunk_ends.push(outlets.chunks);
        }
        let (record_thread, written) = records::start(records, record_ends)?;
        if let Some(options) = analysis.rotated {
            let (chunks, chunk_end) = rtrb::RingBuffer::new(rotated::CHUNK_BATCHES);
            chunk_ends.push(chunk_end);
            let places = writer.as_ref().map(pcap::Writer::sessions);
            let folder = options.folder.clone();
            match rotated::start(options, chunks, places, Arc::clone(&written), Arc::clone(&stop)) {
                Ok(thread) => workers.push(thread),
                Err(error) => {
                    tracing::error!(folder = %folder.display(), %error, "capture files are not analysed: free space, or change logs.folder or watch.folder in tenrec.toml");
                }
            }
        }
        let (carver_thread, carved) = files::start(files, chunk_ends, finished)?;
        Ok(Self { stop, workers, others: vec![record_thread, carver_thread], pcap: writer, counted, written, carved })
    }

    /// Waits until everything that is in the rings is analysed and on disk.
    fn finish(self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.workers.into_iter().chain(self.others) {
            if thread.join().is_err() {
                tracing::error!("a thread ended unexpectedly: please report the message above");
            }
        }
        if let Some(writer) = self.pcap {
            writer.finish();
        }
    }
}

/// Once a second: counters, the kernel's log lines, the watchdog. Ends at SIGTERM or SIGINT.
async fn main_loop(
    capture: &mut capture::Capture,
    status: &Status,
    reload: &mut (dyn FnMut() + Send),
    (disk, own): (&mut Disk, &Sender<records::Told>),
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    tracing::info!(workers = status.workers.len(), "ready");
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    let mut losses = Losses::default();
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => reload(),
            _ = every_second.tick() => {
                capture.flush_log();
                for name in capture.newly_gone() {
                    tracing::error!(interface = %name, "the interface is gone: nothing is captured from it until it is back and tenrec is started again");
                }
                if capture.is_blind() {
                    anyhow::bail!("no interface is left to capture from: start again when they are back");
                }
                status.set_interfaces(capture.counters());
                losses.tell(status);
                for sacrifice in disk.look() {
                    tell_of(sacrifice, own);
                }
                let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Watchdog]);
            }
        }
    }
}

/// What was given up for want of room goes into the log of the daemon, and into the records that the collector gets.
fn tell_of(sacrifice: Sacrifice, own: &Sender<records::Told>) {
    const DO: &str = "free space, or change disk.budget_megabytes or disk.floor_megabytes in tenrec.toml";
    let (note, text) = match sacrifice {
        Sacrifice::CarvingStopped => ("Tenrec::Carving_Stopped", "no room on the disk: no new files are carved".to_owned()),
        Sacrifice::CarvingResumed => ("Tenrec::Carving_Resumed", "there is room on the disk: files are carved again".to_owned()),
        Sacrifice::Deleted { what, things, bytes } => {
            let megabytes = bytes >> 20;
            ("Tenrec::Deleted_For_Room", format!("no more room on the disk: {things} {} deleted, {megabytes} MB", what.things()))
        }
    };
    match sacrifice {
        // Captures are a ring: that the oldest go is their ordinary end.
        Sacrifice::CarvingResumed | Sacrifice::Deleted { what: Given::Captures, .. } => tracing::info!("{text}"),
        _ => tracing::error!("{text}; {DO}"),
    }
    let at = worker::now();
    // A record writer that is that far behind has worse to tell.
    let _ = own.try_send(records::Told::Record(Box::new(Notice { at, note, text })));
}

/// Tells of new losses, at most once a minute: the counters have the rest.
#[derive(Default)]
struct Losses {
    told: Option<Instant>,
    capture: u64,
    records: u64,
}

impl Losses {
    fn tell(&mut self, status: &Status) {
        const PAUSE: Duration = Duration::from_secs(60);
        let capture: u64 = status.interfaces().iter().map(|interface| interface.total.lost()).sum();
        let records: u64 = status.workers.iter().map(|worker| worker.records_dropped.load(Ordering::Relaxed)).sum();
        if (capture, records) == (self.capture, self.records) || self.told.is_some_and(|told| told.elapsed() < PAUSE) {
            return;
        }
        tracing::error!(
            frames = capture - self.capture.min(capture),
            records = records - self.records.min(records),
            "lost since the last such line: more workers, a larger capture.ring_megabytes, a capture filter or a snap length help"
        );
        *self = Self { told: Some(Instant::now()), capture, records };
    }
}
