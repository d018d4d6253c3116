//! The kernel's monotonic time of a frame as time of day.
//!
//! XDP can only read CLOCK_MONOTONIC. The difference to CLOCK_REALTIME is looked up about once a second, so that a clock
//! that NTP pulls, or that someone sets, is followed; between two looks it is constant, so that intervals stay true.

use std::time::{Duration, Instant};

use analyze::Time;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// How long a difference is used.
const KEPT: Duration = Duration::from_secs(1);

/// Turns CLOCK_MONOTONIC nanoseconds into time of day.
#[derive(Debug)]
pub struct Clock {
    offset: i64,
    looked_up: Instant,
}

impl Clock {
    /// Looks the difference up.
    pub fn new() -> Self {
        Self { offset: offset(), looked_up: Instant::now() }
    }

    /// Looks the difference up again if it is a second old. Once per batch is enough.
    pub fn refresh(&mut self) {
        if self.looked_up.elapsed() >= KEPT {
            *self = Self::new();
        }
    }

    /// The time of day of a monotonic time.
    pub fn at(&self, monotonic: u64) -> Time {
        Time((monotonic as i64).saturating_add(self.offset))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// REALTIME − MONOTONIC, in nanoseconds; the best of three, since the thread may lose its processor between two readings.
fn offset() -> i64 {
    let sample = || {
        let before = nanoseconds(clock_gettime(ClockId::Monotonic));
        let now = nanoseconds(clock_gettime(ClockId::Realtime));
        let after = nanoseconds(clock_gettime(ClockId::Monotonic));
        (after - before, now - (before + (after - before) / 2))
    };
    let (first, second, third) = (sample(), sample(), sample());
    first.min(second).min(third).1
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_now() {
        let clock = Clock::new();
        let at = clock.at(nanoseconds(clock_gettime(ClockId::Monotonic)) as u64);
        let now = nanoseconds(clock_gettime(ClockId::Realtime));
        assert!((now - at.0).abs() < 1_000_000_000, "{} ns apart", now - at.0);
    }
}
