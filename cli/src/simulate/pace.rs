//! Lets simulated days take real time, so that a stack whose retention counts short days prunes meanwhile.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tidelog_events::id::SpaceId;
use tidelog_events::protocol::UtcTime;
use tokio::time::{Instant, sleep_until};

const DAY_MS: f64 = 86_400_000.0;

/// How long a simulated day takes at least.
#[derive(Debug)]
pub(super) struct Pace {
    day: Option<Duration>,
    /// The first request about each space: its simulated time, and when it was sent.
    firsts: Mutex<HashMap<SpaceId, (UtcTime, Instant)>>,
}

impl Pace {
    /// Without a length, days take as long as their requests.
    pub(super) fn new(day: Option<Duration>) -> Self {
        Self { day, firsts: Mutex::default() }
    }

    /// Waits until a request of that simulated time may be sent.
    pub(super) async fn keep(&self, space: &SpaceId, now: UtcTime) {
        if let Some(due) = self.due(space, now) {
            sleep_until(due).await;
        }
    }

    fn due(&self, space: &SpaceId, now: UtcTime) -> Option<Instant> {
        let day = self.day?;
        let mut firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, sent) = *firsts.entry(space.clone()).or_insert((now, Instant::now()));
        Some(sent + day.mul_f64((now.0 - first.0).max(0) as f64 / DAY_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_is_at_the_simulated_time_no_sooner_than_its_days_have_passed() {
        let (ann, bob) = (SpaceId::new("ann").unwrap(), SpaceId::new("bob").unwrap());
        let at_day = |day: i64| UtcTime(1_780_272_000_000 + day * 86_400_000);
        let pace = Pace::new(Some(Duration::from_secs(2)));
        let first = pace.due(&ann, at_day(3)).unwrap();
        assert_eq!(pace.due(&ann, at_day(10)).unwrap() - first, Duration::from_secs(14));
        assert_eq!(pace.due(&ann, at_day(1)).unwrap(), first);
        assert!(pace.due(&bob, at_day(10)).unwrap() < pace.due(&ann, at_day(10)).unwrap());
        assert_eq!(Pace::new(None).due(&ann, at_day(3)), None);
    }
}
