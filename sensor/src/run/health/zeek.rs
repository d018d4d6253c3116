//! `stats.log` and `capture_loss.log`: what Zeek tells of itself, from what Tenrec counts.
//!
//! Zeek estimates what it has not seen from acknowledgements of data that never came. Here it is known: `gaps` are the
//! frames that the card and the rings have lost, `acks` those that came, lost ones included. Columns of queues and timers
//! that Tenrec does not have, or does not count, are unset.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use analyze::{
    Interval, Notice, Time,
    log::{Log, Record, Row, column},
};

use crate::run::{Status, worker::Counted};

/// Percent of loss that is worth a notice: Zeek's `CaptureLoss::too_much_loss`.
const TOO_MUCH: f64 = 10.0;

/// Zeek's name of a process that does everything by itself.
const PEER: &str = "zeek";

/// `stats.log` (scripts/policy/misc/stats.zeek).
pub(super) static STATS: Log = Log {
    path: "stats",
    columns: &[
        column("ts", "time"),
        column("peer", "string"),
        column("mem", "count"),
        column("pkts_proc", "count"),
        column("bytes_recv", "count"),
        column("pkts_dropped", "count"),
        column("pkts_link", "count"),
        column("pkt_lag", "interval"),
        column("pkts_filtered", "count"),
        column("events_proc", "count"),
        column("events_queued", "count"),
        column("active_tcp_conns", "count"),
        column("active_udp_conns", "count"),
        column("active_icmp_conns", "count"),
        column("tcp_conns", "count"),
        column("udp_conns", "count"),
        column("icmp_conns", "count"),
        column("timers", "count"),
        column("active_timers", "count"),
        column("files", "count"),
        column("active_files", "count"),
        column("dns_requests", "count"),
        column("active_dns_requests", "count"),
        column("reassem_tcp_size", "count"),
        column("reassem_file_size", "count"),
        column("reassem_frag_size", "count"),
        column("reassem_unknown_size", "count"),
    ],
};

/// `capture_loss.log` (scripts/policy/misc/capture-loss.zeek).
pub(super) static CAPTURE_LOSS: Log = Log {
    path: "capture_loss",
    columns: &[
        column("ts", "time"),
        column("ts_delta", "interval"),
        column("peer", "string"),
        column("gaps", "count"),
        column("acks", "count"),
        column("percent_lost", "double"),
    ],
};

/// All counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    at: Instant,
    /// Bytes of this process in memory.
    memory: u64,
    analysed: u64,
    bytes: u64,
    /// Frames that never reached the analysis, and all that came.
    lost: u64,
    received: u64,
    filtered: u64,
    records: u64,
    records_dropped: u64,
    files: u64,
    /// Flows, and those that are open: TCP, UDP, ICMP.
    flows: [u64; 3],
    active: [u64; 3],
    waiting_bytes: u64,
}

impl Sample {
    pub(super) fn of(status: &Status) -> Self {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sum = |of: fn(&Counted) -> &AtomicU64| status.workers.iter().map(|worker| load(of(worker))).sum::<u64>();
        let sums = |of: fn(&Counted) -> &[AtomicU64; 3]| {
            let mut sums = [0; 3];
            for worker in &status.workers {
                sums.iter_mut().zip(of(worker)).for_each(|(sum, counter)| *sum += load(counter));
            }
            sums
        };
        let interfaces = status.interfaces();
        let on_card: u64 = interfaces.iter().map(|it| status.nic_dropped(&it.name)).sum();
        Self {
            at: Instant::now(),
            memory: super::machine::resident(),
            analysed: sum(|worker| &worker.frames),
            bytes: sum(|worker| &worker.bytes),
            lost: on_card + interfaces.iter().map(|it| it.total.ring_full + it.total.too_big).sum::<u64>(),
            received: on_card + interfaces.iter().map(|it| it.total.received).sum::<u64>(),
            filtered: interfaces.iter().map(|it| it.total.filtered + it.total.shunted).sum(),
            records: sum(|worker| &worker.records),
            records_dropped: sum(|worker| &worker.records_dropped),
            files: status.records.logs().iter().find(|(log, _)| *log == "files").map_or(0, |(_, lines)| *lines),
            flows: sums(|worker| &worker.flows_by),
            active: sums(|worker| &worker.active_by),
            waiting_bytes: sum(|worker| &worker.waiting_bytes),
        }
    }
}

/// A line of `stats.log`.
pub(super) struct Stats {
    pub(super) at: Time,
    pub(super) sample: Sample,
    pub(super) last: Sample,
}

impl Record for Stats {
    fn log(&self) -> &'static Log {
        &STATS
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        let (now, last) = (&self.sample, &self.last);
        let since = |of: fn(&Sample) -> u64| Some(of(now).saturating_sub(of(last)));
        row.time(Some(self.at));
        row.symbol(Some(PEER));
        // Zeek counts in megabytes of 2^20 bytes.
        row.count(Some(now.memory >> 20));
        row.count(since(|it| it.analysed));
        row.count(since(|it| it.bytes));
        row.count(since(|it| it.lost));
        row.count(since(|it| it.received));
        row.interval(None);
        row.count(since(|it| it.filtered));
        row.count(since(|it| it.records));
        row.count(since(|it| it.records + it.records_dropped));
        now.active.into_iter().for_each(|flows| row.count(Some(flows)));
        now.flows.into_iter().zip(last.flows).for_each(|(flows, before)| row.count(Some(flows.saturating_sub(before))));
        row.count(None);
        row.count(None);
        row.count(since(|it| it.files));
        row.count(None);
        // The analysis asks nobody for names.
        row.count(Some(0));
        row.count(Some(0));
        row.count(Some(now.waiting_bytes));
        row.count(None);
        row.count(None);
        row.count(None);
    }
}

/// A line of `capture_loss.log`.
pub(super) struct CaptureLoss {
    pub(super) at: Time,
    pub(super) sample: Sample,
    pub(super) last: Sample,
}

impl CaptureLoss {
    /// What analysts see of it, if it is too much.
    pub(super) fn notice(&self) -> Option<Notice> {
        let percent = self.percent();
        (percent >= TOO_MUCH).then(|| Notice {
            at: self.at,
            note: "CaptureLoss::Too_Much_Loss",
            text: format!("{percent:.3} % of the frames were lost before the analysis: what the logs say is not all that happened"),
        })
    }

    fn lost(&self) -> u64 {
        self.sample.lost.saturating_sub(self.last.lost)
    }

    fn came(&self) -> u64 {
        self.sample.received.saturating_sub(self.last.received)
    }

    fn percent(&self) -> f64 {
        if self.came() == 0 { 0.0 } else { self.lost() as f64 * 100.0 / self.came() as f64 }
    }
}

impl Record for CaptureLoss {
    fn log(&self) -> &'static Log {
        &CAPTURE_LOSS
    }

    fn at(&self) -> Time {
        self.at
    }

    fn zeek(&self, row: &mut Row<'_>) {
        let elapsed = self.sample.at.duration_since(self.last.at).as_micros();
        row.time(Some(self.at));
        row.interval(Some(Interval(i64::try_from(elapsed).unwrap_or(i64::MAX))));
        row.symbol(Some(PEER));
        row.count(Some(self.lost()));
        row.count(Some(self.came()));
        row.double(Some(self.percent()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use analyze::log::{Format, Profile};

    use super::*;

    fn sample(at: Instant) -> Sample {
        Sample {
            at,
            memory: 64 << 20,
            analysed: 0,
            bytes: 0,
            lost: 0,
            received: 0,
            filtered: 0,
            records: 0,
            records_dropped: 0,
            files: 0,
            flows: [0; 3],
            active: [0; 3],
            waiting_bytes: 0,
        }
    }

    fn row(record: &dyn Record, format: Format) -> String {
        let mut out = Vec::new();
        Row::write(record, format, Profile::Malcolm, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn stats_has_zeeks_columns_with_what_came_since_the_last_line() {
        let at = Instant::now();
        let last = Sample { analysed: 100, received: 110, flows: [5, 6, 7], ..sample(at) };
        let now = Sample { analysed: 150, received: 170, lost: 3, flows: [6, 8, 10], active: [1, 2, 3], waiting_bytes: 9, ..last };
        let record = Stats { at: Time::from_secs(1_700_000_000), sample: now, last };
        let line: serde_json::Value = serde_json::from_str(&row(&record, Format::Json)).unwrap();
        let is = |name: &str, value: u64| assert_eq!(line[name], value, "{name}");
        for (name, value) in [("mem", 64), ("pkts_proc", 50), ("pkts_link", 60), ("pkts_dropped", 3), ("active_icmp_conns", 3)] {
            is(name, value);
        }
        for (name, value) in [("tcp_conns", 1), ("udp_conns", 2), ("icmp_conns", 3), ("reassem_tcp_size", 9)] {
            is(name, value);
        }
        assert_eq!(row(&record, Format::Tsv).trim_end().split('\t').count(), 27);
    }

    #[test]
    fn capture_loss_is_the_share_of_what_came_and_was_lost() {
        let at = Instant::now();
        let now = Sample { lost: 5, received: 200, ..sample(at + Duration::from_secs(900)) };
        let record = CaptureLoss { at: Time::from_secs(1_700_000_000), sample: now, last: sample(at) };
        let line: serde_json::Value = serde_json::from_str(&row(&record, Format::Json)).unwrap();
        assert_eq!((&line["gaps"], &line["acks"]), (&serde_json::json!(5), &serde_json::json!(200)));
        assert_eq!((line["percent_lost"].as_f64(), line["ts_delta"].as_f64()), (Some(2.5), Some(900.0)));
        assert_eq!(row(&record, Format::Tsv).trim_end().split('\t').count(), 6);
        assert!(record.notice().is_none());
        let worse = CaptureLoss { sample: Sample { lost: 20, ..record.sample }, ..record };
        assert!(worse.notice().unwrap().text.starts_with("10.000 %"));
    }
}
