//! Live capture beside tcpdump: frames lost and processor time, on a veth pair at the full speed of one sender.
//!
//! `cargo bench -p tenrec --bench live` (root). Both write what they capture into files of the same file system.
//! Processor seconds are to be trusted more than wall seconds: the sender takes its share of a small machine.
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
use tenrec::{
    capture::{self, Mode, Options},
    pcap,
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
        snap: 0,
    }
}

fn tcpdump(wire: &Wire, size: usize, frames: usize, folder: &Path) -> Run {
    let file = folder.join("tcpdump.pcap");
    let mut child = Command::new("tcpdump")
        .args(["-i", "near", "-n", "-B", &(RING >> 10).to_string(), "-Z", "root", "-w"])
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .expect("tcpdump is installed");
    // It tells when it listens.
    let mut told = String::new();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    while !told.contains("listening on") {
        told.clear();
        assert!(errors.read_line(&mut told).unwrap() > 0, "tcpdump did not start");
    }
    let before = child_cpu(&child);
    let seconds = send(wire, size, frames);
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
    let _ = child.wait();
    let captured = (fs::metadata(&file).unwrap().len() - 24) / (size.max(60) as u64 + 16);
    Run { sent: frames, captured, seconds, reader_seconds }
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
