//! How long to wait before the next attempt: twice as long each time, with jitter, so that a thousand sensors do not come
//! back to a restarted collector in the same second.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// The next wait: between half of and the whole of the current step.
    pub(crate) fn next(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.longest);
        // A new RandomState differs from the last by the standard library's own counter and seed: random enough to spread sensors.
        let random = RandomState::new().hash_one(step);
        let share = f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        step.mul_f64(0.5 + share / 2.0)
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_with_jitter_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for step in [1, 2, 4, 8, 16, 32, 60, 60] {
            let wait = backoff.next();
            assert!((Duration::from_secs(step) / 2..=Duration::from_secs(step)).contains(&wait), "{wait:?} of {step}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(1));
    }
}
