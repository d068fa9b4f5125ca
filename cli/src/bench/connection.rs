//! One HTTP/1.1 connection to the gateway, as a phone has one: the leanest client there is, since it shares the
//! machine with what it measures.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use tokio::net::TcpStream;

/// A connection that is made when it is first used, and again after it broke.
pub(super) struct Connection {
    address: SocketAddr,
    host: HeaderValue,
    authorization: HeaderValue,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// An answer.
pub(super) struct Received {
    pub(super) status: StatusCode,
    /// How long it says to wait.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

/// How an answer's events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As the frames that are stored.
    Frames,
    /// As lines, decoded by the gateway.
    Lines,
}

impl Connection {
    /// To the gateway at `url`, with this token.
    pub(super) async fn new(url: &str, token: &str) -> Result<Self> {
        let parsed = Url::parse(url).with_context(|| format!("{url} is not an address"))?;
        let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default()) else {
            bail!("{url} is not an address of a gateway");
        };
        let mut addresses = tokio::net::lookup_host((host, port)).await?;
        let address = addresses.next().with_context(|| format!("{host} has no address"))?;
        Ok(Self {
            address,
            host: HeaderValue::from_str(&format!("{host}:{port}"))?,
            authorization: HeaderValue::from_str(&format!("Bearer {token}"))?,
            sender: None,
        })
    }

    /// Pushes a frame.
    pub(super) async fn push(&mut self, path: &str, frame: Bytes) -> Result<Received> {
        let request = self
            .request(Method::POST, path)
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header(CONTENT_ENCODING, "zstd")
            .body(Full::new(frame))?;
        self.send(request).await
    }

    /// Pulls; returns the answer's body.
    pub(super) async fn pull(&mut self, path: &str, form: Form) -> Result<Bytes> {
        let (status, body) = self.try_pull(path, form).await?;
        ensure!(
            status.is_success(),
            "the gateway refused a pull: {status} {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }

    /// Pulls; returns the answer's status and body.
    pub(super) async fn try_pull(&mut self, path: &str, form: Form) -> Result<(StatusCode, Bytes)> {
        let encoding = if form == Form::Frames { "zstd" } else { "identity" };
        let request = self
            .request(Method::GET, path)
            .header(ACCEPT, "application/x-ndjson")
            .header(ACCEPT_ENCODING, encoding)
            .body(Full::default())?;
        let Received { status, body, .. } = self.send(request).await?;
        Ok((status, body))
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.host.clone())
            .header(AUTHORIZATION, self.authorization.clone())
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Received> {
        let (sender, answer) = self.answer(request).await?;
        let status = answer.status();
        let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = seconds.map(Duration::from_secs);
        let body = answer.into_body().collect().await.context("the gateway's answer broke off")?.to_bytes();
        self.sender = Some(sender);
        Ok(Received { status, retry_after, body })
    }

    /// A request that the kept connection did not even begin to send, since the gateway had closed that, goes over a new one,
    /// as every HTTP client has it.
    async fn answer(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(SendRequest<Full<Bytes>>, Response<Incoming>)> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(answer) => return Ok((sender, answer)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error()).context("the gateway did not answer"),
                },
            }
        }
        let mut sender = self.connect().await?;
        sender.ready().await.context("the gateway closed the connection")?;
        let answer = sender.send_request(request).await.context("the gateway did not answer")?;
        Ok((sender, answer))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await.context("the gateway cannot be reached")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // What ends a connection, its requests learn as well.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}
