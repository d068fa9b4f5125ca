//! The sections `[gateway]`, `[live]`, `[admin]` and `[auth]` of the configuration; every key is documented in `config/default.toml`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use tidelog_runtime::config::{Secret, at_most, positive};

use crate::client_version::{self, ClientVersion};

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
    /// How long stopping may take.
    pub drain_seconds: u64,
    /// The least version of the app that is served; `None` for all.
    #[serde(deserialize_with = "client_version::optional")]
    pub min_client_version: Option<ClientVersion>,
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

/// An address, or an empty text for none.
fn optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
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
