//! When a live connection is made. Pure: times are milliseconds of the device's monotonic clock, given as arguments,
//! and randomness is injected.
//!
//! ```text
//! sync ──► connected ───── lost ──► sync ──► a random part of the backoff ──► connected …
//!                            │
//!                            └ the backoff doubles, up to a minute; after a connection that has held, it is halved
//! ```

use std::time::Duration;

/// The shortest backoff.
const BACKOFF_MIN_MS: i64 = 1000;
/// The longest backoff.
const BACKOFF_MAX_MS: i64 = 60_000;
/// A connection that was there for so long has held.
const HELD_MS: i64 = 60_000;
/// How long a server is not asked again that has no live connections, and up to twice that.
const UNAVAILABLE_MS: i64 = 600_000;

/// How a live connection, or the attempt to make one, ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sync) enum Ended {
    /// This device has ended it.
    Stopped,
    /// It was closed, lost or refused.
    Lost {
        /// How long the server asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The token holds no more.
    Expired {
        /// The token.
        token: String,
    },
    /// What came does not continue what is stored.
    Broken,
    /// The server has no live connections.
    Unavailable,
}

/// Says when the next one is made.
#[derive(Debug)]
pub(in crate::sync) struct Reconnect {
    random: fastrand::Rng,
    backoff_ms: i64,
    not_before_ms: i64,
    /// Whether the space was synced since the last one ended: it begins where a sync has ended, and what is refused is
    /// refused to the sync.
    synced: bool,
    connected_ms: Option<i64>,
}

impl Reconnect {
    pub(in crate::sync) fn new(now_ms: i64, random: fastrand::Rng) -> Self {
        Self { random, backoff_ms: BACKOFF_MIN_MS, not_before_ms: now_ms, synced: false, connected_ms: None }
    }

    /// When it is made, which may be past; `None` until the space is synced.
    pub(in crate::sync) fn due_ms(&self) -> Option<i64> {
        self.synced.then_some(self.not_before_ms)
    }

    /// The space was synced.
    pub(in crate::sync) fn synced(&mut self) {
        self.synced = true;
    }

    /// It is there.
    pub(in crate::sync) fn connected(&mut self, now_ms: i64) {
        self.connected_ms = Some(now_ms);
    }

    /// It is there no more, or was not made.
    pub(in crate::sync) fn ended(&mut self, now_ms: i64, ended: &Ended) {
        self.synced = false;
        let held = self.connected_ms.take().is_some_and(|since| now_ms.saturating_sub(since) >= HELD_MS);
        let wait_ms = match ended {
            Ended::Stopped => return,
            Ended::Unavailable => UNAVAILABLE_MS + self.random.i64(0..UNAVAILABLE_MS),
            Ended::Lost { retry_after } => {
                let asked_ms =
                    retry_after.map_or(0, |after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
                self.back_off(held).max(asked_ms)
            }
            Ended::Expired { .. } | Ended::Broken => self.back_off(held),
        };
        self.not_before_ms = now_ms.saturating_add(wait_ms);
    }

    fn back_off(&mut self, held: bool) -> i64 {
        let next_ms = if held { self.backoff_ms / 2 } else { self.backoff_ms * 2 };
        self.backoff_ms = next_ms.clamp(BACKOFF_MIN_MS, BACKOFF_MAX_MS);
        self.random.i64(0..self.backoff_ms)
    }

    /// The network has come back: another one, perhaps.
    pub(in crate::sync) fn network_back(&mut self, now_ms: i64) {
        self.backoff_ms = BACKOFF_MIN_MS;
        self.not_before_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: Ended = Ended::Lost { retry_after: None };

    fn reconnect(seed: u64) -> Reconnect {
        Reconnect::new(0, fastrand::Rng::with_seed(seed))
    }

    #[test]
    fn each_begins_behind_a_sync() {
        let mut reconnect = reconnect(1);
        assert_eq!(reconnect.due_ms(), None);
        reconnect.synced();
        assert_eq!(reconnect.due_ms(), Some(0));
        reconnect.connected(10);
        reconnect.ended(20, &LOST);
        assert_eq!(reconnect.due_ms(), None);
        reconnect.synced();
        assert!((20..2020).contains(&reconnect.due_ms().unwrap()));
    }

    #[test]
    fn what_fails_doubles_the_backoff_to_a_minute_and_what_has_held_halves_it() {
        let mut reconnect = reconnect(1);
        let mut backoffs = Vec::new();
        for _ in 0..7 {
            reconnect.ended(0, &LOST);
            backoffs.push(reconnect.backoff_ms);
        }
        for _ in 0..7 {
            reconnect.connected(0);
            reconnect.ended(HELD_MS, &LOST);
            backoffs.push(reconnect.backoff_ms);
        }
        let up = [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000];
        let down = [30_000, 15_000, 7500, 3750, 1875, 1000, 1000];
        assert_eq!(backoffs, [up, down].concat());
        // A gateway that takes connections and drops them is not asked more often for that.
        reconnect.connected(0);
        reconnect.ended(HELD_MS - 1, &LOST);
        assert_eq!(reconnect.backoff_ms, 2000);
    }

    #[test]
    fn devices_that_lose_it_together_do_not_come_back_together() {
        let (mut early, mut late) = (0, 0);
        for seed in 0..1000 {
            let mut reconnect = reconnect(seed);
            reconnect.ended(0, &LOST);
            reconnect.synced();
            let due = reconnect.due_ms().unwrap();
            assert!((0..2000).contains(&due), "{due}");
            early += u32::from(due < 200);
            late += u32::from(due >= 1800);
        }
        assert!((60..140).contains(&early) && (60..140).contains(&late), "{early} {late}");
    }

    #[test]
    fn the_server_is_left_alone_as_long_as_it_asks_and_one_without_live_connections_for_long() {
        let due = |ended: Ended| {
            let mut reconnect = reconnect(1);
            reconnect.ended(0, &ended);
            reconnect.synced();
            reconnect.due_ms().unwrap()
        };
        assert_eq!(due(Ended::Lost { retry_after: Some(Duration::from_secs(90)) }), 90_000);
        assert_eq!(due(Ended::Lost { retry_after: Some(Duration::MAX) }), i64::MAX);
        assert!((600_000..1_200_000).contains(&due(Ended::Unavailable)));
        assert_eq!(due(Ended::Stopped), 0);
    }

    #[test]
    fn a_network_that_has_come_back_is_another_one() {
        let mut reconnect = reconnect(1);
        reconnect.ended(0, &Ended::Unavailable);
        reconnect.network_back(100);
        reconnect.synced();
        assert_eq!(reconnect.due_ms(), Some(100));
        assert_eq!(reconnect.backoff_ms, BACKOFF_MIN_MS);
    }
}
