//! The sections `[gateway]` and `[auth]` of the configuration; every key is documented in `config/default.toml`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use tidelog_runtime::config::{Secret, positive};

/// See `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Address of the public API.
    pub listen: SocketAddr,
    /// Address of the operations port.
    pub operations_listen: SocketAddr,
    /// A push that is not committed by then is answered 202.
    pub commit_wait_ms: u64,
    /// A body that has not arrived whole by then is refused.
    pub body_timeout_ms: u64,
    /// Bytes of push bodies in work at once.
    pub in_flight_bytes: usize,
    /// Stored bytes of one pull answer, and of one page of entities.
    pub pull_bytes: u64,
    /// Requests that may wait for news at once.
    pub waiting_pulls: usize,
    /// How long a read waits for the projector.
    pub at_least_wait_ms: u64,
    /// Requests that may wait for the projector at once.
    pub waiting_reads: usize,
    /// Requests that may read the archive at once.
    #[serde(deserialize_with = "positive")]
    pub archive_reads: usize,
    /// How long stopping may take.
    pub drain_seconds: u64,
}

impl GatewayConfig {
    /// How long a push waits for its receipt.
    pub fn commit_wait(&self) -> Duration {
        Duration::from_millis(self.commit_wait_ms)
    }

    /// How long a read waits for the projector.
    pub fn at_least_wait(&self) -> Duration {
        Duration::from_millis(self.at_least_wait_ms)
    }

    /// How long a body may take to arrive.
    pub fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }
}

/// See `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Secret of HS256 tokens.
    pub hs256_secret: Secret,
    /// Tolerance for `exp` and `nbf`.
    pub leeway_seconds: u64,
}
