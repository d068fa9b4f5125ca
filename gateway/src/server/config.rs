//! The section `[server]` of the configuration; every key is documented in `config/default.toml`.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use tidelog_runtime::config::{at_most, one_of, positive};

use super::caller::{ForwardedHeader, Proxies};

/// What HTTP/1 needs at least to read a head.
const HEADER_BYTES_MIN: usize = 8192;
/// The greatest window of HTTP/2 (RFC 9113, section 6.9.1).
const WINDOW_MAX: u64 = (1 << 31) - 1;

/// See `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Connections of each listener at once.
    #[serde(deserialize_with = "positive")]
    pub connections: usize,
    /// Connections of one address at once; 0 for no limit.
    pub connections_per_address: usize,
    /// Who is believed whom they pass on.
    pub trusted_proxies: Proxies,
    /// Where they say it.
    #[serde(deserialize_with = "one_of")]
    pub forwarded_header: ForwardedHeader,
    /// How long a request head, or a TLS handshake, may take.
    #[serde(deserialize_with = "positive")]
    pub header_timeout_ms: u64,
    /// How long a connection may be without a request.
    #[serde(deserialize_with = "positive")]
    pub idle_timeout_ms: u64,
    /// How long a request may take to its answer.
    #[serde(deserialize_with = "positive")]
    pub request_timeout_ms: u64,
    /// How long nothing of an answer may be taken.
    #[serde(deserialize_with = "positive")]
    pub send_timeout_ms: u64,
    /// Bytes of a request head.
    #[serde(deserialize_with = "header_bytes")]
    pub header_bytes: usize,
    /// Headers of a request.
    #[serde(deserialize_with = "positive")]
    pub headers: usize,
    /// Bytes of a request's path and query.
    #[serde(deserialize_with = "positive")]
    pub uri_bytes: usize,
    /// Bytes of a body that is no batch.
    #[serde(deserialize_with = "positive")]
    pub small_body_bytes: usize,
    /// Requests of an HTTP/2 connection at once.
    #[serde(deserialize_with = "positive")]
    pub http2_streams: u32,
    /// Requests taken back before they were begun.
    pub http2_pending_resets: usize,
    /// Requests broken off for being wrong.
    pub http2_error_resets: usize,
    /// Bytes of a request's body on their way.
    #[serde(deserialize_with = "at_most::<_, WINDOW_MAX>")]
    pub http2_stream_window_bytes: u64,
    /// Bytes of all bodies of a connection on their way.
    #[serde(deserialize_with = "at_most::<_, WINDOW_MAX>")]
    pub http2_connection_window_bytes: u64,
    /// Bytes of an answer that wait for the connection.
    #[serde(deserialize_with = "at_most::<_, { u32::MAX as u64 }>")]
    pub http2_send_buffer_bytes: u64,
    /// How often a quiet connection is asked whether it is there.
    #[serde(deserialize_with = "positive")]
    pub http2_ping_interval_ms: u64,
    /// How long it may take to say so.
    #[serde(deserialize_with = "positive")]
    pub http2_ping_timeout_ms: u64,
    /// The certificate's file; empty for plain HTTP.
    pub tls_certificate_file: PathBuf,
    /// The key's file.
    pub tls_key_file: PathBuf,
    /// How often the two are looked at.
    #[serde(deserialize_with = "positive")]
    pub tls_watch_interval_ms: u64,
}

impl ServerConfig {
    pub(super) fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms)
    }

    pub(super) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(super) fn send_timeout(&self) -> Duration {
        Duration::from_millis(self.send_timeout_ms)
    }

    pub(super) fn tls_watch_interval(&self) -> Duration {
        Duration::from_millis(self.tls_watch_interval_ms)
    }
}

fn header_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let bytes = usize::deserialize(deserializer)?;
    if bytes >= HEADER_BYTES_MIN {
        Ok(bytes)
    } else {
        Err(D::Error::custom(format_args!("must be at least {HEADER_BYTES_MIN}")))
    }
}
