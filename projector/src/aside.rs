//! Spaces that cannot be folded stand aside for a while, longer each time, so that they stop nobody. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use tidelog_events::id::SpaceId;
use tokio::time::Instant;

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// The spaces that stand aside, or did until lately.
#[derive(Debug, Default)]
pub(crate) struct Aside(BTreeMap<SpaceId, Failed>);

#[derive(Debug)]
struct Failed {
    pause: Duration,
    until: Instant,
}

impl Aside {
    /// Puts a space aside; returns for how long.
    pub(crate) fn put(&mut self, space: &SpaceId, now: Instant) -> Duration {
        let longer = self.0.get(space).map(|failed| failed.pause * 2);
        let pause = longer.unwrap_or(PAUSE_MIN).min(PAUSE_MAX);
        self.0.insert(space.clone(), Failed { pause, until: now + pause });
        pause
    }

    /// Whether a space stands aside just now.
    pub(crate) fn holds(&self, space: &SpaceId, now: Instant) -> bool {
        self.0.get(space).is_some_and(|failed| failed.until > now)
    }

    /// Whether the last try of a space failed.
    pub(crate) fn has_failed(&self, space: &SpaceId) -> bool {
        self.0.contains_key(space)
    }

    /// The space could be folded: its next failure is a first one again.
    pub(crate) fn forgive(&mut self, space: &SpaceId) {
        self.0.remove(space);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_stands_aside_longer_each_time_until_it_is_forgiven() {
        let (mut aside, mut now) = (Aside::default(), Instant::now());
        let bad = SpaceId::new("bad").unwrap();
        assert!(!aside.holds(&bad, now));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pauses.push(aside.put(&bad, now));
            assert!(aside.holds(&bad, now));
            now += PAUSE_MAX;
            assert!(!aside.holds(&bad, now));
        }
        assert!(pauses.is_sorted() && pauses[0] == PAUSE_MIN && pauses[7] == PAUSE_MAX, "{pauses:?}");
        aside.forgive(&bad);
        assert_eq!(aside.put(&bad, now), PAUSE_MIN);
    }
}
