//! A live connection over HTTP/1.1: the request goes through the same client as all others, so that addresses, proxies
//! and TLS are as theirs, and the connection becomes a WebSocket when the gateway agrees.

use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use reqwest::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use reqwest::{Response, StatusCode, Upgraded};
use tidelog_events::frame::Decoder;
use tidelog_events::live::{LIVE_PROTOCOL, LiveCall, LiveNotice};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::answer::{WholeAnswer, damaged, unless_silent};
use super::{HttpTransport, with_report};
use crate::transport::{LiveEnd, LiveMessage, LiveStream, NotLive, PullRequest, Unreachable};

/// Bytes of a message, as they come over the network. It holds whole segments, and a segment a batch at least.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a message of the log, decoded.
const MAX_DECODED_BYTES: usize = 64 * 1024 * 1024;
/// What is read at once; larger messages make room for themselves.
const READ_BUFFER_BYTES: usize = 8 * 1024;
/// A device says little: pongs, cursors, presences.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// What may wait to be written.
const MAX_WRITE_BUFFER_BYTES: usize = 64 * 1024;
/// How long the gateway may take to take in what is said.
const SAY_TIMEOUT: Duration = Duration::from_secs(10);
/// What stands for a close frame without a code (RFC 6455, section 7.1.5).
const NO_STATUS: u16 = 1005;

/// A live connection to a gateway.
pub struct HttpLive {
    socket: WebSocketStream<Upgraded>,
    decoder: Decoder,
    silence_max: Duration,
    /// When something was heard last, be it a ping.
    heard: Instant,
}

impl HttpTransport {
    /// Opens a live connection: see [`crate::Transport::live`].
    pub async fn connect(&self, request: &PullRequest, token: &str) -> Result<HttpLive, NotLive> {
        let url = self.reading(request, "live").map_err(NotLive::Unreachable)?;
        let key = generate_key();
        let builder = self
            .upgrading
            .get(url)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key)
            .header(SEC_WEBSOCKET_PROTOCOL, LIVE_PROTOCOL);
        let sent = self.signed(with_report(builder, request), token).send();
        let response = unless_silent(self.request_timeout, sent).await.map_err(NotLive::Unreachable)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let whole = WholeAnswer::receive(response, self.request_timeout).await;
            return Err(refusal(whole.map_err(NotLive::Unreachable)?));
        }
        agrees(&response, &key)?;
        let lost = |error: reqwest::Error| {
            NotLive::Unreachable(Unreachable::broken(error.without_url().to_string()))
        };
        let upgraded = response.upgrade().await.map_err(lost)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let decoder = Decoder::new().map_err(|error| NotLive::Unreachable(damaged(error)))?;
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
        Ok(HttpLive { socket, decoder, silence_max: self.live_silence, heard: Instant::now() })
    }
}

/// An answer that switches no protocols is a gateway's refusal, or somebody does not know live connections.
fn refusal(whole: WholeAnswer) -> NotLive {
    let refused = whole.refused();
    let unknown = match refused.code {
        Some(code) => matches!(code.status(), 404..=406),
        // Whoever stands between and fails says 5xx: that passes.
        None => refused.status < 500 && refused.status != 429,
    };
    if unknown { NotLive::Unavailable(refused.detail) } else { NotLive::Refused(refused) }
}

/// Whether it is our handshake that was answered, with our protocol (RFC 6455, section 4.1).
fn agrees(response: &Response, key: &str) -> Result<(), NotLive> {
    let is = |name: HeaderName, expected: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value == expected)
    };
    let accepted = is(SEC_WEBSOCKET_ACCEPT, &derive_accept_key(key.as_bytes()));
    if accepted && is(SEC_WEBSOCKET_PROTOCOL, LIVE_PROTOCOL) {
        Ok(())
    } else {
        Err(NotLive::Unavailable(format!("whoever answers does not speak {LIVE_PROTOCOL}")))
    }
}

impl HttpLive {
    /// What a frame of the socket means; `None` for what is nobody's but the socket's.
    fn read(&mut self, frame: Option<Result<Message, Error>>) -> Option<Result<LiveMessage, LiveEnd>> {
        self.heard = Instant::now();
        match frame {
            Some(Ok(Message::Binary(frames))) => Some(self.log(&frames)),
            Some(Ok(Message::Text(text))) => {
                // A later gateway may tell what this version does not know.
                serde_json::from_str::<LiveNotice>(&text).ok().map(|notice| Ok(LiveMessage::Notice(notice)))
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => None,
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map_or(NO_STATUS, |frame| frame.code.into());
                Some(Err(LiveEnd::Closed(code)))
            }
            Some(Err(error)) => Some(Err(lost(error))),
            None => Some(Err(lost("the connection has ended"))),
        }
    }

    fn log(&mut self, frames: &[u8]) -> Result<LiveMessage, LiveEnd> {
        let lines = self.decoder.decode_all(frames, MAX_DECODED_BYTES);
        let lines = lines.map_err(|error| LiveEnd::Lost(damaged(error)))?;
        let lines = String::from_utf8(lines).map_err(|_| LiveEnd::Lost(damaged("it is not UTF-8")))?;
        Ok(LiveMessage::Log(lines))
    }
}

fn lost(why: impl std::fmt::Display) -> LiveEnd {
    LiveEnd::Lost(Unreachable::broken(format!("the live connection was lost: {why}")))
}

impl LiveStream for HttpLive {
    async fn next(&mut self) -> Result<LiveMessage, LiveEnd> {
        loop {
            let silent_at = self.heard + self.silence_max;
            let Ok(frame) = timeout_at(silent_at, self.socket.next()).await else {
                return Err(lost(format_args!("nothing was heard for {} s", self.silence_max.as_secs())));
            };
            if let Some(message) = self.read(frame) {
                return message;
            }
        }
    }

    fn ready(&mut self) -> Option<Result<LiveMessage, LiveEnd>> {
        loop {
            let frame = self.socket.next().now_or_never()?;
            if let Some(message) = self.read(frame) {
                return Some(message);
            }
        }
    }

    async fn say(&mut self, call: &LiveCall) -> Result<(), LiveEnd> {
        let text = serde_json::to_string(call).map_err(lost)?;
        match timeout(SAY_TIMEOUT, self.socket.send(Message::text(text))).await {
            Ok(sent) => sent.map_err(lost),
            Err(_) => Err(lost("what is said is not taken in")),
        }
    }
}
