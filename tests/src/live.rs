//! A live connection as a test sees it: what the gateway sends, read by the rules of docs/live.md.

#![expect(clippy::panic, reason = "what comes instead of what must come fails the test")]

use std::collections::VecDeque;
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::Value;
use tidelog_events::frame::{Decoder, PullItem, PullReader, TornPull};
use tidelog_events::id::Position;
use tidelog_events::live::LIVE_PROTOCOL;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::poll::PATIENCE;
use crate::world::World;

const DECODED_BYTES_MAX: usize = 64 << 20;
const NOTICES: [&str; 3] = ["{\"receipt\"", "{\"presence\"", "{\"closing\""];

/// What the gateway says, one thing after the other.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The first thing.
    Hello(Value),
    /// A snapshot, through which position, and how many entity lines came.
    Snapshot(u64, usize),
    /// An event, with its position.
    Event(u64, String),
    /// Something beside the log.
    Notice(Value),
    /// The close frame's code and reason; `None` where there was none.
    Closed(Option<(u16, String)>),
}

/// A connection, from its device's end.
pub struct LiveConnection {
    socket: WebSocketStream<TcpStream>,
    decoder: Decoder,
    /// The last position that came.
    pub cursor: u64,
    began: bool,
    /// What has come and is no whole part yet.
    unread: String,
    told: VecDeque<Told>,
}

impl LiveConnection {
    /// Connects to a path with these headers and subprotocols.
    ///
    /// # Panics
    /// When the gateway chooses another subprotocol than ours.
    pub async fn open(
        gateway: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
        protocols: &str,
    ) -> tungstenite::Result<Self> {
        let mut request = format!("ws://{gateway}{path}").into_client_request()?;
        for (name, value) in headers.iter().copied().chain([("sec-websocket-protocol", protocols)]) {
            request.headers_mut().insert(name, value.parse().expect("a header"));
        }
        let stream = TcpStream::connect(gateway).await?;
        let (socket, answer) = tokio_tungstenite::client_async(request, stream).await?;
        assert_eq!(answer.headers()["sec-websocket-protocol"], LIVE_PROTOCOL);
        let decoder = Decoder::new().expect("a decoder");
        let (unread, told) = (String::new(), VecDeque::new());
        Ok(Self { socket, decoder, cursor: 0, began: false, unread, told })
    }

    /// What comes next.
    ///
    /// # Panics
    /// When nothing comes, or something that the rules do not allow.
    pub async fn next(&mut self) -> Told {
        loop {
            if let Some(told) = self.told.pop_front() {
                return told;
            }
            match timeout(PATIENCE, self.socket.next()).await.expect("something in time") {
                Some(Ok(Message::Binary(frames))) => {
                    let lines = self.decoder.decode_all(&frames, DECODED_BYTES_MAX).expect("frames");
                    self.log(&String::from_utf8(lines).expect("UTF-8"));
                }
                Some(Ok(Message::Text(text))) if NOTICES.iter().any(|key| text.starts_with(key)) => {
                    self.told.push_back(Told::Notice(serde_json::from_str(&text).expect("JSON")));
                }
                Some(Ok(Message::Text(text))) => self.log(&text),
                Some(Ok(Message::Close(frame))) => {
                    let end = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                    self.told.push_back(Told::Closed(end));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => self.told.push_back(Told::Closed(None)),
            }
        }
    }

    fn log(&mut self, lines: &str) {
        assert!(lines.ends_with('\n'), "a message ends where a line ends");
        self.unread.push_str(lines);
        let unread = std::mem::take(&mut self.unread);
        let cursor = Position(self.cursor);
        let mut reader =
            if self.began { PullReader::going_on(&unread, cursor) } else { PullReader::new(&unread, cursor) };
        let mut told = Vec::new();
        loop {
            match reader.next_item() {
                Ok(Some(PullItem::Hello(hello))) => {
                    told.push(Told::Hello(serde_json::to_value(hello).expect("JSON")));
                }
                Ok(Some(PullItem::Snapshot(header, entities))) => {
                    told.push(Told::Snapshot(header.through.0, entities.len()));
                }
                Ok(Some(PullItem::Segment(_, events))) => {
                    told.extend(
                        events.into_iter().map(|(position, line)| Told::Event(position.0, line.to_owned())),
                    );
                }
                Ok(None) => break,
                Err(TornPull::Unfinished) => {
                    self.unread = unread;
                    return;
                }
                Err(torn) => panic!("{torn}: {unread}"),
            }
        }
        self.began = true;
        self.cursor = reader.cursor().0;
        self.told.extend(told);
    }

    /// The hello.
    ///
    /// # Panics
    /// When something else comes first.
    pub async fn hello(&mut self) -> Value {
        match self.next().await {
            Told::Hello(hello) => hello,
            other => panic!("{other:?} came before the hello"),
        }
    }

    /// The next event; notices before it are passed over.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn event(&mut self) -> (u64, String) {
        loop {
            match self.next().await {
                Told::Event(position, line) => return (position, line),
                Told::Notice(_) => {}
                other => panic!("{other:?} came instead of an event"),
            }
        }
    }

    /// The next notice of that kind; everything else before it is passed over.
    ///
    /// # Panics
    /// When the connection ends before it.
    pub async fn notice(&mut self, kind: &str) -> Value {
        loop {
            match self.next().await {
                Told::Notice(notice) if notice.get(kind).is_some() => return notice[kind].clone(),
                Told::Closed(end) => panic!("the connection ended with {end:?} before any {kind}"),
                _ => {}
            }
        }
    }

    /// The close frame, and the notice before it; everything else before it is passed over.
    pub async fn closed(&mut self) -> (Option<Value>, Option<(u16, String)>) {
        let mut closing = None;
        loop {
            match self.next().await {
                Told::Notice(notice) if notice.get("closing").is_some() => {
                    closing = Some(notice["closing"].clone());
                }
                Told::Closed(end) => return (closing, end),
                _ => {}
            }
        }
    }

    /// Sends a text message.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn say(&mut self, text: impl Into<String>) {
        self.socket.send(Message::Text(text.into().into())).await.expect("a connection");
    }

    /// Sends a binary message.
    ///
    /// # Panics
    /// When the connection has ended.
    pub async fn send(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::Binary(bytes.into())).await.expect("a connection");
    }
}

impl World {
    /// A live connection of a user to their own space; `query` as in `after=0&deviceId=phone-1`.
    ///
    /// # Panics
    /// When the gateway refuses it.
    pub async fn live(&self, user: &str, query: &str) -> LiveConnection {
        self.live_with(&format!("/v1/spaces/me/live?{query}"), &self.token(user)).await.expect("a connection")
    }

    /// A live connection to a path with a token.
    pub async fn live_with(&self, path: &str, token: &str) -> tungstenite::Result<LiveConnection> {
        let headers = [("authorization", &*format!("Bearer {token}"))];
        LiveConnection::open(self.address, path, &headers, LIVE_PROTOCOL).await
    }

    /// The answer to a live connection that is refused before it begins.
    pub async fn live_refused(&self, path: &str, token: Option<&str>) -> crate::Answer {
        let request = self.request_with(Method::GET, path, token);
        let handshake = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", LIVE_PROTOCOL),
        ];
        let request = handshake.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        crate::Answer::of(request).await
    }
}
