//! How the machine and the capture are: measurements for the collector's dashboards, and the two logs in which Zeek tells
//! of itself.
//!
//! ```text
//! /proc, /sys ─▶ machine ─┐
//! counters ────▶ zeek ────┴─▶ bounded channel ─▶ record writer ─▶ stats.log, capture_loss.log, spool
//! ```
//! What finds no room is left out: the next one comes soon.

mod machine;
mod zeek;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use analyze::Time;
use crossbeam_channel::Sender;
use settings::Settings;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

pub(super) use self::machine::resident;

use self::{machine::Machine, zeek::Sample};
use super::{Plan, Service, Status, records::Told};

/// Adds the measurements to a plan.
pub fn add(settings: &Settings, plan: &mut Plan) {
    let of = &settings.metrics;
    let machine = (of.enabled && settings.forward.enabled).then(|| {
        plan.policy.read.extend(machine::FILES.iter().map(PathBuf::from));
        (Duration::from_secs(of.seconds), Duration::from_secs(of.thermal_seconds))
    });
    let every = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
    let (stats, loss) = (every(of.stats_seconds), every(of.capture_loss_seconds));
    if machine.is_none() && stats.is_none() && loss.is_none() {
        return;
    }
    let health = Health { sender: plan.own.clone(), machine, stats, loss };
    plan.services.push(Box::new(move |status| health.keep(status)));
}

struct Health {
    sender: Sender<Told>,
    /// Times between two measurements, and between two temperatures.
    machine: Option<(Duration, Duration)>,
    stats: Option<Duration>,
    loss: Option<Duration>,
}

impl Health {
    fn keep(self, status: Arc<Status>) -> Service {
        Box::pin(async move {
            let mut stop = status.stop();
            let mut machine = Machine::default();
            // What is counted from now on is told at the end of the first step.
            let (mut stats_told, mut loss_told) = (Sample::of(&status), Sample::of(&status));
            machine.measure();
            let [mut usual, mut thermal, mut stats, mut loss] =
                [self.machine.map(|(usual, _)| usual), self.machine.map(|(_, thermal)| thermal), self.stats, self.loss].map(ticks);
            loop {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = tick(&mut usual) => {
                        let at = now();
                        machine.measure().into_iter().for_each(|(module, values)| self.tell(Told::Measured(at, module, values)));
                    }
                    () = tick(&mut thermal) => {
                        let at = now();
                        machine::temperatures().into_iter().for_each(|values| self.tell(Told::Measured(at, "thermal", values)));
                    }
                    () = tick(&mut stats) => {
                        let sample = Sample::of(&status);
                        self.tell(Told::Record(Box::new(zeek::Stats { at: now(), sample, last: stats_told })));
                        stats_told = sample;
                    }
                    () = tick(&mut loss) => {
                        let sample = Sample::of(&status);
                        let record = zeek::CaptureLoss { at: now(), sample, last: std::mem::replace(&mut loss_told, sample) };
                        if let Some(notice) = record.notice() {
                            self.tell(Told::Record(Box::new(notice)));
                        }
                        self.tell(Told::Record(Box::new(record)));
                    }
                }
            }
        })
    }

    fn tell(&self, told: Told) {
        if self.sender.try_send(told).is_err() {
            tracing::debug!("a measurement was left out: the record writer is behind");
        }
    }
}

fn ticks(every: Option<Duration>) -> Option<Interval> {
    every.map(|every| {
        let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks
    })
}

/// The next tick; never, if there is none.
async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

fn now() -> Time {
    Time(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX))
}
