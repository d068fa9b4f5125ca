//! `[broker]` of the configuration.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

use super::servers::{self, UrlFault};
use crate::config::{Secret, at_most, percent, positive};

/// How to reach the broker, and how its streams are set up.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerConfig {
    /// Servers, comma-separated; may hold a password.
    pub url: Secret,
    /// Credentials file; empty: none.
    pub credentials_file: String,
    /// Certificates of the authorities that sign the servers'; empty: the system's.
    pub tls_ca_file: String,
    /// Certificate by which the servers know us; empty: none.
    pub tls_certificate_file: String,
    /// Its key.
    pub tls_key_file: String,
    /// First token of every subject.
    #[serde(deserialize_with = "subject_token")]
    pub subject_prefix: String,
    /// Put before the stream names.
    #[serde(deserialize_with = "name_prefix")]
    pub stream_prefix: String,
    /// Copies of each stream, 1 to 5.
    #[serde(deserialize_with = "at_most::<_, 5>")]
    pub replicas: u64,
    /// Hours that PUSH keeps a message.
    #[serde(deserialize_with = "positive")]
    pub push_max_age_hours: u64,
    /// Bytes of PUSH.
    #[serde(deserialize_with = "positive")]
    pub push_max_bytes: i64,
    /// Percent of `push_max_bytes` above which committed messages are purged.
    #[serde(deserialize_with = "percent")]
    pub push_trim_percent: u64,
    /// Hours that LOG keeps a message.
    #[serde(deserialize_with = "positive")]
    pub log_max_age_hours: u64,
    /// Bytes of LOG.
    #[serde(deserialize_with = "positive")]
    pub log_max_bytes: i64,
    /// Batches that ingest's replicas together may hold.
    #[serde(deserialize_with = "positive")]
    pub max_ack_pending: u32,
    /// Seconds until an unacknowledged batch is handed out again.
    #[serde(deserialize_with = "positive")]
    pub ack_wait_seconds: u64,
    /// Publishes of one process that may await their acknowledgement.
    #[serde(deserialize_with = "window")]
    pub publish_window: usize,
    /// Milliseconds that a publish may take, retries included.
    #[serde(deserialize_with = "positive")]
    pub publish_timeout_ms: u64,
    /// Seconds between pings; a silent connection is noticed after about two.
    #[serde(deserialize_with = "positive")]
    pub ping_interval_seconds: u64,
}

impl BrokerConfig {
    /// The servers.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn servers(&self) -> Result<Vec<async_nats::ServerAddr>, UrlFault> {
        servers::parsed(self.url.expose()).map(|(addresses, _)| addresses)
    }

    /// The name of the stream of pushed batches.
    pub fn push_stream(&self) -> String {
        format!("{}PUSH", self.stream_prefix)
    }

    /// The name of the stream of committed segments.
    pub fn log_stream(&self) -> String {
        format!("{}LOG", self.stream_prefix)
    }

    /// How long until an unacknowledged batch is handed out again.
    pub fn ack_wait(&self) -> Duration {
        Duration::from_secs(self.ack_wait_seconds)
    }

    /// How long a publish may take, retries included.
    pub fn publish_timeout(&self) -> Duration {
        Duration::from_millis(self.publish_timeout_ms)
    }
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn name_prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if is_name(&text) { Ok(text) } else { Err(D::Error::custom("may hold only A-Z a-z 0-9 - _")) }
}

fn subject_token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = name_prefix(deserializer)?;
    if text.is_empty() { Err(D::Error::custom("must not be empty")) } else { Ok(text) }
}

fn window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    // Each waiting publish holds its payload in memory.
    at_most::<D, 1_000_000>(deserializer).map(|value| value as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Config, ConfigError, Sources};

    fn broker_with(variable: &str, value: &str) -> Result<BrokerConfig, ConfigError> {
        let environment = BTreeMap::from([(variable.to_owned(), value.to_owned())]);
        Config::load(&Sources { file: None, environment })?.section("broker")
    }

    #[test]
    fn a_prefix_that_is_no_name_is_refused() {
        for bad in ["", "a.b", "a b", "a*", ">", "é"] {
            assert!(broker_with("TIDELOG__BROKER__SUBJECT_PREFIX", bad).is_err(), "{bad:?}");
        }
        assert!(broker_with("TIDELOG__BROKER__STREAM_PREFIX", "A.B").is_err());
        let config = broker_with("TIDELOG__BROKER__STREAM_PREFIX", "EU_").unwrap();
        assert_eq!((config.push_stream(), config.log_stream()), ("EU_PUSH".to_owned(), "EU_LOG".to_owned()));
    }

    #[test]
    fn numbers_out_of_bounds_are_refused() {
        for (key, value) in [
            ("REPLICAS", "0"),
            ("REPLICAS", "6"),
            ("PUSH_TRIM_PERCENT", "101"),
            ("PUBLISH_WINDOW", "0"),
            ("PUSH_MAX_BYTES", "-1"),
            ("PING_INTERVAL_SECONDS", "0"),
        ] {
            assert!(broker_with(&format!("TIDELOG__BROKER__{key}"), value).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn a_password_in_the_url_does_not_show_in_debug_output() {
        let config = broker_with("TIDELOG__BROKER__URL", "nats://me:hunter2@broker:4222").unwrap();
        assert_eq!(config.url.expose(), "nats://me:hunter2@broker:4222");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
