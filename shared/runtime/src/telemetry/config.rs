//! The section `[telemetry]` of the configuration; every key is documented in `config/default.toml`.

use std::fmt;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use tracing_subscriber::EnvFilter;

use super::TelemetryError;
use crate::config::one_of;

/// Where traces go below the collector's address, by the OTLP specification.
const TRACES_PATH: &str = "/v1/traces";

/// See `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Who reads the log.
    #[serde(deserialize_with = "one_of")]
    pub format: LogFormat,
    /// What is logged: a `tracing` filter.
    pub filter: String,
    /// The collector of traces.
    pub otlp_endpoint: OtlpEndpoint,
    /// Headers of every request to it.
    pub otlp_headers: OtlpHeaders,
    /// Which part of the traces that begin here is kept.
    #[serde(deserialize_with = "ratio")]
    pub otlp_sample_ratio: f64,
}

impl TelemetryConfig {
    /// What is logged.
    ///
    /// # Errors
    /// [`TelemetryError::Filter`].
    pub fn filter(&self) -> Result<EnvFilter, TelemetryError> {
        Ok(EnvFilter::try_new(&self.filter)?)
    }
}

impl Default for TelemetryConfig {
    /// A log for people, and no traces.
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            filter: "info".to_owned(),
            otlp_endpoint: OtlpEndpoint::default(),
            otlp_headers: OtlpHeaders::default(),
            otlp_sample_ratio: 1.0,
        }
    }
}

/// Who reads the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A person at a terminal.
    Human,
    /// A log collector: one JSON object a line.
    Json,
}

/// The address to which traces are posted; none where they are not exported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtlpEndpoint(pub(super) Option<Url>);

impl<'de> Deserialize<'de> for OtlpEndpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        let mut url = Url::parse(text.trim()).map_err(D::Error::custom)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(D::Error::custom("must be as http://collector:4318"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(D::Error::custom(
                "has a password, which would show in logs: it belongs in otlp_headers",
            ));
        }
        if url.path() != TRACES_PATH {
            let path = format!("{}{TRACES_PATH}", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        Ok(Self(Some(url)))
    }
}

/// Headers that may hold a key of the collector, and never show in logs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OtlpHeaders(pub(super) HeaderMap);

impl fmt::Debug for OtlpHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(empty)" } else { "(secret)" })
    }
}

impl<'de> Deserialize<'de> for OtlpHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        // The text stays out of the error: it may be a key.
        pairs
            .map(header)
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| D::Error::custom("must be headers as name=value, separated by commas"))
    }
}

fn header(pair: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = pair.split_once('=')?;
    let mut value: HeaderValue = value.trim().parse().ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

fn ratio<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let ratio = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&ratio) {
        Ok(ratio)
    } else {
        Err(D::Error::custom(format_args!("{ratio} is out of bounds: it must be from 0 to 1")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, ConfigError, Sources};

    fn with(key: &str, value: &str) -> Result<TelemetryConfig, ConfigError> {
        let variable = format!("TIDELOG__TELEMETRY__{}", key.to_uppercase());
        let environment = [(variable, value.to_owned())].into();
        Config::load(&Sources { file: None, environment })?.section("telemetry")
    }

    #[test]
    fn the_endpoint_is_a_collectors_address_with_or_without_the_path_of_traces() {
        let check = |text: &str, expect: Option<&str>| {
            let url = with("otlp_endpoint", text).unwrap().otlp_endpoint.0;
            assert_eq!(url.as_ref().map(Url::as_str), expect, "{text}");
        };
        check("", None);
        check("http://collector:4318", Some("http://collector:4318/v1/traces"));
        check("http://collector:4318/", Some("http://collector:4318/v1/traces"));
        check("http://collector:4318/v1/traces", Some("http://collector:4318/v1/traces"));
        check("https://otlp.example/tenant", Some("https://otlp.example/tenant/v1/traces"));
        for wrong in
            ["collector:4318", "collector", "grpc://collector:4317", "http://", "http://me:pw@collector"]
        {
            let error = with("otlp_endpoint", wrong).unwrap_err();
            assert!(error.to_string().contains("telemetry.otlp_endpoint"), "{wrong}: {error}");
        }
    }

    #[test]
    fn headers_are_pairs_and_never_show() {
        let config = with("otlp_headers", "x-key = k=1 , authorization=Bearer abc,").unwrap();
        let headers = &config.otlp_headers.0;
        assert_eq!(
            (&headers["x-key"], &headers["authorization"]),
            (&HeaderValue::from_static("k=1"), &HeaderValue::from_static("Bearer abc"),)
        );
        assert!(!format!("{config:?}").contains("abc"));
        for wrong in ["hidden", "x key=hidden", "x=hid\u{7}den"] {
            let error = with("otlp_headers", wrong).unwrap_err();
            let told = format!("{error:?}");
            assert!(told.contains("telemetry.otlp_headers") && !told.contains("hidden"), "{told}");
        }
    }

    #[test]
    fn the_ratio_lies_between_none_and_all() {
        assert!((with("otlp_sample_ratio", "0.25").unwrap().otlp_sample_ratio - 0.25).abs() < f64::EPSILON);
        for wrong in ["-0.1", "1.1", "NaN"] {
            assert!(with("otlp_sample_ratio", wrong).is_err(), "{wrong}");
        }
    }
}
