//! The section `[ingest]` of the configuration; every key is documented in `config/default.toml`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

/// See `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestConfig {
    /// Address of the operations port.
    pub operations_listen: SocketAddr,
    /// Batches of one transaction.
    pub transaction_batches: usize,
    /// Bytes of them, decoded.
    pub transaction_bytes: usize,
    /// Bytes of batches, decoded, that a replica holds at once.
    pub in_hand_bytes: usize,
    /// How long a batch waits for its predecessor, from its publication on.
    pub gap_wait_ms: u64,
    /// Replicas that share the consumer, at most.
    pub max_replicas: usize,
    /// LOG messages that may wait for the broker.
    pub announce_queue: usize,
    /// How often PUSH's size is looked at.
    pub trim_interval_ms: u64,
    /// How often quarantine is searched for what the schema accepts by now.
    pub release_interval_seconds: u64,
    /// How long stopping may take.
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
