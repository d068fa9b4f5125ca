//! A device's hybrid logical clock, after Kulkarni et al., "Logical Physical Clocks and Consistent
//! Snapshots in Globally Distributed Databases" (2014): close to wall time, and later than all it has seen.

use crate::stamp::Stamp;

/// No stamp is left: the clock stands at the last stamp of the year 9999.
///
/// Only a wall clock that lies can lead here; [`HybridClock::restarting_at`] leads away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the clock has no stamp left: it stands at the end of the year 9999")]
pub struct ClockExhausted;

/// The greatest stamp that a device has recorded or received.
///
/// A clock is a value. To keep it from running ahead of what was stored, tick a copy, and keep the copy
/// once the transaction that stores its stamps has committed; one that failed leaves no trace:
///
/// ```
/// # use tidelog_events::clock::{ClockExhausted, HybridClock};
/// # fn commit<T>(_: T) -> Result<(), ClockExhausted> { Ok(()) }
/// # let (mut clock, now_millis) = (HybridClock::default(), 1_754_476_200_000);
/// let mut ahead = clock;
/// let stamp = ahead.tick(now_millis)?;
/// commit((stamp, ahead.greatest()))?;
/// clock = ahead;
/// # assert_eq!(clock.greatest(), stamp);
/// # Ok::<(), ClockExhausted>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HybridClock {
    greatest: Stamp,
}

impl Default for HybridClock {
    /// The clock of a device that has seen nothing yet.
    fn default() -> Self {
        Self { greatest: Stamp::MIN }
    }
}

impl HybridClock {
    /// The clock that goes on from `greatest`: as read from the store, or, after pending events were
    /// re-stamped, from the greatest stamp received or re-stamped. So a phone that was in 2099 for a
    /// minute is not stuck there.
    pub fn restarting_at(greatest: Stamp) -> Self {
        Self { greatest }
    }

    /// The greatest stamp so far: what a store keeps of the clock.
    pub fn greatest(self) -> Stamp {
        self.greatest
    }

    /// The stamp of an event that is recorded now (wall time, UTC milliseconds since 1970): the first of
    /// `now_millis` if the clock stands before it, else the clock's next. When the counter of a
    /// millisecond is used up, that is the first stamp of the next millisecond. A wall time outside the
    /// years of stamps counts as the nearest one inside.
    pub fn tick(&mut self, now_millis: i64) -> Result<Stamp, ClockExhausted> {
        let now_millis = now_millis.clamp(Stamp::MIN.millis(), Stamp::MAX.millis());
        let (millis, counter) = (self.greatest.millis(), self.greatest.counter());
        let next = if now_millis > millis {
            Stamp::new(now_millis, 0)
        } else if let Some(counter) = counter.checked_add(1) {
            Stamp::new(millis, counter)
        } else {
            Stamp::new(millis + 1, 0)
        };
        self.greatest = next.map_err(|_| ClockExhausted)?;
        Ok(self.greatest)
    }

    /// Takes note of a received event's stamp, so that what is recorded from now on is later than it.
    ///
    /// A stamp more than `max_ahead_ms` beyond the server's time comes from a clock that lies, and is
    /// ignored: the answer is `false`. (The event itself is folded like any other.)
    pub fn merge(&mut self, received: Stamp, server_now_millis: i64, max_ahead_ms: u64) -> bool {
        let believable = received.millis() <= server_now_millis.saturating_add_unsigned(max_ahead_ms);
        if believable {
            self.greatest = self.greatest.max(received);
        }
        believable
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: i64 = 1_754_476_200_000;

    fn at(millis: i64, counter: u16) -> HybridClock {
        HybridClock::restarting_at(Stamp::new(millis, counter).unwrap())
    }

    fn check_tick(clock: HybridClock, now_millis: i64, expect: (i64, u16)) {
        let mut ticked = clock;
        let stamp = ticked.tick(now_millis).unwrap();
        assert_eq!((stamp.millis(), stamp.counter()), expect, "{clock:?} at {now_millis}");
        assert_eq!(ticked.greatest(), stamp);
    }

    #[test]
    fn a_tick_is_the_wall_time_or_else_the_next_stamp() {
        check_tick(HybridClock::default(), NOON, (NOON, 0));
        check_tick(at(NOON - 1, 7), NOON, (NOON, 0));
        check_tick(at(NOON, 7), NOON, (NOON, 8));
        check_tick(at(NOON, 7), NOON - 5000, (NOON, 8));
        check_tick(at(NOON, u16::MAX), NOON, (NOON + 1, 0));
        check_tick(at(NOON, u16::MAX), NOON + 1, (NOON + 1, 0));
        check_tick(at(NOON, 7), i64::MIN, (NOON, 8));
        check_tick(at(NOON, 7), i64::MAX, (Stamp::MAX.millis(), 0));
    }

    #[test]
    fn a_clock_at_the_end_of_time_says_so_and_restarts() {
        let mut clock = HybridClock::restarting_at(Stamp::MAX);
        assert_eq!(clock.tick(NOON), Err(ClockExhausted));
        assert_eq!(clock.greatest(), Stamp::MAX);
        clock = HybridClock::restarting_at(Stamp::from_millis(NOON).unwrap());
        assert_eq!(clock.tick(NOON).unwrap().counter(), 1);
    }

    #[test]
    fn a_received_stamp_beyond_the_allowed_drift_does_not_advance_the_clock() {
        let mut clock = at(NOON, 0);
        let received = |ahead_ms| Stamp::new(NOON + ahead_ms, 5).unwrap();
        assert!(!clock.merge(received(60_001), NOON, 60_000));
        assert_eq!(clock, at(NOON, 0));
        assert!(clock.merge(received(60_000), NOON, 60_000));
        assert_eq!(clock, at(NOON + 60_000, 5));
        assert!(clock.merge(received(-1), NOON, 60_000));
        assert_eq!(clock, at(NOON + 60_000, 5));
        assert!(clock.merge(Stamp::MAX, i64::MAX, u64::MAX));
    }

    #[test]
    fn whoever_has_seen_an_event_writes_later_than_it() {
        let mut clock = at(NOON, 0);
        let received = Stamp::new(NOON + 40, u16::MAX).unwrap();
        clock.merge(received, NOON, 60_000);
        assert!(clock.tick(NOON + 40).unwrap() > received);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Tick { now_millis: i64 },
        FailedTick { now_millis: i64 },
        Merge { received: Stamp, server_now_millis: i64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        // Few milliseconds and counters near their end, so that equal times and overflows are common.
        let millis = NOON..NOON + 20;
        let stamp = (NOON..NOON + 40, prop_oneof![0..3_u16, u16::MAX - 2..=u16::MAX])
            .prop_map(|(millis, counter)| Stamp::new(millis, counter).unwrap());
        prop_oneof![
            millis.clone().prop_map(|now_millis| Step::Tick { now_millis }),
            millis.clone().prop_map(|now_millis| Step::FailedTick { now_millis }),
            (stamp, millis)
                .prop_map(|(received, server_now_millis)| Step::Merge { received, server_now_millis }),
        ]
    }

    proptest! {
        #[test]
        fn the_clock_never_goes_back_and_never_runs_away(steps in prop::collection::vec(step(), 1..200)) {
            const MAX_AHEAD_MS: u64 = 10;
            let mut clock = HybridClock::default();
            // The latest wall time and believable stamp, and how often a counter was used up.
            let (mut ceiling_millis, mut overflows) = (NOON, 0);
            for step in steps {
                let before = clock.greatest();
                match step {
                    Step::Tick { now_millis } => {
                        let stamp = clock.tick(now_millis).unwrap();
                        prop_assert!(stamp > before, "ticks are strictly increasing");
                        ceiling_millis = ceiling_millis.max(now_millis);
                        overflows += i64::from(before.counter() == u16::MAX);
                    }
                    Step::FailedTick { now_millis } => {
                        let mut ahead = clock;
                        ahead.tick(now_millis).unwrap();
                        prop_assert_eq!(clock.greatest(), before, "a dropped copy leaves no trace");
                    }
                    Step::Merge { received, server_now_millis } => {
                        if clock.merge(received, server_now_millis, MAX_AHEAD_MS) {
                            prop_assert!(received.millis() <= server_now_millis + MAX_AHEAD_MS as i64);
                            ceiling_millis = ceiling_millis.max(received.millis());
                            prop_assert!(clock.greatest() >= received);
                        } else {
                            prop_assert_eq!(clock.greatest(), before);
                        }
                    }
                }
                prop_assert!(clock.greatest() >= before, "never back");
                prop_assert!(clock.greatest().millis() <= ceiling_millis + overflows, "never away");
            }
        }
    }
}
