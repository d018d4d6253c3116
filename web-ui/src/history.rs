//! The daemon's status, asked every other second for all pages together, and what it was during the last hour.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use settings::appliance;
use settings::control::{Drops, Status};
use tokio::sync::watch;

use crate::ask::answer;

/// Time between two questions.
const PERIOD: Duration = Duration::from_secs(2);
/// How many questions to the daemon come on one to the appliance, which has more to do for an answer.
const EVERY: u32 = 5;
/// How long samples are kept.
pub(crate) const KEPT: Duration = Duration::from_secs(3600);

/// What is known of daemon and appliance now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Status of the daemon, or why there is none.
    pub(crate) status: Option<Result<Arc<Status>, String>>,
    /// State of the appliance, where there is one.
    pub(crate) state: Option<Arc<appliance::State>>,
}

/// What was the case at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// When.
    pub(crate) at: Instant,
    /// Bits a second on the wire.
    pub(crate) bits: f64,
    /// Packets a second.
    pub(crate) packets: f64,
    /// What was lost a second, by place.
    pub(crate) lost: [f64; 10],
    /// Records that wait for the collector.
    pub(crate) spool: f64,
    /// Share of the data's disk in use.
    pub(crate) disk: Option<f64>,
    /// Share of the processors in use.
    pub(crate) cpu: Option<f64>,
    /// Bytes of memory in use.
    pub(crate) memory: Option<f64>,
    /// °C.
    pub(crate) temperature: Option<f64>,
}

/// Where to see it.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) seen: watch::Receiver<Seen>,
    samples: Arc<Mutex<VecDeque<Sample>>>,
}

impl Watch {
    /// Starts to ask; ends when nobody looks any more.
    pub(crate) fn start(control: PathBuf, appliance: Option<PathBuf>) -> Self {
        let (sender, receiver) = watch::channel(Seen::default());
        let samples = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&samples);
        tokio::spawn(async move {
            let mut before: Option<Arc<Status>> = None;
            let mut ticks = tokio::time::interval(PERIOD);
            for turn in 0_u32.. {
                ticks.tick().await;
                let answer = crate::ask::status(&control).await.map(Arc::new).map_err(|error| explain(&error));
                if turn.is_multiple_of(EVERY)
                    && let Some(socket) = &appliance
                {
                    let state = answer!(socket, appliance::Request::State => appliance::Response::State(state) => Arc::new(*state));
                    sender.send_modify(|seen| seen.state = state.ok());
                }
                let state = sender.borrow().state.clone();
                if let (Ok(now), Some(before)) = (&answer, &before)
                    && let Some(sample) = sample(before, now, state.as_deref(), Instant::now())
                {
                    keep(&mut kept.lock().unwrap_or_else(PoisonError::into_inner), sample);
                }
                before = answer.as_ref().ok().cloned();
                sender.send_modify(|seen| seen.status = Some(answer));
                if sender.is_closed() {
                    return;
                }
            }
        });
        Self { seen: receiver, samples }
    }

    /// The first answer, waited for if it has not come yet.
    pub(crate) async fn now(&self) -> Seen {
        let mut receiver = self.seen.clone();
        match receiver.wait_for(|seen| seen.status.is_some()).await {
            Ok(seen) => seen.clone(),
            Err(_) => Seen::default(),
        }
    }

    /// The samples of the last hour, oldest first.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

fn keep(samples: &mut VecDeque<Sample>, sample: Sample) {
    samples.push_back(sample);
    while samples.front().is_some_and(|oldest| sample.at.duration_since(oldest.at) > KEPT) {
        samples.pop_front();
    }
}

/// The rates between two answers of one run of the daemon.
fn sample(before: &Status, now: &Status, state: Option<&appliance::State>, at: Instant) -> Option<Sample> {
    let span = now.uptime - before.uptime;
    if before.started != now.started || span <= 0.0 {
        return None;
    }
    let per_second = |later: u64, earlier: u64| later.saturating_sub(earlier) as f64 / span;
    let counts = |drops: &Drops| drops.places().map(|(_, _, count)| count);
    let mut lost = [0.0; 10];
    for (rate, (later, earlier)) in lost.iter_mut().zip(counts(&now.drops).into_iter().zip(counts(&before.drops))) {
        *rate = per_second(later, earlier);
    }
    let full = |state: &appliance::State| (state.data_bytes > 0).then(|| 1.0 - state.data_free as f64 / state.data_bytes as f64);
    Some(Sample {
        at,
        bits: per_second(now.bytes_analysed, before.bytes_analysed) * 8.0,
        packets: per_second(now.packets_analysed, before.packets_analysed),
        lost,
        spool: now.destinations.iter().map(|to| to.spool.records).sum::<u64>() as f64,
        disk: state.and_then(full),
        cpu: state.map(|state| state.cpu),
        memory: state.map(|state| state.memory_used as f64),
        temperature: state.and_then(|state| state.temperature),
    })
}

/// An error with its cause, for the operator.
pub(crate) fn explain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error} ({cause})"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(started: f64, uptime: f64, bytes: u64, ring: u64) -> Status {
        let drops = Drops { ring, ..Drops::default() };
        Status { started, uptime, bytes_analysed: bytes, packets_analysed: 10, drops, ..Status::default() }
    }

    #[test]
    fn rates_need_two_answers_of_the_same_run() {
        let now = Instant::now();
        let seen = sample(&at(1.0, 10.0, 1000, 5), &at(1.0, 12.0, 2000, 9), None, now).unwrap();
        assert_eq!((seen.bits, seen.packets, seen.lost[1], seen.cpu), (4000.0, 0.0, 2.0, None));
        assert!(sample(&at(1.0, 10.0, 1000, 0), &at(9.0, 1.0, 10, 0), None, now).is_none());
    }

    #[test]
    fn an_hour_is_kept() {
        let (mut samples, begin) = (VecDeque::new(), Instant::now());
        let one = sample(&at(1.0, 1.0, 0, 0), &at(1.0, 2.0, 0, 0), None, begin).unwrap();
        for n in 0..4000 {
            keep(&mut samples, Sample { at: begin + PERIOD * n, ..one });
        }
        assert_eq!(samples.len(), 1801);
    }
}
