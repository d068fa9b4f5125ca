//! Sections that several services read, and the bounds that sections put on their values.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error, IntoDeserializer, value};
use serde::{Deserialize, Deserializer};
use tidelog_events::limits::{
    MAX_BATCH_EVENTS, MAX_BODY_BYTES, MAX_LINE_BYTES, MAX_PULL_EVENTS, MAX_READ_ENTITIES, MAX_WAIT_SECONDS,
};

/// Milliseconds that a stamp may lie ahead of the server's clock, at most.
const MAX_CLOCK_AHEAD_MS: u64 = 60_000;

/// `[schema]`: the app's schema file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaConfig {
    /// The file, YAML or JSON.
    pub file: PathBuf,
    /// How often it is looked at, in milliseconds.
    #[serde(deserialize_with = "positive")]
    pub watch_interval_ms: u64,
}

impl SchemaConfig {
    /// How often the file is looked at.
    pub fn watch_interval(&self) -> Duration {
        Duration::from_millis(self.watch_interval_ms)
    }
}

/// `[limits]`: what an operator may tighten, never loosen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Events of a batch.
    #[serde(deserialize_with = "at_most::<_, { MAX_BATCH_EVENTS as u64 }>")]
    pub batch_events: u64,
    /// Bytes of a push body, decoded.
    #[serde(deserialize_with = "at_most::<_, { MAX_BODY_BYTES as u64 }>")]
    pub body_bytes: u64,
    /// Bytes of one line, its `\n` not counted.
    #[serde(deserialize_with = "at_most::<_, { MAX_LINE_BYTES as u64 }>")]
    pub line_bytes: u64,
    /// Events of one pull.
    #[serde(deserialize_with = "at_most::<_, MAX_PULL_EVENTS>")]
    pub pull_events: u64,
    /// Entities of one page.
    #[serde(deserialize_with = "at_most::<_, MAX_READ_ENTITIES>")]
    pub read_entities: u64,
    /// Seconds that a pull may wait for news.
    #[serde(deserialize_with = "at_most::<_, MAX_WAIT_SECONDS>")]
    pub wait_seconds: u64,
    /// Milliseconds that a stamp may lie ahead of the server's clock.
    #[serde(deserialize_with = "at_most::<_, MAX_CLOCK_AHEAD_MS>")]
    pub max_clock_ahead_ms: u64,
}

/// `[retention]`: how much of each log stays for readers as events.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionConfig {
    /// Days that events stay in the log after they were received.
    pub events_days: u64,
    /// Events that stay in the log of a space however old they are.
    pub keep_events: u64,
    /// A space is pruned when so many events can go at once.
    #[serde(deserialize_with = "positive")]
    pub prune_events: u64,
    /// A device that was heard of within so many days is waited for where it is behind.
    pub active_days: u64,
    /// Days beyond `events_days` that it is waited for.
    pub patience_days: u64,
}

/// A value that never shows in logs: a URL with a password, a signing key.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(value: T) -> Self {
        Self(value.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(empty)" } else { "(secret)" })
    }
}

/// For `#[serde(deserialize_with)]`: an address to listen on.
pub fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = |_| D::Error::custom("it must be an address and a port, such as 127.0.0.1:8080 or [::]:8080");
    text.parse().map_err(wrong)
}

/// For `#[serde(deserialize_with)]`: an address to listen on, or an empty text for none.
pub fn optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong =
        |_| D::Error::custom("it must be an address and a port, such as 127.0.0.1:8081, or empty for none");
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(wrong) }
}

/// For `#[serde(deserialize_with)]`: one of a few words. The error lists them.
pub fn one_of<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    T::deserialize(text.as_str().into_deserializer()).map_err(|error: value::Error| D::Error::custom(error))
}

/// For `#[serde(deserialize_with)]`: a number above zero.
pub fn positive<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + PartialOrd + Default,
{
    let value = T::deserialize(deserializer)?;
    if value > T::default() { Ok(value) } else { Err(D::Error::custom("must be greater than 0")) }
}

/// For `#[serde(deserialize_with)]`: a number from 1 to `MAX`.
pub fn at_most<'de, D: Deserializer<'de>, const MAX: u64>(deserializer: D) -> Result<u64, D::Error> {
    let value = u64::deserialize(deserializer)?;
    if (1..=MAX).contains(&value) {
        Ok(value)
    } else {
        Err(D::Error::custom(format_args!("{value} is out of bounds: it must be from 1 to {MAX}")))
    }
}

/// For `#[serde(deserialize_with)]`: a percentage from 1 to 100.
pub fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    at_most::<D, 100>(deserializer)
}
