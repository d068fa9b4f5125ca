//! Requests as HTTP. Pulls ask for stored frames; a push is one frame, as it will stand in the log.

mod answer;

use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use tidelog_events::frame::Encoder;
use tidelog_events::protocol::DeviceEvent;

use super::{Answer, OwnEventsRequest, PullRequest, PushRequest, Request, Transport, Unreachable};
use answer::{WholeAnswer, foreign, unless_silent};

/// How long a request and its answer may take together, and how long a pull's may be silent, unless the app says otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a pull may take: a snapshot is one answer, and over a slow network takes minutes.
const PULL_TIMEOUT: Duration = Duration::from_mins(10);
/// How long a connection may take to be there, with TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const LINES: &str = "application/x-ndjson";

/// Speaks to one gateway.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: Client,
    gateway: Url,
    request_timeout: Duration,
    pull_timeout: Duration,
}

/// Why there is no speaking to a gateway.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAddress {
    /// The text is no URL.
    #[error("`{0}` is not the URL of a gateway, such as https://sync.example.com")]
    NotUrl(String),
    /// The URL's scheme is neither `http` nor `https`.
    #[error("a gateway is reached by http or https, not by `{0}`")]
    Scheme(String),
    /// TLS cannot be set up on this device.
    #[error("no HTTP client can be made on this device")]
    Client(#[source] reqwest::Error),
}

impl HttpTransport {
    /// Speaks to the gateway at that URL, which may have a path.
    pub fn new(gateway_url: &str) -> Result<Self, InvalidAddress> {
        let gateway = Url::parse(gateway_url).map_err(|_| InvalidAddress::NotUrl(gateway_url.to_owned()))?;
        if !matches!(gateway.scheme(), "http" | "https") {
            return Err(InvalidAddress::Scheme(gateway.scheme().to_owned()));
        }
        let client = Client::builder()
            .user_agent(concat!("tidelog-client/", env!("CARGO_PKG_VERSION")))
            // A redirect is some network's login page, not the gateway; and the token is for the gateway alone.
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            // Whoever builds reqwest with decoders must not get unbounded ones here.
            .no_zstd()
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .build()
            .map_err(InvalidAddress::Client)?;
        Ok(Self { client, gateway, request_timeout: REQUEST_TIMEOUT, pull_timeout: PULL_TIMEOUT })
    }

    /// With another limit than 30 seconds for a request and its whole answer. To a pull, whose answer may be large, it
    /// is one on silence: so long may no byte come.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// With another limit than 10 minutes for a pull and its whole answer, which comes to its end only if it is never
    /// silent for longer than a request may take.
    #[must_use]
    pub fn pull_timeout(mut self, timeout: Duration) -> Self {
        self.pull_timeout = timeout;
        self
    }

    fn url(&self, segments: &[&str]) -> Result<Url, Unreachable> {
        // A URL cannot name these, escaped or not (WHATWG URL, section 4.4).
        if let Some(dots) = segments.iter().find(|segment| matches!(**segment, "." | "..")) {
            return Err(Unreachable(format!("an id of `{dots}` cannot stand in a URL")));
        }
        let mut url = self.gateway.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "spaces"]).extend(segments);
        }
        Ok(url)
    }

    fn pull(&self, request: &PullRequest) -> Result<RequestBuilder, Unreachable> {
        let mut url = self.url(&[request.space.as_str(), "log"])?;
        let mut query = url.query_pairs_mut();
        query
            .append_pair("after", &request.after.to_string())
            .append_pair("limit", &request.limit.to_string())
            .append_pair("deviceId", request.device.as_str());
        if let Some(types) = &request.types {
            let types: Vec<&str> = types.iter().map(String::as_str).collect();
            query.append_pair("types", &types.join(","));
        }
        drop(query);
        Ok(self.client.get(url).header(ACCEPT, LINES).header(ACCEPT_ENCODING, "zstd"))
    }

    fn push(&self, request: &PushRequest) -> Result<RequestBuilder, Unreachable> {
        let url = self.url(&[request.space.as_str(), "events"])?;
        let frame = Encoder::new().and_then(|mut encoder| encoder.encode(&request.body));
        let frame = frame.map_err(|error| Unreachable(format!("the batch cannot be compressed: {error}")))?;
        Ok(self.client.post(url).header(CONTENT_TYPE, LINES).header(CONTENT_ENCODING, "zstd").body(frame))
    }

    fn own_events(&self, request: &OwnEventsRequest) -> Result<RequestBuilder, Unreachable> {
        let mut url = self.url(&[request.space.as_str(), "devices", request.device.as_str(), "events"])?;
        url.query_pairs_mut()
            .append_pair("from", &request.from.to_string())
            .append_pair("to", &request.to.to_string());
        Ok(self.client.get(url).header(ACCEPT, "application/json"))
    }
}

impl Transport for HttpTransport {
    async fn send(&self, request: &Request, token: &str) -> Result<Answer, Unreachable> {
        let builder = match request {
            Request::Pull(pull) => self.pull(pull)?.timeout(self.pull_timeout),
            Request::Push(push) => self.push(push)?.timeout(self.request_timeout),
            Request::OwnEvents(own) => self.own_events(own)?.timeout(self.request_timeout),
        };
        let sent = unless_silent(self.request_timeout, builder.bearer_auth(token).send()).await?;
        let whole = WholeAnswer::receive(sent, self.request_timeout).await?;
        match (request, whole.status) {
            (Request::Pull(_), StatusCode::OK) => whole.lines().await.map(Answer::Pulled),
            (Request::Push(_), StatusCode::OK | StatusCode::ACCEPTED) => whole.json().map(Answer::Pushed),
            (Request::OwnEvents(_), StatusCode::OK) => {
                whole.json().map(|OwnEvents { items }| Answer::OwnEvents(items))
            }
            (_, status) if status.is_success() => Err(foreign()),
            _ => Ok(Answer::Refused(whole.refused())),
        }
    }
}

/// What `…/devices/{deviceId}/events` answers.
#[derive(Deserialize)]
struct OwnEvents {
    items: Vec<DeviceEvent>,
}

#[cfg(test)]
mod tests;
