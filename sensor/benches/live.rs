//! Live capture beside tcpdump: frames lost and processor time, on a veth pair at the full speed of one sender.
//!
//! `cargo bench -p tenrec --bench live` (root). Both write what they capture into files of the same file system.
//! Processor seconds are to be trusted more than wall seconds: the sender takes its share of a small machine.
//!
//! First the capture alone, frames of one size; then, if `sensor/bench/run` has made bench-data/mix.pcap, the whole daemon
//! on that mix of real traffic, with all its logs, beside tcpdump writing the same packets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a benchmark that fails may panic")]

#[path = "../tests/wire/mod.rs"]
mod wire;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use settings::control::Client;
use tenrec::{
    capture::{self, Mode, Options},
    pcap,
    replay::Replay,
};
use wire::{Wire, near, tcp};

const SIZES: [(usize, usize); 3] = [(64, 400_000), (512, 200_000), (1500, 150_000)];
const RING: u32 = 64 << 20;

/// What one run showed.
struct Run {
    sent: usize,
    captured: u64,
    seconds: f64,
    reader_seconds: f64,
}

fn main() {
    println!("live capture on veth, ring or buffer {} MiB, capture written to files", RING >> 20);
    println!("{:<28} {:>6} {:>9} {:>9} {:>8} {:>7} {:>12}", "", "bytes", "sent", "captured", "lost %", "kpps", "reader us/pkt");
    for (size, frames) in SIZES {
        for (name, mode) in [
            ("tenrec, native XDP", Some((Mode::Native, false))),
            ("tenrec, generic XDP", Some((Mode::Generic, false))),
            ("tenrec, AF_PACKET", Some((Mode::AfPacket, false))),
            ("tenrec, native, analysed", Some((Mode::Native, true))),
            ("tcpdump", None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let Some(wire) = Wire::lay("the live benchmark") else { return };
            let run = match mode {
                Some((mode, analysed)) => tenrec(&wire, mode, analysed, size, frames, folder.path()),
                None => tcpdump(&wire, size, frames, folder.path()),
            };
            let lost = 100.0 * (run.sent as f64 - run.captured as f64) / run.sent as f64;
            let speed = run.sent as f64 / run.seconds / 1000.0;
            let cost = run.reader_seconds * 1e6 / run.captured.max(1) as f64;
            println!("{name:<28} {size:>6} {:>9} {:>9} {lost:>8.3} {speed:>7.0} {cost:>12.3}", run.sent, run.captured);
        }
    }
    mixed();
}

/// The whole daemon on real traffic.
fn mixed() {
    const MOST_BYTES: usize = 512 << 20;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench-data/mix.pcap");
    let (mut frames, mut bytes) = (Vec::new(), 0);
    let read = Replay::open(&path).and_then(|mut replay| {
        replay.run(|frame| {
            // What an interface of 1500 bytes takes.
            if (14..=1514).contains(&frame.data.len()) && bytes < MOST_BYTES {
                bytes += frame.data.len();
                frames.push(frame.data.to_vec());
            }
        })
    });
    if read.is_err() || frames.is_empty() {
        println!("\nno bench-data/mix.pcap: run sensor/bench/run first to see the whole daemon on real traffic");
        return;
    }
    println!("\nthe mix of real traffic: {} packets, {} MB", frames.len(), bytes / 1_000_000);
    println!("{:<28} {:>9} {:>9} {:>8} {:>8} {:>12}", "", "sent", "kept", "lost %", "Mbit/s", "us/pkt");
    for whole in [true, false] {
        let folder = tempfile::tempdir_in(path.parent().unwrap()).unwrap();
        let Some(wire) = Wire::lay("the live benchmark") else { return };
        let run = if whole {
            daemon(&wire, &frames, folder.path())
        } else {
            tcpdump_of(&wire, folder.path(), frames.len(), || send_all(&wire, &frames))
        };
        let lost = 100.0 * (run.sent as f64 - run.captured as f64) / run.sent as f64;
        let speed = bytes as f64 * 8.0 / run.seconds / 1e6;
        let cost = run.reader_seconds * 1e6 / run.captured.max(1) as f64;
        let name = if whole { "tenrec run, logs and PCAP" } else { "tcpdump" };
        println!("{name:<28} {:>9} {:>9} {lost:>8.3} {speed:>8.0} {cost:>12.3}", run.sent, run.captured);
    }
}

fn send_all(wire: &Wire, frames: &[Vec<u8>]) -> f64 {
    let start = Instant::now();
    frames.iter().for_each(|frame| wire.send(frame));
    start.elapsed().as_secs_f64()
}

fn daemon(wire: &Wire, frames: &[Vec<u8>], folder: &Path) -> Run {
    let at = folder.display();
    let settings = folder.join("tenrec.toml");
    let text = format!(
        "capture = {{ interfaces = ['near'], workers = 1, ring_megabytes = 64 }}\npcap.folder = '{at}/pcap'\nlogs.folder = '{at}/logs'\n\
         files = {{ folder = '{at}/files', carving = 'none' }}\ncontrol.socket = '{at}/control.sock'\ndisk.floor_megabytes = 64\n"
    );
    fs::write(&settings, text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tenrec"))
        .env("TENREC_LOG", "info")
        .args(["run", "--settings"])
        .arg(&settings)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while !lines.next().expect("the daemon starts").unwrap().contains("ready") {}
    let log = thread::spawn(move || lines.map_while(Result::ok).filter(|line| line.contains("ERROR")).for_each(|line| println!("{line}")));
    let status = || Client::connect(&folder.join("control.sock")).unwrap().status().unwrap();
    let seconds = send_all(wire, frames);
    let deadline = Instant::now() + Duration::from_secs(30);
    while status().packets_analysed < status().interfaces[0].captured && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
    }
    let reader_seconds = child_cpu(&child);
    let end = status();
    let lost: Vec<_> = end.drops.places().into_iter().filter(|(_, _, count)| *count > 0).collect();
    if !lost.is_empty() {
        println!("the daemon lost: {lost:?}");
    }
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    child.wait().unwrap();
    log.join().unwrap();
    Run { sent: frames.len(), captured: end.packets_analysed - end.drops.pcap, seconds, reader_seconds }
}

/// Sends the frames as fast as one sender can; how long it took.
fn send(wire: &Wire, size: usize, frames: usize) -> f64 {
    let kinds: Vec<_> = (0..64).map(|n| tcp([1024 + n, 80], 0x10, size)).collect();
    let start = Instant::now();
    for n in 0..frames {
        wire.send(&kinds[n % kinds.len()]);
    }
    start.elapsed().as_secs_f64()
}

fn tenrec(wire: &Wire, mode: Mode, analysed: bool, size: usize, frames: usize, folder: &Path) -> Run {
    let (mut capture, mut sources) = capture::open(&Options { mode, ring_bytes: RING, ..near("") }).unwrap();
    let (mut feeds, writer) = pcap::start(pcap_options(folder), 1).unwrap();
    let counters = writer.counters();
    let (mut source, mut feed) = (sources.remove(0), feeds.remove(0));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let mut engine = analysed.then(|| analyze::Sensor::new(analyze::Options { checksums: false, ..analyze::Options::default() }));
    let reader = thread::spawn(move || {
        let mut captured = 0;
        let mut empty_since = None;
        loop {
            let stopping = stopped.load(Ordering::Acquire);
            let frames = source.drain(256, |frame| {
                feed.frame(&frame);
                if let Some(engine) = &mut engine {
                    engine.frame(&frame);
                }
            });
            if let Some(engine) = &mut engine {
                drop(engine.take());
            }
            captured += frames as u64;
            if frames > 0 {
                empty_since = None;
            } else {
                let since = *empty_since.get_or_insert_with(Instant::now);
                if stopping && since.elapsed() > source.delay() {
                    return captured;
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let (all, sender) = (cpu(ClockId::ProcessCPUTime), cpu(ClockId::ThreadCPUTime));
    let seconds = send(wire, size, frames);
    let deadline = Instant::now() + Duration::from_secs(10);
    while capture.counters()[0].total.received < frames as u64 && Instant::now() < deadline {
        thread::yield_now();
    }
    stop.store(true, Ordering::Release);
    let captured = reader.join().unwrap();
    let total = capture.counters()[0].total;
    assert!(total.adds_up() && total.captured >= captured, "{total}");
    writer.finish();
    assert_eq!(counters.snapshot().frames_dropped_disk, 0);
    // The reader and the writer of files together: all but the sender, as with tcpdump.
    let reader_seconds = cpu(ClockId::ProcessCPUTime) - all - (cpu(ClockId::ThreadCPUTime) - sender);
    // Only what reached a file counts as captured.
    Run { sent: frames, captured: counters.snapshot().frames_written, seconds, reader_seconds }
}

fn pcap_options(folder: &Path) -> pcap::Options {
    pcap::Options {
        folder: folder.to_owned(),
        interfaces: vec!["near".to_owned()],
        rotate_bytes: 0,
        rotate_age: Duration::ZERO,
        lz4: false,
        budget_bytes: 0,
        floor_bytes: 1 << 30,
        share: Arc::default(),
        snap: 0,
        events: Vec::new(),
    }
}

fn tcpdump(wire: &Wire, size: usize, frames: usize, folder: &Path) -> Run {
    tcpdump_of(wire, folder, frames, || send(wire, size, frames))
}

fn tcpdump_of(_wire: &Wire, folder: &Path, frames: usize, send: impl FnOnce() -> f64) -> Run {
    let file = folder.join("tcpdump.pcap");
    let mut child = Command::new("tcpdump")
        .args(["-i", "near", "-n", "-B", &(RING >> 10).to_string(), "-Z", "root", "-w"])
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .expect("tcpdump is installed");
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
    while !errors.next().expect("tcpdump starts").unwrap().contains("listening on") {}
    let before = child_cpu(&child);
    let seconds = send();
    // It reads blocks of up to a second; then it has nothing left to do.
    let mut last = (child_cpu(&child), Instant::now());
    while last.1.elapsed() < Duration::from_secs(2) {
        let used = child_cpu(&child);
        if used != last.0 {
            last = (used, Instant::now());
        }
        thread::sleep(Duration::from_millis(50));
    }
    let reader_seconds = child_cpu(&child) - before;
    let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    // "N packets captured", and then those that the kernel dropped.
    let captured = errors.map_while(Result::ok).find_map(|line| line.strip_suffix(" packets captured").and_then(|n| n.trim().parse().ok()));
    let _ = child.wait();
    Run { sent: frames, captured: captured.unwrap_or(0), seconds, reader_seconds }
}

/// Processor seconds of this thread, or of this process.
fn cpu(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Processor seconds of a child, in the kernel's ticks of 10 ms.
fn child_cpu(child: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
