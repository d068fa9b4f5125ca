//! The section `[ingest]` of the configuration; every key is documented in `config/default.toml`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::{Config, ConfigError, address, check_common, positive};

/// Checks all that this service reads of a configuration. No file that it names is looked at.
///
/// # Errors
/// The first that is wrong.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    check_common(config)?;
    Clock::from_config(&config.section("clock")?)
        .map_err(|error| config.refused("clock.day_seconds", &error))?;
    config.section::<IngestConfig>("ingest")?;
    Ok(())
}

/// See `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestConfig {
    /// Address of the operations port.
    #[serde(deserialize_with = "address")]
    pub operations_listen: SocketAddr,
    /// Batches of one transaction.
    #[serde(deserialize_with = "positive")]
    pub transaction_batches: usize,
    /// Bytes of them, decoded.
    #[serde(deserialize_with = "positive")]
    pub transaction_bytes: usize,
    /// Bytes of batches, decoded, that a replica holds at once.
    #[serde(deserialize_with = "positive")]
    pub in_hand_bytes: usize,
    /// How long a batch waits for its predecessor, from its publication on.
    pub gap_wait_ms: u64,
    /// Replicas that share the consumer, at most.
    #[serde(deserialize_with = "positive")]
    pub max_replicas: usize,
    /// LOG messages that may wait for the broker.
    #[serde(deserialize_with = "positive")]
    pub announce_queue: usize,
    /// How often PUSH's size is looked at.
    #[serde(deserialize_with = "positive")]
    pub trim_interval_ms: u64,
    /// How often quarantine is searched for what the schema accepts by now.
    #[serde(deserialize_with = "positive")]
    pub release_interval_seconds: u64,
    /// How long stopping may take.
    #[serde(deserialize_with = "positive")]
    pub drain_seconds: u64,
}

impl IngestConfig {
    /// How long a batch waits for its predecessor.
    pub fn gap_wait(&self) -> Duration {
        Duration::from_millis(self.gap_wait_ms)
    }

    /// Batches that this replica may delay: its part of a tenth of what the broker hands out, so that waiting
    /// batches never fill the window through which everybody's come.
    pub fn delayed_batches_max(&self, max_ack_pending: u32) -> usize {
        max_ack_pending as usize / 10 / self.max_replicas.max(1)
    }

    /// Bytes of them: a part of what this replica holds, so that they leave room for the others.
    pub fn delayed_bytes_max(&self) -> usize {
        self.in_hand_bytes / 4
    }
}
