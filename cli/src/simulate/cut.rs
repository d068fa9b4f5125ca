//! Requests of which only a part gets to the gateway.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Url;
use tidelog_client::transport::{PushRequest, Request};
use tidelog_events::frame::Encoder;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Most answers take longer on the way to their end.
const ANSWER_BEGINS: Duration = Duration::from_millis(2);

/// Sends half of a push, or gives up an answer before it is read. `sent` is the whole request.
pub(super) async fn halfway(gateway: &Url, request: &Request, token: &str, sent: impl Future) {
    match request {
        // A gateway that is away is no less cut off.
        Request::Push(push) => drop(half_a_push(gateway, push, token).await),
        Request::Pull(_) | Request::OwnEvents(_) => drop(timeout(ANSWER_BEGINS, sent).await),
    }
}

async fn half_a_push(gateway: &Url, push: &PushRequest, token: &str) -> Result<()> {
    let mut url = gateway.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["v1", "spaces", push.space.as_str(), "events"]);
    }
    let host = url.host_str().context("the gateway's address has no host")?;
    let port = url.port_or_known_default().context("the gateway's address has no port")?;
    let frame = Encoder::new()?.encode(&push.body)?;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Encoding: zstd\r\nContent-Length: {}\r\n\r\n",
        url.path(),
        frame.len()
    );
    let mut connection = TcpStream::connect((host, port)).await?;
    connection.write_all(head.as_bytes()).await?;
    connection.write_all(&frame[..frame.len() / 2]).await?;
    // Closed here, with the other half missing.
    connection.shutdown().await?;
    Ok(())
}
