//! When a space is synced next. Pure: times are milliseconds of the device's monotonic clock, given as arguments, and
//! randomness is injected.
//!
//! ```text
//!                  sync      sync       fail         fail              sync
//! time        ──────●─────────●──────────✗───·········✗──────·········──●────────────►
//! interval      30 s    30 s       30 s       60 s         120 s            60 s …
//!                                      somewhere in it, by chance        all of it
//!
//! recorded            r r  r                       250 ms after the last, 1 s after the first at most:
//!                     └────┴──► due                and while syncing fails, 5 s after the last attempt
//! Retry-After                        ✗━━━━━━━━━━━┫ nothing is due before its end
//! live                  ●━━━━━━━━━━━━━━━━━━━━━━┫·●    the log comes by itself: a sync every 5 minutes is enough;
//!                       └─ 300 s ─►            └ lost: within 3 s, by chance
//! ```
//!
//! After a failure the next attempt is drawn evenly from the whole interval ("full jitter": M. Brooker, "Exponential
//! Backoff And Jitter", AWS Architecture Blog, 2015), so that devices that failed together do not come back together.

use std::time::Duration;

/// The interval while all is well, and the shortest.
pub const INTERVAL_MIN_MS: i64 = 30_000;
/// The longest interval.
pub const INTERVAL_MAX_MS: i64 = 300_000;
/// The interval while a live connection brings the log.
pub const LIVE_INTERVAL_MS: i64 = 300_000;
/// Within what time there is a sync after a live connection was lost: a gateway that ends drops thousands at once.
pub const LIVE_LOST_MAX_MS: i64 = 3000;
/// How long after an event others are waited for, to go with it.
pub const DEBOUNCE_MS: i64 = 250;
/// How long the first event of a burst waits at most.
pub const BURST_MAX_MS: i64 = 1000;
/// How long after an attempt a recorded event makes another, while they fail.
pub const FAILING_GAP_MS: i64 = 5000;

/// How the last attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Well,
    /// It may do better the next time.
    Failed,
    /// For a reason that neither time nor events change: somebody has to do something about it.
    Refused,
}

/// Says when a space is due.
#[derive(Debug)]
pub struct Scheduler {
    random: fastrand::Rng,
    interval_ms: i64,
    /// When it is due, whether or not anything is recorded.
    routine_ms: i64,
    /// The first and the last event that was recorded since the last attempt began.
    burst: Option<(i64, i64)>,
    attempted_ms: Option<i64>,
    last: Last,
    live: bool,
    /// Before this the server wants no request.
    not_before_ms: i64,
    online: bool,
    paused: bool,
}

impl Scheduler {
    /// Due at once: nobody knows what happened while the app did not run.
    pub fn new(now_ms: i64, random: fastrand::Rng) -> Self {
        Self {
            random,
            interval_ms: INTERVAL_MIN_MS,
            routine_ms: now_ms,
            burst: None,
            attempted_ms: None,
            last: Last::Well,
            live: false,
            not_before_ms: now_ms,
            online: true,
            paused: false,
        }
    }

    /// When the space is due, which may be past; `None` while it is offline or paused.
    pub fn due_ms(&self) -> Option<i64> {
        let runs = self.online && !self.paused;
        runs.then(|| self.burst_due_ms().map_or(self.routine_ms, |due| due.min(self.routine_ms)))
            .map(|due| due.max(self.not_before_ms))
    }

    fn burst_due_ms(&self) -> Option<i64> {
        let (first, last) = self.burst?;
        let due = (last + DEBOUNCE_MS).min(first + BURST_MAX_MS);
        match self.attempted_ms {
            Some(_) if self.last == Last::Refused => None,
            Some(attempted) if self.last == Last::Failed => Some(due.max(attempted + FAILING_GAP_MS)),
            _ => Some(due),
        }
    }

    /// Before this the server wants no request, whatever happens.
    pub fn not_before_ms(&self) -> i64 {
        self.not_before_ms
    }

    /// Whether the device has a network, as far as the app says.
    pub fn is_online(&self) -> bool {
        self.online
    }

    /// Whether the app has paused syncing.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// An event was recorded.
    pub fn recorded(&mut self, now_ms: i64) {
        let first = self.burst.map_or(now_ms, |(first, _)| first);
        self.burst = Some((first, now_ms));
    }

    /// An attempt begins: it takes along what is recorded by now.
    pub fn started(&mut self, now_ms: i64) {
        self.burst = None;
        self.attempted_ms = Some(now_ms);
        self.routine_ms = now_ms + self.interval_ms();
    }

    /// The interval while all is well.
    fn interval_ms(&self) -> i64 {
        if self.live { LIVE_INTERVAL_MS } else { self.interval_ms }
    }

    /// The attempt has ended well.
    pub fn succeeded(&mut self, now_ms: i64) {
        self.last = Last::Well;
        self.interval_ms = (self.interval_ms / 2).max(INTERVAL_MIN_MS);
        self.routine_ms = now_ms + self.interval_ms();
    }

    /// The attempt has failed; the server may have said how long to wait.
    pub fn failed(&mut self, now_ms: i64, retry_after: Option<Duration>) {
        self.last = Last::Failed;
        self.interval_ms = (self.interval_ms * 2).min(INTERVAL_MAX_MS);
        self.routine_ms = now_ms + self.random.i64(0..self.interval_ms);
        if let Some(after) = retry_after {
            let after_ms = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
            self.not_before_ms = self.not_before_ms.max(now_ms.saturating_add(after_ms));
        }
    }

    /// The attempt was refused for a reason that lasts: nothing is tried but at the longest interval, in its later half,
    /// or when the app asks for it.
    pub fn refused(&mut self, now_ms: i64) {
        self.last = Last::Refused;
        self.interval_ms = INTERVAL_MAX_MS;
        self.routine_ms = now_ms + self.random.i64(INTERVAL_MAX_MS / 2..INTERVAL_MAX_MS);
    }

    /// A live connection brings the log from now on.
    pub fn went_live(&mut self, now_ms: i64) {
        self.live = true;
        if self.last == Last::Well {
            self.routine_ms = now_ms + LIVE_INTERVAL_MS;
        }
    }

    /// It does no more, so that the device asks again: soon, with all others that had the same connection to lose.
    pub fn lost_live(&mut self, now_ms: i64) {
        if std::mem::take(&mut self.live) && self.last != Last::Refused {
            self.routine_ms = self.routine_ms.min(now_ms + self.random.i64(0..LIVE_LOST_MAX_MS));
        }
    }

    /// Something is amiss that a sync finds out or repairs.
    pub fn wanted(&mut self, now_ms: i64) {
        if self.last == Last::Well {
            self.routine_ms = self.routine_ms.min(now_ms);
        }
    }

    /// The app has paused syncing or gone offline during the attempt: it goes on as soon as it may.
    pub fn interrupted(&mut self, now_ms: i64) {
        self.routine_ms = now_ms;
    }

    /// The app says whether there is a network. A network that has come back is used at once.
    pub fn set_online(&mut self, online: bool, now_ms: i64) {
        if online && !self.online {
            self.last = Last::Well;
            self.interval_ms = INTERVAL_MIN_MS;
            self.routine_ms = now_ms;
        }
        self.online = online;
    }

    /// The app pauses syncing, or lets it go on; what has become due meanwhile is due.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }
}

#[cfg(test)]
mod tests;
