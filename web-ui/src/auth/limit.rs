//! How often a password or a code may be tried: from one address, and by all together.
//!
//! A bucket of tries that fills up again slowly. With it a password of eight random letters stands for centuries. The
//! common bucket keeps many addresses from doing together what one may not; it may keep the administrator waiting for a
//! moment, which is the lesser evil, and not those who are logged in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tries of one address, and the time in which one comes back.
const EACH: (u32, Duration) = (5, Duration::from_secs(30));
/// Tries of all together.
const ALL: (u32, Duration) = (30, Duration::from_secs(3));
/// Addresses that are remembered; beyond, those forgotten have been full the longest.
const MAX_ADDRESSES: usize = 1024;

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn fill(&mut self, (size, period): (u32, Duration), now: Instant) {
        let came = now.duration_since(self.at).as_secs_f64() / period.as_secs_f64();
        self.left = (self.left + came).min(f64::from(size));
        self.at = now;
    }

    /// Seconds until there is a try.
    fn wait(&self, (_, period): (u32, Duration)) -> f64 {
        ((1.0 - self.left) * period.as_secs_f64()).max(0.0)
    }
}

/// The tries that are left.
#[derive(Default)]
pub(crate) struct Limit(Mutex<State>);

#[derive(Default)]
struct State {
    all: Option<Bucket>,
    each: HashMap<IpAddr, Bucket>,
}

impl Limit {
    /// Takes a try.
    ///
    /// # Errors
    /// The seconds to wait when there is none.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> Result<(), u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |(size, _): (u32, Duration)| Bucket { left: f64::from(size), at: now };
        if state.each.len() >= MAX_ADDRESSES
            && let Some(fullest) = state.each.iter().max_by(|a, b| a.1.left.total_cmp(&b.1.left)).map(|(address, _)| *address)
        {
            state.each.remove(&fullest);
        }
        let State { all, each } = &mut *state;
        let all = all.get_or_insert(full(ALL));
        let each = each.entry(network(address)).or_insert(full(EACH));
        all.fill(ALL, now);
        each.fill(EACH, now);
        let wait = all.wait(ALL).max(each.wait(EACH));
        if wait > 0.0 {
            return Err(wait.ceil() as u64);
        }
        all.left -= 1.0;
        each.left -= 1.0;
        Ok(())
    }

    /// Gives a try back that was none: the password was right.
    pub(crate) fn give_back(&self, address: IpAddr) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = &mut state.all {
            all.left += 1.0;
        }
        state.each.remove(&network(address));
    }
}

/// Who has one IPv6 address has all of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_five_tries_and_then_one_each_half_minute() {
        let (limit, begin) = (Limit::default(), Instant::now());
        for _ in 0..5 {
            assert_eq!(limit.take(address("192.0.2.1"), begin), Ok(()));
        }
        assert_eq!(limit.take(address("192.0.2.1"), begin), Err(30));
        assert_eq!(limit.take(address("192.0.2.2"), begin), Ok(()));
        let later = begin + Duration::from_secs(30);
        assert_eq!((limit.take(address("192.0.2.1"), later), limit.take(address("192.0.2.1"), later)), (Ok(()), Err(30)));
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one_and_many_addresses_share_a_bound() {
        let (limit, begin) = (Limit::default(), Instant::now());
        let mut tries = 0;
        while limit.take(address(&format!("2001:db8::{tries}")), begin).is_ok() {
            tries += 1;
        }
        assert_eq!(tries, 5);
        let others = (0..100).filter(|n| limit.take(address(&format!("192.0.2.{n}")), begin).is_ok()).count();
        assert_eq!(others, 25);
    }
}
