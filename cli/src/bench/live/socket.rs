//! One live connection as a device has it, read as thinly as can be: it shares the machine with what it measures.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use reqwest::Url;
use tidelog_events::frame::{Decoder, PullItem, PullReader};
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::live::LIVE_PROTOCOL;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

const DECODED_BYTES_MAX: usize = 64 << 20;
const READ_BUFFER_BYTES: usize = 4096;
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);

/// Where a connection goes, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
    pub(super) space: SpaceId,
    pub(super) token: String,
}

impl Door {
    /// To a space through the gateway at `url`.
    pub(super) async fn new(url: &str, space: &SpaceId, token: String) -> Result<Self> {
        let url = Url::parse(url)?;
        let (host, port) =
            (url.host_str().context("a host")?, url.port_or_known_default().context("a port")?);
        let address = tokio::net::lookup_host((host, port)).await?.next().context("an address")?;
        Ok(Self { address, space: space.clone(), token })
    }
}

/// A connection that has had its hello.
pub(super) struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// The last position that came.
    pub(super) cursor: Position,
}

impl Socket {
    /// Connects behind a cursor, and waits for the hello and what comes with it.
    pub(super) async fn open(door: &Door, after: Position) -> Result<(Self, u64)> {
        timeout(OPEN_TIMEOUT, Self::connect(door, after)).await.context("no hello came in time")?
    }

    async fn connect(door: &Door, after: Position) -> Result<(Self, u64)> {
        let path = format!("/v1/spaces/{}/live?after={after}", door.space);
        let mut request = format!("ws://{}{path}", door.address).into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {}", door.token).parse()?);
        headers.insert("sec-websocket-protocol", LIVE_PROTOCOL.parse()?);
        let stream = TcpStream::connect(door.address).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
        let (stream, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
        let mut socket = Self { stream, cursor: after };
        let lines = socket.lines().await?.context("the connection ended before the hello")?;
        let events = socket.take(PullReader::new(&lines, after))?;
        Ok((socket, events))
    }

    /// Waits for more of the log; returns how many events came, or `None` at the end.
    pub(super) async fn more(&mut self) -> Result<Option<u64>> {
        let Some(lines) = self.lines().await? else { return Ok(None) };
        self.take(PullReader::going_on(&lines, self.cursor)).map(Some)
    }

    fn take(&mut self, mut reader: PullReader<'_>) -> Result<u64> {
        let mut events = 0;
        while let Some(item) = reader.next_item()? {
            if let PullItem::Segment(_, new) = item {
                events += new.len() as u64;
            }
        }
        self.cursor = reader.cursor();
        Ok(events)
    }

    /// The lines of the next message of the log.
    async fn lines(&mut self) -> Result<Option<String>> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Binary(frames))) => {
                    let lines = Decoder::new()?.decode_all(&frames, DECODED_BYTES_MAX)?;
                    return Ok(Some(String::from_utf8(lines)?));
                }
                Some(Ok(Message::Text(text))) if text.starts_with("{\"closing\"") => {
                    tracing::debug!(%text, "closing");
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
                Some(Ok(Message::Text(text))) => bail!("an unexpected notice: {text}"),
                Some(Ok(_)) => {}
            }
        }
    }
}
