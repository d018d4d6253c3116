//! The scanner as the daemon sees it: a process that lives, dies and comes back.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use scan::{Link, Outcome, Scanner, Verdict};

const DEADLINE: Duration = Duration::from_secs(60);
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");

struct Bench {
    folder: tempfile::TempDir,
    scanner: Scanner<&'static str>,
    verdicts: Receiver<(&'static str, Verdict)>,
}

impl Bench {
    fn with(link: Link, queue: usize) -> Self {
        let (sender, verdicts) = channel();
        let scanner =
            Scanner::start(link, queue, Duration::from_secs(2), move |name, verdict| sender.send((name, verdict)).unwrap()).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), scanner, verdicts }
    }

    fn child(arguments: &[&str]) -> Self {
        Self::with(Link::child(command(arguments)).unwrap(), 16)
    }

    fn write(&self, name: &'static str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn submit(&self, name: &'static str, content: &[u8]) {
        assert!(self.scanner.submit(self.write(name, content), name));
    }

    fn verdict(&self) -> (&'static str, Verdict) {
        self.verdicts.recv_timeout(DEADLINE).unwrap()
    }

    fn scan(&self, name: &'static str, content: &[u8]) -> Verdict {
        self.submit(name, content);
        self.verdict().1
    }
}

/// A scanner as a unit of its own; stopped when dropped.
struct Unit(Child);

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenrec-scan"));
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The only worker whose keeper is `keeper`.
fn worker_of(keeper: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap_or_default();
    children.split_whitespace().next().and_then(|pid| pid.parse().ok()).unwrap_or(0)
}

fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < give_up, "never {what}");
        std::thread::yield_now();
    }
}

#[test]
fn files_are_scanned_in_order_and_told_apart() {
    let bench = Bench::child(&["--rules", SHIPPED]);
    bench.submit("marked", b"xx TENREC-DEMO-HARMLESS-MARKER xx");
    bench.submit("plain", b"nothing to see");
    bench.submit("empty", b"");
    let (name, verdict) = bench.verdict();
    assert_eq!((name, verdict.outcome, verdict.names()), ("marked", Outcome::Matched, vec!["yara:Tenrec_Demo_Marker".to_owned()]));
    for expected in ["plain", "empty"] {
        let (name, verdict) = bench.verdict();
        assert_eq!((name, verdict.outcome), (expected, Outcome::Clean));
    }
    let counters = bench.scanner.counters();
    bench.scanner.finish();
    assert_eq!((counters.scanned.load(Relaxed), counters.matched.load(Relaxed), counters.failed.load(Relaxed)), (3, 1, 0));
    assert!(counters.rules.load(Relaxed) >= 8);
}

#[test]
fn a_file_that_kills_the_worker_has_failed_and_the_next_is_scanned() {
    let folder = tempfile::tempdir().unwrap();
    // Billions of steps: the kernel's CPU limit ends it where YARA's own timeout looks too rarely.
    let endless = "rule endless { strings: $bait = \"BAIT\" condition: $bait and for all i in (1..100000) : (for all j in (1..1000000) : (i + j > 0)) }";
    fs::write(folder.path().join("endless.yar"), endless).unwrap();
    let bench = Bench::child(&["--rules", folder.path().to_str().unwrap(), "--timeout", "1"]);
    let verdict = bench.scan("bait", b"a BAIT");
    assert_eq!(verdict.outcome, Outcome::Failed);
    assert_eq!(bench.scan("plain", b"x").outcome, Outcome::Clean);
}

#[test]
fn a_killed_worker_is_replaced() {
    let keeper = command(&["--rules", SHIPPED]);
    let link = Link::child(keeper).unwrap();
    let Link::Child(_, child) = &link else { unreachable!() };
    let keeper = child.id();
    let bench = Bench::with(link, 16);
    assert_eq!(bench.scan("before", b"x").outcome, Outcome::Clean);
    let worker = wait_for("a worker", || Some(worker_of(keeper)).filter(|pid| *pid > 0));
    rustix::process::kill_process(rustix::process::Pid::from_raw(worker as i32).unwrap(), rustix::process::Signal::KILL).unwrap();
    let verdicts: Vec<Verdict> = (0..3).map(|_| bench.scan("after", b"TENREC-DEMO-HARMLESS-MARKER")).collect();
    assert_eq!(verdicts[2].outcome, Outcome::Matched, "{verdicts:?}");
    assert!(
        verdicts[..2].iter().all(|verdict| verdict.outcome == Outcome::Matched || verdict.errors[0].contains("signal 9")),
        "{verdicts:?}"
    );
}

#[test]
fn the_worker_is_nobody_without_network_and_files() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root can see a process become nobody; run the tests as root to check it");
        return;
    }
    let link = Link::child(command(&["--rules", SHIPPED])).unwrap();
    let Link::Child(_, child) = &link else { unreachable!() };
    let keeper = child.id();
    let bench = Bench::with(link, 16);
    bench.scan("first", b"x");
    let worker = worker_of(keeper);
    for pid in [keeper, worker] {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = |key: &str| status.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        assert_eq!(line("Uid:"), "Uid:\t65534\t65534\t65534\t65534");
        assert_eq!(line("Gid:"), "Gid:\t65534\t65534\t65534\t65534");
        assert_eq!(line("CapEff:"), "CapEff:\t0000000000000000");
        assert_eq!(line("NoNewPrivs:"), "NoNewPrivs:\t1");
        let own = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        assert_ne!(own, fs::read_link("/proc/self/ns/net").unwrap());
    }
    let status = fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    assert!(status.contains("Seccomp:\t2"), "{status}");
}

#[test]
fn a_full_queue_leaves_files_unscanned_and_counts_them() {
    // A scanner that never becomes ready.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silent.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let bench = Bench::with(Link::socket(&path), 2);
    let file = bench.write("x", b"x");
    let taken = (0..10).filter(|_| bench.scanner.submit(&file, "x")).count();
    assert!((2..=3).contains(&taken), "{taken}");
    assert_eq!(bench.scanner.counters().dropped.load(Relaxed) as usize, 10 - taken);
}

#[test]
fn a_scanner_on_a_socket_serves_one_daemon_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.sock");
    let unit = Unit(command(&["--rules", SHIPPED, "--socket", path.to_str().unwrap()]).stdin(Stdio::null()).spawn().unwrap());
    for _ in 0..2 {
        let bench = Bench::with(Link::socket(&path), 4);
        assert_eq!(bench.scan("marked", b"TENREC-DEMO-HARMLESS-MARKER").outcome, Outcome::Matched);
        bench.scanner.finish();
    }
    drop(unit);
    let bench = Bench::with(Link::socket(&path), 4);
    let verdict = bench.scan("later", b"x");
    assert!(verdict.outcome == Outcome::Failed && verdict.errors[0].contains("does not listen"), "{verdict:?}");
}

#[test]
fn broken_rules_and_missing_files_are_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.yar"), "\nrule bad { condition: nonsense }").unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let bench = Bench::child(&["--rules", folder.path().to_str().unwrap(), "--rules", SHIPPED]);
    assert!(bench.scanner.submit("/nonexistent/file", "gone"));
    let (_, verdict) = bench.verdict();
    assert!(verdict.errors[0].contains("/nonexistent/file"), "{verdict:?}");
    let broken = bench.scanner.counters().broken();
    assert!(broken.len() == 1 && broken[0].contains("bad.yar:2:"), "{broken:?}");
}

#[test]
fn links_are_not_followed() {
    let bench = Bench::child(&["--rules", SHIPPED]);
    let path = bench.folder.path().join("link");
    std::os::unix::fs::symlink(bench.write("target", b"x"), &path).unwrap();
    assert!(bench.scanner.submit(&path, "link"));
    assert_eq!(bench.verdict().1.outcome, Outcome::Failed);
}

#[test]
fn files_are_scanned_by_hand_for_the_operator() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, "TENREC-DEMO-HARMLESS-MARKER").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tenrec-scan")).args(["--rules", SHIPPED]).arg(Path::new(&path)).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("Tenrec_Demo_Marker"), "{output:?}");
}
