//! A disk that fills up and is freed again under the whole daemon, while its collector is away: what gives way, and that
//! every record has come in the end or is counted as lost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails may panic")]

mod daemon;
mod ledger;
mod wire;

use std::{
    fs,
    io::Write as _,
    ops::Range,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use daemon::{Daemon, Mounted, exchange};
use ledger::{Collector, Owed, distinct};
use settings::control::{Destination, Status};
use wire::{Wire, ethernet, ipv4};

const MB: u64 = 1 << 20;

/// A daemon on a file system of 64 MB, of which 16 are to stay free.
struct Site {
    // Dropped in this order.
    daemon: Daemon,
    collector: Collector,
    _disk: Mounted,
    elsewhere: tempfile::TempDir,
    /// Records that were counted as lost in the end.
    lost: u64,
}

impl Site {
    fn start(captures: bool) -> Self {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let disk = Mounted::small(folder.path(), "64m");
        let mut collector = Collector::start(elsewhere.path());
        collector.kill();
        let at = folder.path().display();
        let more = format!(
            "pcap.rotate_megabytes = 1\npcap.enabled = {captures}\nscan.enabled = false\n\
             metrics = {{ enabled = false, stats_seconds = 0, capture_loss_seconds = 0 }}\n{}",
            collector.settings().replace(&format!("{}/spool", elsewhere.path().display()), &format!("{at}/spool"))
        );
        let path = daemon::settings(folder.path(), &more);
        let text = fs::read_to_string(&path).unwrap().replace("floor_megabytes = 1\n", "floor_megabytes = 16\n");
        fs::write(&path, text.replace("carving = 'all'", "carving = 'none'")).unwrap();
        let mut daemon = Daemon::start_from(folder, path);
        daemon.wait_for_line("ready");
        Self { daemon, collector, _disk: disk, elsewhere, lost: 0 }
    }

    fn free(&self) -> u64 {
        let state = rustix::fs::statvfs(self.daemon.folder.path()).unwrap();
        state.f_bavail * state.f_frsize
    }

    /// Somebody else's file, which leaves so many bytes free.
    fn fill(&self, leave: u64) -> PathBuf {
        let path = self.daemon.path("of-somebody-else");
        let mut file = fs::File::create(&path).unwrap();
        while self.free() > leave && file.write_all(&vec![b'x'; 4096]).is_ok() {}
        path
    }

    fn logs(&self) -> (Status, Destination) {
        let status = self.daemon.status();
        let logs = status.destinations.iter().find(|to| to.name == "logs").unwrap().clone();
        (status, logs)
    }

    /// Waits until the daemon says so.
    fn wait_for(&self, what: &str, is_so: impl Fn(&Status, &Destination) -> bool) -> (Status, Destination) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let (status, logs) = self.logs();
            if is_so(&status, &logs) {
                return (status, logs);
            }
            assert!(Instant::now() < deadline, "{what}: {status:#?}");
            thread::yield_now();
        }
    }

    fn exchanges(&self, wire: &Wire, ports: Range<u16>) {
        let lines = |status: &Status| status.logs.get("http").copied().unwrap_or(0);
        let before = lines(&self.daemon.status());
        let many = u64::from(ports.end - ports.start);
        ports.flat_map(exchange).for_each(|frame| wire.send(&frame));
        self.wait_for("not all requests became lines", |status, _| lines(status) == before + many);
    }

    /// About 14 MB of packets.
    fn fill_captures(&self, wire: &Wire) {
        let filler = ethernet(&[], 0x0800, &ipv4([10, 0, 0, 3], [10, 0, 0, 4], 17, [1000, 2000], 0), 1400);
        let received = |status: &Status| status.interfaces[0].received;
        let before = received(&self.daemon.status());
        for _ in 0..10_000 {
            wire.send(&filler);
        }
        // Captured or lost for want of room in the ring: what counts is that nothing is on its way any more.
        self.wait_for("frames are on their way", |status, _| {
            received(status) == before + 10_000 && status.packets_analysed == status.interfaces[0].captured
        });
    }

    /// Has the collector come back, waits until all is delivered, and compares: connections that there must be, and whether
    /// something must be lost.
    fn settle(&mut self, connections: u64, loses: bool) {
        self.collector.restart();
        let (status, logs) =
            self.wait_for("not delivered", |status, logs| logs.spool.records == 0 && status.logs.get("conn") >= Some(&connections));
        assert!(self.daemon.end().success(), "{:#?}", self.daemon.told);
        self.collector.kill();
        let delivered = status.logs.iter().filter(|(log, _)| **log != "sessions");
        // A flow that is open then has its line of conn.log still to come.
        let went_in = delivered.map(|(_, lines)| lines).sum::<u64>() + status.flows.active;
        self.lost = logs.spool.lost;
        let all: u64 = fs::read_dir(self.received())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "ndjson"))
            .map(|path| distinct(&path))
            .sum();
        println!("{went_in} records went in, {all} came, {} were counted as lost", self.lost);
        assert!(all > 0 && (self.lost > 0 || !loses));
        assert_eq!(all + self.lost, went_in, "{:#?} {:#?}", status.logs, self.daemon.told);
    }

    fn received(&self) -> PathBuf {
        self.elsewhere.path().join("received")
    }
}

/// Distinct lines of a log at the collector.
fn came(received: &Path, log: &str) -> u64 {
    distinct(&received.join(format!("{log}.ndjson")))
}

#[test]
fn captures_give_way_and_no_record_that_waits_does() {
    let Some(wire) = Wire::lay("captures_give_way_and_no_record_that_waits_does") else { return };
    let mut site = Site::start(true);
    site.fill_captures(&wire);
    site.exchanges(&wire, 40_000..40_300);
    site.fill_captures(&wire);
    let captures = |site: &Site| {
        let files = fs::read_dir(site.daemon.path("pcap")).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| packets::Name::of(path).is_some()).count()
    };
    site.wait_for("captures are not written", |status, _| status.pcap.total_bytes > 20 * MB);
    let mut owed = Owed::default();
    let waited = owed.enter(&site.daemon.path("spool"));
    assert!(waited[0] >= 300, "{waited:?}");
    let before = captures(&site);
    let other = site.fill(4 * MB);
    // While there is none, others go on writing records.
    site.exchanges(&wire, 41_000..41_300);
    let deadline = Instant::now() + Duration::from_secs(30);
    while site.free() < 16 * MB {
        assert!(Instant::now() < deadline, "{} bytes are free", site.free());
        thread::yield_now();
    }
    assert!(captures(&site) < before, "captures gave way");
    fs::remove_file(other).unwrap();
    site.exchanges(&wire, 42_000..42_300);
    site.collector.restart();
    site.wait_for("not delivered", |status, logs| {
        logs.spool.records == 0 && status.destinations.iter().all(|to| to.spool.lost == 0) && status.logs.get("conn") >= Some(&900)
    });
    assert!(site.daemon.end().success(), "{:#?}", site.daemon.told);
    owed.enter(&site.daemon.path("spool"));
    site.collector.kill();
    let settled = owed.settle(&site.received());
    println!("900 requests; {settled}");
    assert_eq!(["http", "files"].map(|log| came(&site.received(), log)), [900, 900]);
    assert_eq!(came(&site.received(), "notice"), lines(&site, "notice"));
}

/// Lines of a log on the sensor itself.
fn lines(site: &Site, log: &str) -> u64 {
    let files = fs::read_dir(site.daemon.path("logs")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{log}."))).map(|path| distinct(&path)).sum()
}

#[test]
fn on_a_disk_that_is_full_to_the_last_byte_every_record_comes_or_is_counted_as_lost() {
    let Some(wire) = Wire::lay("on_a_disk_that_is_full_to_the_last_byte_every_record_comes_or_is_counted_as_lost") else { return };
    let mut site = Site::start(false);
    site.exchanges(&wire, 40_000..40_300);
    let other = site.fill(0);
    // More than the block that waits in memory.
    site.exchanges(&wire, 41_000..42_500);
    site.daemon.wait_for_line("the spool refuses records");
    fs::remove_file(other).unwrap();
    site.exchanges(&wire, 43_000..43_300);
    site.daemon.wait_for_line("the spool takes records again");
    site.settle(2100, true);
}

#[test]
fn when_others_take_the_last_byte_captures_give_way_and_the_spool_goes_on_by_itself() {
    let Some(wire) = Wire::lay("when_others_take_the_last_byte_captures_give_way_and_the_spool_goes_on_by_itself") else { return };
    let mut site = Site::start(true);
    site.fill_captures(&wire);
    site.fill_captures(&wire);
    site.exchanges(&wire, 40_000..40_300);
    site.fill(0);
    // Within the second until the disk is looked at, the spool may have to refuse.
    site.exchanges(&wire, 41_000..41_300);
    let deadline = Instant::now() + Duration::from_secs(30);
    while site.free() < 16 * MB {
        assert!(Instant::now() < deadline, "{} bytes are free", site.free());
        thread::yield_now();
    }
    let lost = site.logs().1.spool.lost;
    site.exchanges(&wire, 42_000..42_300);
    site.settle(900, false);
    assert_eq!(site.lost, lost, "lost although captures had given way");
}
