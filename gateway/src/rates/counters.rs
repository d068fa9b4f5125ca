//! One rate for everyone of a kind. Each has one of a fixed number of counters, picked by a hash that nobody outside can foretell:
//! so memory is bounded without forgetting anyone, and whoever floods meets at most a few others.

use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{NotUntil, Quota, RateLimiter};

/// The states of GCRA, by the number of a counter. Clones share them.
#[derive(Clone)]
struct Counters(Arc<[InMemoryState]>);

impl StateStore for Counters {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, number: &usize, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0[number % self.0.len()].measure_and_replace(&NotKeyed::NonKey, f)
    }
}

/// A rate.
pub(super) struct Rate {
    limiter: RateLimiter<usize, Counters, DefaultClock>,
    counters: Counters,
    /// What one counts.
    interval: Nanos,
    clock: DefaultClock,
    hasher: RandomState,
}

impl Rate {
    /// So many a second, and so many at once; `None` for no limit.
    pub(super) fn new(per_second: u32, burst: u32, counters: usize) -> Option<Self> {
        let (per_second, burst) = (NonZeroU32::new(per_second)?, NonZeroU32::new(burst)?);
        let clock = DefaultClock::default();
        let counters = Counters((0..counters.max(1)).map(|_| InMemoryState::default()).collect());
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let limiter = RateLimiter::new(quota, counters.clone(), clock.clone());
        let interval = quota.replenish_interval().into();
        Some(Self { limiter, counters, interval, clock, hasher: RandomState::new() })
    }

    /// Counts so many of `key`, or says how long to wait.
    pub(super) fn count(&self, key: &impl Hash, cost: NonZeroU32) -> Result<(), Duration> {
        let number = self.hasher.hash_one(key) as usize;
        let wait = |until: NotUntil<_>| until.wait_time_from(self.clock.now());
        match self.limiter.check_key_n(&number, cost) {
            Ok(counted) => counted.map_err(wait),
            // A burst below the cost: as many as there can be.
            Err(_) => self.limiter.check_key(&number).map_err(wait),
        }
    }

    /// Takes back one of `key`.
    pub(super) fn refund(&self, key: &impl Hash) {
        let number = self.hasher.hash_one(key) as usize;
        let earlier =
            |until: Option<Nanos>| until.map(|until| ((), until.saturating_sub(self.interval))).ok_or(());
        // What was never counted has nothing to take back.
        let _ = self.counters.measure_and_replace(&number, earlier);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rate: &Rate, key: &str, cost: u32) -> Result<(), Duration> {
        rate.count(&key, NonZeroU32::new(cost).unwrap())
    }

    #[test]
    fn each_key_has_its_burst_and_then_the_time_to_wait() {
        let rate = Rate::new(1, 3, 1 << 16).unwrap();
        for _ in 0..3 {
            count(&rate, "ann", 1).unwrap();
        }
        let wait = count(&rate, "ann", 1).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        count(&rate, "bob", 3).unwrap();
        assert!(count(&rate, "bob", 1).is_err());
    }

    #[test]
    fn a_cost_above_the_burst_still_counts() {
        let rate = Rate::new(1, 2, 16).unwrap();
        count(&rate, "ann", 10).unwrap();
        count(&rate, "ann", 10).unwrap();
        assert!(count(&rate, "ann", 10).is_err());
    }

    #[test]
    fn what_is_taken_back_may_be_counted_again() {
        let rate = Rate::new(1, 2, 16).unwrap();
        rate.refund(&"ann");
        count(&rate, "ann", 2).unwrap();
        assert!(count(&rate, "ann", 1).is_err());
        rate.refund(&"ann");
        count(&rate, "ann", 1).unwrap();
        assert!(count(&rate, "ann", 1).is_err());
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert!(Rate::new(0, 10, 16).is_none());
    }
}
