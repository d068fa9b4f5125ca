//! When the URL of keys is asked: decisions over what was asked before, by the service's clock.

use std::time::Duration;

use tidelog_events::protocol::UtcTime;

/// The configured times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// After a fetch that succeeded, the next one.
    pub(super) refresh: Duration,
    /// The least time between two fetches that somebody waits for, and after one that failed.
    pub(super) cooldown: Duration,
    /// What was fetched serves no longer than this.
    pub(super) stale: Duration,
}

/// The fetches so far. The first has the number 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fetches {
    pub(super) begun: u64,
    pub(super) begun_at: Option<UtcTime>,
    pub(super) finished: u64,
    /// Whether the last one that finished brought a document.
    pub(super) succeeded: bool,
}

/// What a token with an unknown key has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LookUp {
    /// Nothing: it was asked a moment ago, and whether that succeeded.
    Settled(bool),
    /// Wait until the fetch of that number has finished.
    Wait(u64),
    /// Have it fetched, and wait likewise.
    Ask(u64),
}

impl Schedule {
    /// Whether that much time has passed. A clock that was set back counts as such: nothing waits for it to catch up.
    fn passed(since: UtcTime, now: UtcTime, span: Duration) -> bool {
        age(since, now).is_none_or(|age| age >= span)
    }

    /// Whether keys that were fetched then still serve.
    pub(super) fn serves(&self, fetched_at: UtcTime, now: UtcTime) -> bool {
        age(fetched_at, now).is_none_or(|age| age <= self.stale)
    }

    /// Whether the next fetch is due by itself.
    pub(super) fn is_due(&self, fetches: &Fetches, now: UtcTime) -> bool {
        let span = if fetches.succeeded { self.refresh } else { self.cooldown };
        fetches.begun_at.is_none_or(|at| Self::passed(at, now, span))
    }

    /// Whether one is due if somebody waits for it.
    pub(super) fn may_be_asked(&self, fetches: &Fetches, now: UtcTime) -> bool {
        fetches.begun_at.is_none_or(|at| Self::passed(at, now, self.cooldown))
    }

    /// What a token with an unknown key has to do now.
    pub(super) fn look_up(&self, fetches: &Fetches, now: UtcTime) -> LookUp {
        if fetches.begun > fetches.finished {
            LookUp::Wait(fetches.begun)
        } else if self.may_be_asked(fetches, now) {
            LookUp::Ask(fetches.begun + 1)
        } else {
            LookUp::Settled(fetches.succeeded)
        }
    }
}

/// How long ago that was; `None` for what is to come.
fn age(since: UtcTime, now: UtcTime) -> Option<Duration> {
    u64::try_from(now.0.saturating_sub(since.0)).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        refresh: Duration::from_millis(300),
        cooldown: Duration::from_millis(30),
        stale: Duration::from_secs(1),
    };

    fn fetches(begun: u64, finished: u64, succeeded: bool) -> Fetches {
        Fetches { begun, begun_at: (begun > 0).then_some(UtcTime(1000)), finished, succeeded }
    }

    #[test]
    fn a_fetch_is_due_after_the_refresh_time_and_after_a_failure_sooner() {
        let check = |fetches: Fetches, now: i64, due: bool, asked: bool| {
            assert_eq!(SCHEDULE.is_due(&fetches, UtcTime(now)), due, "{fetches:?} at {now}");
            assert_eq!(SCHEDULE.may_be_asked(&fetches, UtcTime(now)), asked, "{fetches:?} at {now}");
        };
        check(fetches(0, 0, false), 0, true, true);
        check(fetches(1, 1, true), 1029, false, false);
        check(fetches(1, 1, true), 1030, false, true);
        check(fetches(1, 1, true), 1300, true, true);
        check(fetches(1, 1, false), 1029, false, false);
        check(fetches(1, 1, false), 1030, true, true);
        check(fetches(1, 1, true), 999, true, true);
    }

    #[test]
    fn who_waits_for_a_key_joins_the_fetch_under_way_and_is_told_of_one_a_moment_ago() {
        let check = |fetches: Fetches, now: i64, expect: LookUp| {
            assert_eq!(SCHEDULE.look_up(&fetches, UtcTime(now)), expect, "{fetches:?} at {now}");
        };
        check(fetches(0, 0, false), 0, LookUp::Ask(1));
        check(fetches(1, 0, false), 1000, LookUp::Wait(1));
        check(fetches(1, 0, false), 9000, LookUp::Wait(1));
        check(fetches(1, 1, true), 1001, LookUp::Settled(true));
        check(fetches(2, 2, false), 1029, LookUp::Settled(false));
        check(fetches(2, 2, false), 1030, LookUp::Ask(3));
        check(fetches(3, 2, true), 1001, LookUp::Wait(3));
    }

    #[test]
    fn fetched_keys_serve_until_the_stale_bound() {
        for (now, serves) in [(0, true), (1000, true), (2000, true), (2001, false), (i64::MAX, false)] {
            assert_eq!(SCHEDULE.serves(UtcTime(1000), UtcTime(now)), serves, "{now}");
        }
    }
}
