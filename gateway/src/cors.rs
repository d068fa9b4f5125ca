//! Which web pages may call the public API from a browser (the section `[cors]`; every key is documented in
//! `config/default.toml`). Tokens travel in a header, so no page gets anything by a cookie.

use std::time::Duration;

use axum::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, Method};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use tidelog_events::protocol::REQUEST_ID_HEADER;
use tidelog_events::report::{CLIENT_VERSION_HEADER, REPORT_HEADER};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// See `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsConfig {
    /// Origins whose pages may call.
    #[serde(deserialize_with = "origins")]
    pub origins: Origins,
    /// How long a browser may remember what it was allowed.
    pub max_age_seconds: u64,
}

/// Origins, as browsers name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// All.
    Any,
    /// These.
    These(Vec<HeaderValue>),
}

fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Origins, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn parse(text: &str) -> Result<Origins, String> {
    if text.trim() == "*" {
        return Ok(Origins::Any);
    }
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(origin).collect::<Result<_, _>>().map(Origins::These)
}

/// `https://app.example`, or with a port; a path or a slash at its end would never match what a browser sends.
fn origin(name: &str) -> Result<HeaderValue, String> {
    let host = name.split_once("://").map_or("", |(_, host)| host);
    let is_origin = !host.is_empty() && !host.contains(['/', '*', '?', '#', ' ']);
    let value = HeaderValue::from_str(name).ok().filter(|_| is_origin);
    value.ok_or_else(|| format!("`{name}` is no origin, such as https://app.example"))
}

/// What answers browsers; `None` where no page may call.
pub(crate) fn layer(config: &CorsConfig) -> Option<CorsLayer> {
    let origins = match &config.origins {
        Origins::Any => AllowOrigin::any(),
        Origins::These(origins) if origins.is_empty() => return None,
        Origins::These(origins) => AllowOrigin::list(origins.clone()),
    };
    let own = [CLIENT_VERSION_HEADER, REPORT_HEADER, REQUEST_ID_HEADER].map(HeaderName::from_static);
    let trace = [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];
    let allowed = [ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE].into_iter().chain(own).chain(trace);
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers(allowed.collect::<Vec<_>>())
            .expose_headers([RETRY_AFTER, WWW_AUTHENTICATE, HeaderName::from_static(REQUEST_ID_HEADER)])
            .max_age(Duration::from_secs(config.max_age_seconds)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_all_some_or_none() {
        assert_eq!(parse(" * "), Ok(Origins::Any));
        assert_eq!(parse(""), Ok(Origins::These(Vec::new())));
        let two = ["https://app.example", "http://localhost:5173"].map(HeaderValue::from_static);
        assert_eq!(parse("https://app.example, http://localhost:5173"), Ok(Origins::These(two.to_vec())));
        for wrong in
            ["app.example", "https://", "https://app.example/", "https://*.example", "*,https://a.example"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
