//! The sections `[gateway]`, `[live]`, `[admin]` and `[auth]` of the configuration; every key is documented in `config/default.toml`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use tidelog_runtime::config::{Secret, address, at_most, optional_address, positive};

use crate::client_version::{self, ClientVersion};

/// Ten minutes: who stops a gateway waits for it.
const DRAIN_DELAY_MAX_MS: u64 = 600_000;

/// See `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Address of the public API.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// Address of the operations port.
    #[serde(deserialize_with = "address")]
    pub operations_listen: SocketAddr,
    /// A push that is not committed by then is answered 202.
    pub commit_wait_ms: u64,
    /// A body that has not arrived whole by then is refused.
    pub body_timeout_ms: u64,
    /// Bytes of push bodies in work at once.
    pub in_flight_bytes: usize,
    /// Pushes under way at once.
    #[serde(deserialize_with = "positive")]
    pub in_flight_pushes: usize,
    /// Stored bytes of one pull answer, and of one page of entities.
    pub pull_bytes: u64,
    /// Bytes of pull answers under way at once.
    pub answer_bytes: usize,
    /// Requests that may wait for news at once.
    pub waiting_pulls: usize,
    /// How long a read waits for the projector.
    pub at_least_wait_ms: u64,
    /// Requests that may wait for the projector at once.
    pub waiting_reads: usize,
    /// Requests that may read the archive at once.
    #[serde(deserialize_with = "positive")]
    pub archive_reads: usize,
    /// Whether there is a page to try the API.
    pub docs: bool,
    /// How long it is believed that a device is revoked, or is not.
    pub revocation_cache_ms: u64,
    /// Devices of which that is remembered.
    #[serde(deserialize_with = "positive")]
    pub revocation_cache_devices: usize,
    /// How long a stopping gateway goes on as before, so that load balancers notice that it is not ready.
    #[serde(deserialize_with = "drain_delay_ms")]
    pub drain_delay_ms: u64,
    /// How long what is under way may take to finish then.
    #[serde(deserialize_with = "at_most::<_, 3600>")]
    pub drain_seconds: u64,
    /// The least version of the app that is served; `None` for all.
    #[serde(deserialize_with = "client_version::optional")]
    pub min_client_version: Option<ClientVersion>,
}

impl GatewayConfig {
    /// How long a stopping gateway goes on as before.
    pub fn drain_delay(&self) -> Duration {
        Duration::from_millis(self.drain_delay_ms)
    }

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
pub struct LiveConfig {
    /// Live connections at once.
    #[serde(deserialize_with = "positive")]
    pub connections: usize,
    /// Live connections of one user at once.
    #[serde(deserialize_with = "positive")]
    pub connections_per_user: usize,
    /// Connections that hold a piece of the log at once.
    #[serde(deserialize_with = "positive")]
    pub pieces: usize,
    /// Stored bytes of one piece of the log.
    #[serde(deserialize_with = "positive")]
    pub read_bytes: u64,
    /// Bytes of one message that a device sends.
    #[serde(deserialize_with = "positive")]
    pub message_bytes: usize,
    /// Pushes of one connection that may be under way.
    #[serde(deserialize_with = "positive")]
    pub pushes: usize,
    /// How long a message may take to be taken.
    #[serde(deserialize_with = "positive")]
    pub send_timeout_ms: u64,
    /// How often a connection is asked whether it is still there.
    #[serde(deserialize_with = "positive")]
    pub ping_seconds: u64,
    /// How often heads are read.
    #[serde(deserialize_with = "positive")]
    pub sweep_seconds: u64,
    /// How long closing all connections takes.
    pub drain_spread_ms: u64,
}

/// See `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// Address of the admin API; `None` for that of the public one.
    #[serde(deserialize_with = "optional_address")]
    pub listen: Option<SocketAddr>,
    /// Days that calls are kept in the audit.
    #[serde(deserialize_with = "positive")]
    pub audit_days: u64,
    /// How often the pipeline is measured.
    #[serde(deserialize_with = "at_most::<_, 10_000>")]
    pub sample_interval_ms: u64,
    /// Items of a page of a space's history or state.
    #[serde(deserialize_with = "positive")]
    pub page_items: u64,
    /// Bytes of these items.
    #[serde(deserialize_with = "positive")]
    pub page_bytes: u64,
    /// Events that one page by position looks at.
    #[serde(deserialize_with = "positive")]
    pub page_events: u64,
    /// Events that a page by stamp, a state or an explanation is made from.
    #[serde(deserialize_with = "positive")]
    pub history_events: u64,
    /// Bytes of a folded state or an explanation.
    #[serde(deserialize_with = "positive")]
    pub state_bytes: u64,
    /// Events that an explanation lists of each field, of those that it does not name as winners.
    pub explain_events: usize,
    /// Requests that may read far into a history at once.
    #[serde(deserialize_with = "positive")]
    pub history_reads: usize,
}

impl AdminConfig {
    /// How often the pipeline is measured.
    pub fn sample_interval(&self) -> Duration {
        Duration::from_millis(self.sample_interval_ms)
    }
}

fn drain_delay_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = u64::deserialize(deserializer)?;
    if value <= DRAIN_DELAY_MAX_MS {
        Ok(value)
    } else {
        Err(D::Error::custom(format_args!(
            "{value} is out of bounds: it must be from 0 to {DRAIN_DELAY_MAX_MS}"
        )))
    }
}

/// See `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Secret of HS256 tokens; empty: none.
    pub hs256_secret: Secret,
    /// File with a JWK Set; empty: none.
    pub jwks_file: String,
    /// URL of a JWK Set; empty: none.
    pub jwks_url: String,
    /// Whether the URL may begin with `http://`.
    pub jwks_allow_http: bool,
    /// How often the URL is asked.
    #[serde(deserialize_with = "positive")]
    pub jwks_refresh_seconds: u64,
    /// The least time between two fetches for unknown keys, and after one that failed.
    #[serde(deserialize_with = "positive")]
    pub jwks_cooldown_seconds: u64,
    /// How long the URL's keys serve while it is down.
    #[serde(deserialize_with = "positive")]
    pub jwks_stale_seconds: u64,
    /// How long one fetch may take.
    #[serde(deserialize_with = "positive")]
    pub jwks_timeout_ms: u64,
    /// Bytes of a JWK Set.
    #[serde(deserialize_with = "at_most::<_, { 16 << 20 }>")]
    pub jwks_bytes: u64,
    /// Bytes of a token.
    #[serde(deserialize_with = "at_most::<_, { 64 << 10 }>")]
    pub token_bytes: u64,
    /// What `aud` must name; empty: anything.
    pub audience: String,
    /// What `iss` must be; empty: anything.
    pub issuer: String,
    /// Tolerance for `exp` and `nbf`.
    pub leeway_seconds: u64,
    /// Whether a token must have an `exp`.
    pub require_exp: bool,
}
