//! A worker: one thread, one core, one source, one engine. It drains, analyses, hands on, and never waits for anyone.
//!
//! ```text
//! source ──▶ engine ──▶ records ──▶ bounded ring ──▶ record writer
//!    └─────▶ PCAP feed      └──▶ pieces of files ──▶ bounded ring ──▶ carver
//! ```
//!
//! What a ring refuses is dropped and counted here. The ring of the carver is the smallest, so that carving gives way first.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use analyze::{Alert, Batch, Time, Uid, files::Chunk, log::Record};
use detect::RuleSet;
use rtrb::{Consumer, Producer, RingBuffer};

use super::engine::Engine;
use crate::{capture::Source, pcap::Feed};

/// Frames between two looks at what the engine found.
const FRAMES_PER_BATCH: usize = 256;
/// Batches of records that wait for the record writer.
const RECORD_BATCHES: usize = 4096;
/// Batches of pieces of files that wait for the carver: a batch is at most what came in [`FRAMES_PER_BATCH`] frames.
const CHUNK_BATCHES: usize = 256;
/// How long a worker rests when its source is empty: a millisecond more each time, up to the most. A ring of 64 MiB is
/// filled in 50 ms at 10 Gbit/s.
const REST: Duration = Duration::from_millis(1);
const LONGEST_REST: Duration = Duration::from_millis(5);
/// How long after a frame was captured it may still be on its way into the ring, amply.
const UNDER_WAY: i64 = 200_000_000;
/// How often captures are passed on that do not fill a block.
const FLUSH: Duration = Duration::from_secs(1);
/// How long frames that are still in the rings are read after the capture was stopped.
const DRAIN: Duration = Duration::from_secs(5);

/// What one worker has counted, for others to read.
#[derive(Debug, Default)]
pub struct Counted {
    /// Frames analysed.
    pub frames: AtomicU64,
    /// Their bytes on the wire.
    pub bytes: AtomicU64,
    /// Flows seen.
    pub flows: AtomicU64,
    /// Flows in the table now.
    pub active_flows: AtomicU64,
    /// Flows ended early because the table was full.
    pub flows_evicted: AtomicU64,
    /// Packets that could not be read.
    pub malformed: AtomicU64,
    /// Bytes that were missing in TCP streams.
    pub missed_bytes: AtomicU64,
    /// Records found.
    pub records: AtomicU64,
    /// Records lost because their writer fell behind.
    pub records_dropped: AtomicU64,
    /// Pieces of files lost because the carver fell behind.
    pub chunks_dropped: AtomicU64,
    /// Thousandths of the last second or so that it was not resting.
    pub busy_permille: AtomicU64,
    /// Flows seen: TCP, UDP, ICMP.
    pub flows_by: [AtomicU64; 3],
    /// Those in the table now.
    pub active_by: [AtomicU64; 3],
    /// Bytes that wait in TCP streams for what is missing before them.
    pub waiting_bytes: AtomicU64,
    /// Fragments of IP packets given up.
    pub fragments_dropped: AtomicU64,
    /// Arkime's sessions begun.
    pub sessions: AtomicU64,
    /// Those that are open: TCP, UDP, ICMP, SCTP, ESP, others.
    pub active_sessions: [AtomicU64; 6],
    /// Times that the analysis failed on a frame, lost its flows and began anew: each one is a bug.
    pub failures: AtomicU64,
}

/// The other ends of a worker's rings.
pub struct Outlets {
    /// What was found, in the order in which it was completed.
    pub findings: Consumer<Findings>,
    /// Pieces of files.
    pub chunks: Consumer<Vec<Chunk>>,
}

/// What a worker found in a batch of frames.
pub struct Findings {
    /// Records, in the order in which they were completed.
    pub records: Vec<Box<dyn Record>>,
    /// Rules that matched.
    pub alerts: Vec<Alert>,
}

impl Findings {
    fn len(&self) -> u64 {
        (self.records.len() + self.alerts.len()) as u64
    }
}

/// What a worker is made of.
pub struct Parts {
    /// Its number, from 0: also the core it is pinned to, modulo their number.
    pub number: usize,
    /// Where frames come from.
    pub source: Source,
    /// How they are analysed. The seed is the worker's own.
    pub options: analyze::Options,
    /// Rules that look on.
    pub rules: Arc<RuleSet>,
    /// Whether they are analysed here and now.
    pub analyses: bool,
    /// Where they are written, if they are.
    pub feed: Option<Feed>,
    /// Set when no more frames come.
    pub stop: Arc<AtomicBool>,
}

struct Worker {
    parts: Parts,
    engine: Engine,
    findings: Producer<Findings>,
    chunks: Producer<Vec<Chunk>>,
    counted: Arc<Counted>,
    /// Frames that came, and their bytes on the wire: analysed now, or on disk to be analysed later.
    seen: (u64, u64),
    /// Ends of files that the carver must still hear of, although it fell behind.
    ends: Vec<Chunk>,
    /// Files of which a piece was lost.
    torn: HashSet<Uid>,
}

/// Starts a worker.
///
/// # Errors
/// If the thread cannot be started.
pub fn start(parts: Parts) -> io::Result<(JoinHandle<()>, Outlets, Arc<Counted>)> {
    let (findings, finding_end) = RingBuffer::new(RECORD_BATCHES);
    let (chunks, chunk_end) = RingBuffer::new(CHUNK_BATCHES);
    let counted = Arc::new(Counted::default());
    let name = format!("worker-{}", parts.number);
    let engine = Engine::new(parts.options.clone(), Arc::clone(&parts.rules), Arc::clone(&counted));
    let worker =
        Worker { parts, engine, findings, chunks, counted: Arc::clone(&counted), seen: (0, 0), ends: Vec::new(), torn: HashSet::new() };
    let thread = thread::Builder::new().name(name).spawn(move || worker.run())?;
    Ok((thread, Outlets { findings: finding_end, chunks: chunk_end }, counted))
}

impl Worker {
    fn run(mut self) {
        pin(self.parts.number);
        let mut flushed = Instant::now();
        let (mut rest, mut rested) = (REST, Duration::ZERO);
        let mut stopping: Option<Instant> = None;
        let mut empty_since: Option<Instant> = None;
        loop {
            if stopping.is_none() && self.parts.stop.load(Ordering::Acquire) {
                stopping = Some(Instant::now());
            }
            let before = now();
            let frames = self.drain();
            if frames == 0 {
                let since = *empty_since.get_or_insert_with(Instant::now);
                if stopping.is_some() && since.elapsed() > self.parts.source.delay() {
                    break;
                }
                // Everything that was captured up to `before` has been analysed, so time may pass up to there.
                self.engine.clock(Time(before.0.saturating_sub(UNDER_WAY)));
                self.hand_on();
                self.publish();
                let resting = Instant::now();
                thread::park_timeout(rest);
                rest = (rest + REST).min(LONGEST_REST);
                rested += resting.elapsed();
            } else {
                rest = REST;
                empty_since = None;
                if stopping.is_some_and(|since| since.elapsed() > DRAIN) {
                    break;
                }
            }
            let since = flushed.elapsed();
            if since >= FLUSH {
                let busy = 1000 - (rested.as_micros() * 1000 / since.as_micros().max(1)).min(1000);
                self.counted.busy_permille.store(busy as u64, Ordering::Relaxed);
                (flushed, rested) = (Instant::now(), Duration::ZERO);
                self.publish();
                if let Some(feed) = &mut self.parts.feed {
                    feed.flush();
                }
            }
        }
        self.engine.finish();
        self.hand_on();
        self.publish();
    }

    fn drain(&mut self) -> usize {
        let Parts { source, feed, analyses, .. } = &mut self.parts;
        let (engine, seen) = (&mut self.engine, &mut self.seen);
        let frames = source.drain(FRAMES_PER_BATCH, |mut frame| {
            // First, since sessions tell where their packets are.
            if let Some(feed) = feed {
                frame.position = feed.frame(&frame);
            }
            seen.0 += 1;
            seen.1 += u64::from(frame.wire_len);
            if *analyses {
                engine.frame(&frame);
            }
        });
        self.hand_on();
        frames
    }

    fn hand_on(&mut self) {
        for batch in self.engine.take() {
            self.pass_on(batch);
        }
        if !self.ends.is_empty() {
            self.pass_on(Batch::default());
        }
    }

    fn pass_on(&mut self, batch: Batch) {
        let found = Findings { records: batch.records, alerts: batch.alerts };
        if found.len() > 0
            && let Err(rtrb::PushError::Full(found)) = self.findings.push(found)
        {
            self.counted.records_dropped.fetch_add(found.len(), Ordering::Relaxed);
        }
        let mut chunks = std::mem::take(&mut self.ends);
        chunks.extend(batch.chunks);
        if chunks.is_empty() {
            return;
        }
        let chunks = self.mended(chunks);
        if let Err(rtrb::PushError::Full(chunks)) = self.chunks.push(chunks) {
            self.drop_chunks(chunks);
        }
    }

    /// Files of which a piece was lost end incomplete, whatever the analysis saw.
    fn mended(&mut self, mut chunks: Vec<Chunk>) -> Vec<Chunk> {
        if self.torn.is_empty() {
            return chunks;
        }
        for chunk in &mut chunks {
            if let Chunk::End { fuid, complete } = chunk
                && self.torn.remove(fuid)
            {
                *complete = false;
            }
        }
        chunks
    }

    /// The carver has no room: its files are torn, but it still hears of their ends.
    fn drop_chunks(&mut self, chunks: Vec<Chunk>) {
        for chunk in chunks {
            match chunk {
                Chunk::End { .. } => self.ends.push(chunk),
                Chunk::Data { fuid, .. } => {
                    self.torn.insert(fuid);
                    self.counted.chunks_dropped.fetch_add(1, Ordering::Relaxed);
                }
                Chunk::Start(_) => {
                    self.counted.chunks_dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        for end in &mut self.ends {
            if let Chunk::End { fuid, complete } = end
                && self.torn.remove(fuid)
            {
                *complete = false;
            }
        }
    }

    fn publish(&self) {
        let counters = self.engine.counters();
        let set = |counter: &AtomicU64, value: u64| counter.store(value, Ordering::Relaxed);
        let counted = &self.counted;
        set(&counted.frames, self.seen.0);
        set(&counted.bytes, self.seen.1);
        set(&counted.flows, counters.flows);
        set(&counted.active_flows, self.engine.active_flows() as u64);
        set(&counted.flows_evicted, counters.flows_evicted);
        set(&counted.malformed, counters.malformed);
        set(&counted.missed_bytes, counters.missed_bytes);
        set(&counted.records, counters.records);
        set(&counted.fragments_dropped, counters.fragments_dropped);
        set(&counted.waiting_bytes, counters.waiting_bytes);
        for (places, by) in [(&counted.flows_by, counters.flows_by), (&counted.active_by, counters.active_by)] {
            places.iter().zip([by.tcp, by.udp, by.icmp]).for_each(|(counter, value)| set(counter, value));
        }
        let (active, sessions) = self.engine.sessions();
        set(&counted.sessions, sessions);
        let active = [active.tcp, active.udp, active.icmp, active.sctp, active.esp, active.other];
        counted.active_sessions.iter().zip(active).for_each(|(counter, value)| set(counter, value));
    }
}

/// One worker a core: caches stay warm, and the scheduler moves nobody while a ring fills.
fn pin(number: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let core = cores.get(number % cores.len().max(1));
    if !core.is_some_and(|core| core_affinity::set_for_current(*core)) {
        tracing::debug!(worker = number, "not pinned to a core");
    }
}

/// The time of day.
pub fn now() -> Time {
    Time(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX))
}
