//! Requests as HTTP, and live connections as WebSockets. Pulls ask for stored frames; a push is one frame, as it will stand in the log.

mod answer;
mod headers;
mod live;

use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use tidelog_events::frame::Encoder;
use tidelog_events::protocol::DeviceEvent;
use tidelog_events::report::{CLIENT_VERSION_HEADER, REPORT_HEADER, SyncFailureCause};

use super::{
    Answer, LiveStream, NotLive, OwnEventsRequest, PullRequest, PushRequest, Request, Transport, Unreachable,
};
use answer::{WholeAnswer, foreign, unless_silent};
use headers::{report_header, version_header};
pub use live::HttpLive;

/// How long a request and its answer may take together, and how long a pull's may be silent, unless the app says otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a pull may take: a snapshot is one answer, and over a slow network takes minutes.
const PULL_TIMEOUT: Duration = Duration::from_mins(10);
/// How long a connection may take to be there, with TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a live connection may be silent: the gateway sends a ping every 25 seconds.
const LIVE_SILENCE: Duration = Duration::from_mins(1);

const LINES: &str = "application/x-ndjson";

/// Speaks to one gateway.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: Client,
    /// Speaks HTTP/1.1 alone: a WebSocket begins as a request that both sides then leave behind.
    upgrading: Client,
    gateway: Url,
    app_version: Option<HeaderValue>,
    live_silence: Duration,
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
    /// The app's version cannot stand in a header.
    #[error("`{0}` is not the version of an app, such as 2.14.0")]
    AppVersion(String),
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
        let builder = || {
            Client::builder()
                .user_agent(concat!("tidelog-client/", env!("CARGO_PKG_VERSION")))
                // A redirect is some network's login page, not the gateway; and the token is for the gateway alone.
                .redirect(Policy::none())
                .connect_timeout(CONNECT_TIMEOUT)
                // Whoever builds reqwest with decoders must not get unbounded ones here.
                .no_zstd()
                .no_gzip()
                .no_brotli()
                .no_deflate()
        };
        Ok(Self {
            client: builder().build().map_err(InvalidAddress::Client)?,
            upgrading: builder().http1_only().build().map_err(InvalidAddress::Client)?,
            gateway,
            app_version: None,
            request_timeout: REQUEST_TIMEOUT,
            pull_timeout: PULL_TIMEOUT,
            live_silence: LIVE_SILENCE,
        })
    }

    /// Tells the server with each request which version of the app this is: numbers with dots between, `2.14.0`. A server
    /// may refuse versions that are too old.
    pub fn app_version(mut self, version: &str) -> Result<Self, InvalidAddress> {
        self.app_version = Some(version_header(version)?);
        Ok(self)
    }

    /// With another limit than a minute for the silence of a live connection, after which it is given up. The gateway
    /// sends a ping every 25 seconds.
    #[must_use]
    pub fn live_silence(mut self, silence_max: Duration) -> Self {
        self.live_silence = silence_max;
        self
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
            let detail = format!("an id of `{dots}` cannot stand in a URL");
            return Err(Unreachable { cause: SyncFailureCause::Other, detail });
        }
        let mut url = self.gateway.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "spaces"]).extend(segments);
        }
        Ok(url)
    }

    fn pull(&self, request: &PullRequest) -> Result<RequestBuilder, Unreachable> {
        let mut url = self.reading(request, "log")?;
        url.query_pairs_mut().append_pair("limit", &request.limit.to_string());
        let builder = self.client.get(url).header(ACCEPT, LINES).header(ACCEPT_ENCODING, "zstd");
        Ok(with_report(builder, request))
    }

    /// The URL that reads a space's log behind a cursor.
    fn reading(&self, request: &PullRequest, how: &str) -> Result<Url, Unreachable> {
        let mut url = self.url(&[request.space.as_str(), how])?;
        let mut query = url.query_pairs_mut();
        query
            .append_pair("after", &request.after.to_string())
            .append_pair("deviceId", request.device.as_str());
        if let Some(types) = &request.types {
            let types: Vec<&str> = types.iter().map(String::as_str).collect();
            query.append_pair("types", &types.join(","));
        }
        drop(query);
        Ok(url)
    }

    /// With what goes with every request.
    fn signed(&self, builder: RequestBuilder, token: &str) -> RequestBuilder {
        let builder = builder.bearer_auth(token);
        match &self.app_version {
            Some(version) => builder.header(CLIENT_VERSION_HEADER, version),
            None => builder,
        }
    }

    fn push(&self, request: &PushRequest) -> Result<RequestBuilder, Unreachable> {
        let url = self.url(&[request.space.as_str(), "events"])?;
        let frame = Encoder::new().and_then(|mut encoder| encoder.encode(&request.body));
        let frame = frame.map_err(|error| {
            let detail = format!("the batch cannot be compressed: {error}");
            Unreachable { cause: SyncFailureCause::Other, detail }
        })?;
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
        let sent = unless_silent(self.request_timeout, self.signed(builder, token).send()).await?;
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

    async fn live(&self, request: &PullRequest, token: &str) -> Result<impl LiveStream, NotLive> {
        self.connect(request, token).await
    }
}

fn with_report(builder: RequestBuilder, request: &PullRequest) -> RequestBuilder {
    match request.report.as_deref().and_then(report_header) {
        Some(report) => builder.header(REPORT_HEADER, report),
        None => builder,
    }
}

/// What `…/devices/{deviceId}/events` answers.
#[derive(Deserialize)]
struct OwnEvents {
    items: Vec<DeviceEvent>,
}

#[cfg(test)]
mod tests;
