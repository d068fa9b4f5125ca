//! The server's clock, which services get as an argument: what time it is, and how long a retention day lasts. The one
//! place that asks the system for the time of day.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use tidelog_events::protocol::UtcTime;

use crate::config::{ConfigError, positive};

const DAY_SECONDS: u64 = 86_400;
const DAY_HOURS: u64 = 24;

/// `[clock]`, see `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockConfig {
    /// Whether days may have another length.
    pub development: bool,
    /// Seconds of a retention day.
    #[serde(deserialize_with = "positive")]
    pub day_seconds: u64,
}

/// What time it is, and how long a retention day lasts. Clones share the time.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
    day_seconds: u64,
}

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(ManualTime),
}

impl Clock {
    /// The system's time, and days of 24 hours.
    pub fn system() -> Self {
        Self { source: Source::System, day_seconds: DAY_SECONDS }
    }

    /// The system's time, and days as configured.
    ///
    /// # Errors
    /// The days are shortened or lengthened outside of development.
    pub fn from_config(config: &ClockConfig) -> Result<Self, ConfigError> {
        let &ClockConfig { development, day_seconds } = config;
        if day_seconds != DAY_SECONDS && !development {
            return Err(ConfigError::Contradiction(format!(
                "`clock.day_seconds` is {day_seconds}, but a day has {DAY_SECONDS} seconds: shorter days let data \
                 go that others still count on. For tests, set `clock.development = true` as well"
            )));
        }
        Ok(Self { source: Source::System, day_seconds })
    }

    /// For tests: a time that stands still until it is moved, and days of 24 hours.
    pub fn manual(now: UtcTime) -> (Self, ManualTime) {
        let time = ManualTime { now_ms: Arc::new(AtomicI64::new(now.0)) };
        (Self { source: Source::Manual(time.clone()), day_seconds: DAY_SECONDS }, time)
    }

    /// The time of day, in UTC milliseconds.
    pub fn now(&self) -> UtcTime {
        match &self.source {
            Source::System => system_time(),
            Source::Manual(time) => UtcTime(time.now_ms.load(Ordering::SeqCst)),
        }
    }

    /// How long so many retention days last.
    pub fn days(&self, days: u64) -> Duration {
        Duration::from_secs(self.day_seconds.saturating_mul(days))
    }

    /// How long so many hours of a retention day last, each a 24th of it.
    pub fn hours(&self, hours: u64) -> Duration {
        let day_ms = self.day_seconds.saturating_mul(1000);
        Duration::from_millis(day_ms.saturating_mul(hours) / DAY_HOURS)
    }
}

/// The time of a [`Clock::manual`]. Clones move the same one.
#[derive(Debug, Clone)]
pub struct ManualTime {
    now_ms: Arc<AtomicI64>,
}

impl ManualTime {
    /// Sets it, forward or back.
    pub fn set(&self, now: UtcTime) {
        self.now_ms.store(now.0, Ordering::SeqCst);
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.now_ms.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the others ask")]
fn system_time() -> UtcTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcTime(since_epoch.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    /// The clock that these variables configure, or the error and its cause as an operator reads them.
    fn configured(pairs: &[(&str, &str)]) -> Result<Clock, String> {
        let environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::load(&Sources { file: None, environment: environment.collect() }).unwrap();
        let section = config.section::<ClockConfig>("clock");
        section.and_then(|section| Clock::from_config(&section)).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error} {}", cause.unwrap_or_default())
        })
    }

    #[test]
    fn days_have_another_length_in_development_only() {
        const DEVELOPMENT: (&str, &str) = ("TIDELOG__CLOCK__DEVELOPMENT", "true");
        const SHORT: (&str, &str) = ("TIDELOG__CLOCK__DAY_SECONDS", "48");
        let day = |pairs: &[_]| configured(pairs).map(|clock| (clock.days(1), clock.hours(1)));
        let seconds = |day, hour| Ok((Duration::from_secs(day), Duration::from_secs(hour)));
        assert_eq!(day(&[]), seconds(86_400, 3600));
        assert_eq!(day(&[DEVELOPMENT]), seconds(86_400, 3600));
        assert_eq!(day(&[DEVELOPMENT, SHORT]), seconds(48, 2));
        let refused = day(&[SHORT]).unwrap_err();
        assert!(refused.contains("`clock.day_seconds` is 48"), "{refused}");
        assert!(refused.contains("`clock.development = true`"), "{refused}");
        let nothing = day(&[DEVELOPMENT, ("TIDELOG__CLOCK__DAY_SECONDS", "0")]).unwrap_err();
        assert!(nothing.contains("clock.day_seconds") && nothing.contains("greater than 0"), "{nothing}");
    }

    #[test]
    fn days_and_hours_are_counted_and_never_overflow() {
        let clock = Clock { source: Source::System, day_seconds: 12 };
        assert_eq!((clock.days(0), clock.hours(0)), (Duration::ZERO, Duration::ZERO));
        assert_eq!((clock.days(30), clock.hours(36)), (Duration::from_mins(6), Duration::from_secs(18)));
        assert_eq!(clock.hours(1), Duration::from_millis(500));
        assert!(
            clock.days(u64::MAX) > clock.days(1_000_000) && clock.hours(u64::MAX) > clock.days(1_000_000)
        );
    }

    #[test]
    fn a_manual_clock_stands_until_it_is_moved() {
        let (clock, time) = Clock::manual(UtcTime(1000));
        let clone = clock.clone();
        assert_eq!((clock.now(), clock.days(1)), (UtcTime(1000), Duration::from_hours(24)));
        time.advance(Duration::from_millis(234));
        assert_eq!((clock.now(), clone.now()), (UtcTime(1234), UtcTime(1234)));
        time.set(UtcTime(-5));
        assert_eq!(clone.now(), UtcTime(-5));
    }
}
