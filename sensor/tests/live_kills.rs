//! SIGKILL of the daemon and of the collector at random moments, under traffic: what a spool held has come in the end.
//!
//! `TENREC_ROUNDS` says how many kills (`make soak`: hundreds), `TENREC_SEED` at which moments.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic")]
#![allow(clippy::print_stdout, reason = "the figures are what a long run is for")]

mod daemon;
mod ledger;
mod wire;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use daemon::Program;
use ledger::{Collector, Owed, Random, WINDOW, rounds, traffic};
use settings::control::Client;
use wire::Wire;

/// Longest life of a daemon, milliseconds. Zeek's connections are written five seconds after their end.
const LIFE: u64 = 7000;
/// Longest time that a daemon which is told to end is given for it, milliseconds. Arkime's sessions are written a minute
/// after their end, or then: it is killed while it delivers them.
const ENDING: u64 = 1000;
/// Connections a second.
const RATE: u32 = 50;

#[test]
fn whatever_a_killed_daemon_had_in_its_spools_arrives_in_the_end() {
    let Some(wire) = Wire::lay("whatever_a_killed_daemon_had_in_its_spools_arrives_in_the_end") else { return };
    let (rounds, mut random) = (rounds(3), Random::new());
    let folder = tempfile::tempdir().unwrap();
    let mut collector = Collector::start(folder.path());
    let path = daemon_settings(folder.path(), &collector);
    let mut owed = Owed::default();
    let (mut collector_kills, mut waiting) = (0, [0; 2]);
    let begun = Instant::now();
    let (connections, ()) = traffic(&wire, RATE, u64::MAX, || {
        for round in 0..rounds {
            let mut daemon = Program::start(&["run"], &path);
            // One in eight dies while it starts. The first lives long enough for everything to be said.
            let life = if round == 0 { LIFE } else { random.below(LIFE) };
            if round == 0 || random.below(8) > 0 {
                daemon.wait_for_line("ready");
            }
            let mut left = Duration::from_millis(life);
            if random.below(3) == 0 {
                let before = Duration::from_millis(random.below(life.max(1)));
                live(before);
                collector.restart();
                collector_kills += 1;
                left -= before;
            }
            live(left);
            if round == 0 || random.below(3) == 0 {
                daemon.signal("-TERM");
                live(Duration::from_millis(random.below(ENDING)));
            }
            daemon.signal("-KILL");
            daemon.wait();
            let held = owed.enter(&folder.path().join("spool"));
            waiting = [waiting[0] + held[0], waiting[1] + held[1]];
            told_nothing_lost(&daemon);
        }
    });
    let mut daemon = Program::start(&["run"], &path);
    daemon.wait_for_line("ready");
    let deadline = Instant::now() + Duration::from_secs(120);
    let destinations = || Client::connect(&folder.path().join("run/control.sock")).unwrap().status().unwrap().destinations;
    let is_delivered =
        |name: &str| destinations().iter().any(|to| to.name == name && to.spool.records == 0 && to.refused == 0 && to.spool.lost == 0);
    while !is_delivered("logs") || !is_delivered("sessions") {
        assert!(Instant::now() < deadline, "not delivered: {:?}", destinations());
        thread::yield_now();
    }
    assert!(daemon.end().success(), "{:#?}", daemon.told);
    told_nothing_lost(&daemon);
    assert_eq!(owed.enter(&folder.path().join("spool")), [0, 0], "a daemon that ends in good order leaves nothing behind");
    collector.kill();
    let settled = owed.settle(&folder.path().join("received"));
    println!(
        "{rounds} kills of the daemon and {collector_kills} of the collector in {} s, {connections} connections; {waiting:?} events and sessions \
         waited when the daemon died; {settled}",
        begun.elapsed().as_secs()
    );
    let [seen, came, again] = settled.logs;
    assert!(seen > 0 && settled.sessions[0] > 0, "there was nothing to lose");
    assert!(came >= seen);
    // Each death leaves the windows under way in doubt, and nothing else.
    let doubtful = u64::from(rounds + collector_kills) * (forward::PIPELINE * WINDOW) as u64;
    assert!(again <= doubtful, "{again} events came again, {doubtful} were in doubt");
}

fn daemon_settings(folder: &Path, collector: &Collector) -> PathBuf {
    let more = format!("pcap.rotate_megabytes = 1\npcap.budget_megabytes = 8\nscan.enabled = false\n{}", collector.settings());
    let path = daemon::settings(folder, &more);
    // Uids of one life are not those of another, and files would only fill the disk.
    let text = fs::read_to_string(&path).unwrap().replace("seed = 7, ", "").replace("carving = 'all'", "carving = 'none'");
    fs::write(&path, text).unwrap();
    path
}

/// Lets time pass: the moment of a kill depends on nothing.
fn live(time: Duration) {
    thread::sleep(time);
}

fn told_nothing_lost(daemon: &Program) {
    let told = daemon.told.iter().filter(|line| line.contains("ERROR"));
    assert_eq!(told.count(), 0, "{:#?}", daemon.told);
}
