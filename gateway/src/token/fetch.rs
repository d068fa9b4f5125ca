//! One request for a document of keys: bounded in time and bytes, and never led elsewhere.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

/// Asks the URL.
pub(super) struct Fetcher {
    client: Client,
    url: Url,
    bytes_max: u64,
    timeout: Duration,
}

/// Why there was no document.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("it cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("it answered {0}; redirects are not followed")]
    Status(StatusCode),
    #[error("it has more than {0} bytes (auth.jwks_bytes)")]
    TooLarge(u64),
    #[error("it did not answer whole within {} ms (auth.jwks_timeout_ms)", .0.as_millis())]
    TooSlow(Duration),
}

impl Fetcher {
    pub(super) fn new(url: Url, bytes_max: u64, timeout: Duration) -> reqwest::Result<Self> {
        let client = Client::builder().redirect(Policy::none()).connect_timeout(timeout).build()?;
        Ok(Self { client, url, bytes_max, timeout })
    }

    pub(super) async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        tokio::time::timeout(self.timeout, self.ask()).await.unwrap_or(Err(FetchError::TooSlow(self.timeout)))
    }

    async fn ask(&self) -> Result<Vec<u8>, FetchError> {
        // The URL stands in the log without its query, which may be a secret.
        let unreachable = |error: reqwest::Error| FetchError::Unreachable(error.without_url());
        let request = self.client.get(self.url.clone()).header(ACCEPT, "application/json");
        let mut response = request.send().await.map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if (text.len() + chunk.len()) as u64 > self.bytes_max {
                return Err(FetchError::TooLarge(self.bytes_max));
            }
            text.extend_from_slice(&chunk);
        }
        Ok(text)
    }

    /// The URL as it may stand in the log.
    pub(super) fn place(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }
}

/// The URL, if keys may come from there: over TLS, or from this machine, or from anywhere if the operator says so.
pub(super) fn accept(text: &str, allow_http: bool) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "it is no URL")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it must not hold a user or a password");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if allow_http || is_loopback(&url) => Ok(url),
        "http" => Err(
            "whoever is on the way could put keys of their own in: use https (or set auth.jwks_allow_http)",
        ),
        _ => Err("it must begin with https://"),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        let check = |text: &str, plainly: bool, expect: bool| {
            assert_eq!(accept(text, plainly).is_ok(), expect, "{text} {plainly}");
        };
        check("https://issuer.example/.well-known/jwks.json", false, true);
        for local in
            ["http://localhost:8000/jwks", "http://127.0.0.1/", "http://127.9.9.9:1/", "http://[::1]:80/"]
        {
            check(local, false, true);
        }
        for far in [
            "http://issuer.example/jwks",
            "http://10.0.0.1/",
            "http://[::2]/",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
        ] {
            check(far, false, false);
            check(far, true, true);
        }
        for wrong in [
            "",
            "issuer.example",
            "file:///keys",
            "ftp://issuer.example/",
            "https://",
            "https://u:p@x.example/",
            "https://u@x.example/",
        ] {
            check(wrong, true, false);
        }
    }

    #[test]
    fn the_log_does_not_show_the_query() {
        let url = accept("https://issuer.example/jwks?key=secret#x", false).unwrap();
        let fetcher = Fetcher::new(url, 1, Duration::from_secs(1)).unwrap();
        assert_eq!(fetcher.place(), "https://issuer.example/jwks");
    }
}
