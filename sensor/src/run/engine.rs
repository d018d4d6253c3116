//! The analysis of one worker, and when it begins anew: when it fails on a frame, and when the clock is set back.
//!
//! The analysis lives by the time of the packets, which never goes back in it. Were it left alone when the clock is set back
//! by a day, for a day nothing would time out: no connection would be written, and the tables would fill. So all flows are
//! ended, with what is known of them, and those that go on are found again in their middle. Steps of a few seconds are sat
//! out.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use analyze::{Batch, Counters, Frame, Sensor, Time, log::Active};
use detect::RuleSet;

use super::worker::Counted;

/// A clock that was set back by so much, in nanoseconds, is not waited for.
const SET_BACK: i64 = 5_000_000_000;
/// How long frames of before and after the step may come mixed: interfaces look the clock up once a second.
const MIXED: Duration = Duration::from_secs(2);

/// The engine.
pub struct Engine {
    sensor: Sensor,
    options: analyze::Options,
    rules: Arc<RuleSet>,
    counted: Arc<Counted>,
    /// What those before this sensor have counted, and the sessions that they began.
    past: (Counters, u64),
    /// What they have found and nobody has taken.
    left: Vec<Batch>,
    /// The highest time that the sensor was told, and since when the sensor is there, if it is not the first.
    latest: Time,
    begun: Option<Instant>,
}

impl Engine {
    /// Analyses by `options` and `rules`; failures are counted in `counted`.
    pub fn new(options: analyze::Options, rules: Arc<RuleSet>, counted: Arc<Counted>) -> Self {
        let sensor = rules.sensor(options.clone());
        Self { sensor, options, rules, counted, past: Default::default(), left: Vec::new(), latest: Time(i64::MIN), begun: None }
    }

    /// Analyses one frame. One that makes the analysis panic costs its flows, never the capture.
    pub fn frame(&mut self, frame: &Frame<'_>) {
        self.follow(frame.at);
        self.guarded(|sensor| sensor.frame(frame));
    }

    /// Lets time pass without a frame.
    pub fn clock(&mut self, at: Time) {
        self.follow(at);
        self.guarded(|sensor| sensor.clock(at));
    }

    /// Ends all flows.
    pub fn finish(&mut self) {
        self.guarded(Sensor::finish);
    }

    /// What was found since the last call.
    pub fn take(&mut self) -> Vec<Batch> {
        let mut all = std::mem::take(&mut self.left);
        if self.sensor.has_output() {
            all.push(self.sensor.take());
        }
        all
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Counters {
        let mut counters = self.sensor.counters();
        counters.add(&self.past.0);
        counters
    }

    /// Flows in the table.
    pub fn active_flows(&self) -> usize {
        self.sensor.active_flows()
    }

    /// Arkime's sessions that are open, and how many were begun.
    pub fn sessions(&self) -> (Active, u64) {
        let (active, begun) = self.sensor.sessions();
        (active, begun + self.past.1)
    }

    fn follow(&mut self, at: Time) {
        if at >= self.latest {
            self.latest = at;
            return;
        }
        let back = self.latest.0.saturating_sub(at.0);
        if back <= SET_BACK || self.begun.is_some_and(|begun| begun.elapsed() < MIXED) {
            return;
        }
        tracing::warn!(seconds = back / 1_000_000_000, "the clock was set back: flows are ended and found again");
        self.guarded(Sensor::finish);
        let left = self.sensor.take();
        self.left.push(left);
        self.begin_anew();
        (self.latest, self.begun) = (at, Some(Instant::now()));
    }

    fn guarded(&mut self, act: impl FnOnce(&mut Sensor)) {
        // The sensor may be left half-changed, which is why it is not used again.
        if catch_unwind(AssertUnwindSafe(|| act(&mut self.sensor))).is_err() {
            self.counted.failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!("the analysis failed on a frame and began anew; please report the message above");
            self.begin_anew();
        }
    }

    fn begin_anew(&mut self) {
        // What it holds now is gone.
        self.past.0.add(&Counters { active_by: Default::default(), waiting_bytes: 0, ..self.sensor.counters() });
        self.past.1 += self.sensor.sessions().1;
        // Another seed: uids must not come twice.
        self.options.seed = self.options.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.sensor = self.rules.sensor(self.options.clone());
    }
}

#[cfg(test)]
mod tests {
    use analyze::{
        Link,
        log::{Format, Profile, Row},
    };

    use super::*;

    const NOON: i64 = 1_800_000_000_000_000_000;
    const SECOND: i64 = 1_000_000_000;
    const DAY: i64 = 86_400 * SECOND;

    fn engine() -> Engine {
        let options = analyze::Options { checksums: false, ..analyze::Options::default() };
        Engine::new(options, Arc::new(RuleSet::default()), Arc::default())
    }

    /// A datagram of four bytes from a port of a client.
    fn datagram(engine: &mut Engine, at: i64, port: u16) {
        let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        bytes.extend([0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend(port.to_be_bytes());
        bytes.extend([0x30, 0x39, 0, 12, 0, 0, 1, 2, 3, 4]);
        engine.frame(&Frame {
            at: Time(at),
            wire_len: bytes.len() as u32,
            data: &bytes,
            link: Link::ETHERNET,
            interface: 0,
            position: None,
        });
    }

    /// Lines of conn.log since the last call.
    fn connections(engine: &mut Engine) -> Vec<String> {
        let batches = engine.take();
        let records = batches.iter().flat_map(|batch| &batch.records).filter(|record| record.log().path == "conn");
        let lines = records.map(|record| {
            let mut line = Vec::new();
            Row::write(record.as_ref(), Format::Json, Profile::Stock, &mut line);
            String::from_utf8(line).unwrap()
        });
        lines.collect()
    }

    #[test]
    fn a_clock_that_is_set_back_by_a_day_keeps_no_connection_for_a_day() {
        let mut engine = engine();
        datagram(&mut engine, NOON, 1000);
        datagram(&mut engine, NOON - DAY, 2000);
        let lines = connections(&mut engine);
        assert!(matches!(lines.as_slice(), [line] if line.contains(r#""id.orig_p":1000"#)), "{lines:?}");
        // Zeek's timeout of UDP is a minute.
        engine.clock(Time(NOON - DAY + 70 * SECOND));
        let lines = connections(&mut engine);
        assert!(matches!(lines.as_slice(), [line] if line.contains(r#""id.orig_p":2000"#)), "{lines:?}");
        assert_eq!((engine.counters().flows, engine.counters().frames, engine.active_flows()), (2, 2, 0));
    }

    #[test]
    fn a_clock_that_is_set_back_is_seen_without_a_frame() {
        let mut engine = engine();
        datagram(&mut engine, NOON, 1000);
        engine.clock(Time(NOON - DAY));
        assert_eq!(connections(&mut engine).len(), 1);
    }

    #[test]
    fn a_step_of_a_few_seconds_ends_nothing_and_a_step_forward_only_what_is_idle_by_then() {
        let mut engine = engine();
        datagram(&mut engine, NOON, 1000);
        datagram(&mut engine, NOON - 3 * SECOND, 2000);
        datagram(&mut engine, NOON + 30 * SECOND, 2000);
        assert!(connections(&mut engine).is_empty());
        datagram(&mut engine, NOON + DAY, 3000);
        assert_eq!((connections(&mut engine).len(), engine.active_flows()), (2, 1));
    }

    #[test]
    fn frames_of_before_and_after_the_step_that_come_mixed_begin_anew_once() {
        let mut engine = engine();
        for number in 0..100 {
            datagram(&mut engine, NOON + number, 1000);
            datagram(&mut engine, NOON - DAY + number, 2000);
        }
        assert_eq!((engine.left.len(), engine.counters().frames), (1, 200));
    }
}
