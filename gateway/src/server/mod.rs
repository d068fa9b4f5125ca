//! The server of both listeners: accepts connections within their limits, speaks TLS where it is asked to, and HTTP/1 or
//! HTTP/2 with what each may cost; closes what is slow or idle; and when it stops, lets every connection finish.

mod activity;
mod answer;
mod caller;
mod config;
mod connections;
mod request;
mod socket;
mod tls;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, Version, header};
use axum::response::IntoResponse;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tidelog_events::code::Refusal;
use tidelog_runtime::metrics::Metric;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::Service;

pub use caller::ClientAddress;
pub(crate) use caller::{PeerAddress, network_of};
pub use config::ServerConfig;
pub(crate) use request::note_route;
pub use tls::TlsError;

use crate::problem::Problem;
use activity::{Activity, Patience, Verdict};
use answer::AnswerBody;
use connections::{Connections, Place};
use socket::{Socket, Transport};

/// The metrics of connections.
pub(crate) const METRICS: &[Metric] = &[
    Metric::level("tidelog_gateway_connections", "Connections that are open"),
    Metric::counter(
        "tidelog_gateway_refused_connections_total",
        "Connections that were closed as soon as they were made, by limit",
    )
    .by(&[("limit", &["all", "address"])]),
    Metric::counter(
        "tidelog_gateway_slow_connections_total",
        "Connections that were closed since they were slow, by what was",
    )
    .by(&[("what", &["handshake", "head", "answer"])]),
];

/// How long accepting rests after an error such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a connection is looked at that is about to ask something when the server closes.
const LAST_LOOK: Duration = Duration::from_millis(20);

/// The settings that both listeners share.
pub(crate) struct Server {
    config: ServerConfig,
    http: Builder<TokioExecutor>,
    patience: Patience,
    tls: Option<TlsAcceptor>,
    stop: Stop,
    open: TaskTracker,
}

/// How the server stops, in two steps.
#[derive(Clone)]
pub(crate) struct Stop {
    /// Everything is served still, and callers are asked to go elsewhere with their next request.
    pub(crate) leaving: CancellationToken,
    /// Nobody is let in any more, and what is under way is finished.
    pub(crate) closing: CancellationToken,
}

/// One listener's server.
struct Listening {
    server: Arc<Server>,
    tls: Option<TlsAcceptor>,
    router: Router,
}

impl Server {
    /// Serves until `stop`.
    ///
    /// # Errors
    /// There is no TLS to start with.
    pub(crate) fn new(config: ServerConfig, stop: Stop) -> Result<Arc<Self>, TlsError> {
        let tls = tls::acceptor(&config, stop.closing.clone())?;
        let (http, patience) = (http(&config), Patience::new(&config));
        Ok(Arc::new(Self { config, http, patience, tls, stop, open: TaskTracker::new() }))
    }

    /// Connections that are open, WebSockets among them.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    async fn ended(&self) {
        self.open.close();
        self.open.wait().await;
    }

    /// Serves what everyone may reach, over TLS where that is configured, until after `stop` the last connection has ended.
    pub(crate) async fn serve_public(self: Arc<Self>, listener: TcpListener, router: Router) {
        let tls = self.tls.clone();
        self.serve(listener, tls, router).await;
    }

    /// The same of what only insiders may reach, without TLS.
    pub(crate) async fn serve_inside(self: Arc<Self>, listener: TcpListener, router: Router) {
        self.serve(listener, None, router).await;
    }

    async fn serve(self: Arc<Self>, listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
        let (closing, connections) = (self.stop.closing.clone(), Connections::new(&self.config));
        let listening = Arc::new(Listening { server: self, tls, router });
        while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => listening.clone().take(stream, peer, &connections),
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "connections cannot be accepted just now");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Those whom the system has let in are served still. Yielding has it told what has come meanwhile.
        yield_now().await;
        while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
            listening.clone().take(stream, peer, &connections);
        }
        // Whoever comes now is refused by the system.
        drop(listener);
        listening.server.ended().await;
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn http(config: &ServerConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .max_buf_size(config.header_bytes)
        .max_headers(config.headers)
        // Its clock would also run while a connection is idle; ours tells the two apart.
        .header_read_timeout(None);
    builder
        .http2()
        // Without `enable_connect_protocol` (RFC 8441): live connections are upgrades of HTTP/1, and a client that is told of
        // WebSockets over HTTP/2 would try them in vain.
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.http2_streams)
        .max_header_list_size(u32::try_from(config.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(config.http2_pending_resets)
        .max_local_error_reset_streams(config.http2_error_resets)
        .initial_stream_window_size(config.http2_stream_window_bytes as u32)
        .initial_connection_window_size(config.http2_connection_window_bytes as u32)
        .max_send_buf_size(config.http2_send_buffer_bytes as usize)
        .keep_alive_interval(Duration::from_millis(config.http2_ping_interval_ms))
        .keep_alive_timeout(Duration::from_millis(config.http2_ping_timeout_ms));
    builder
}

impl Listening {
    /// Serves a connection in a task of its own, if there is a place for it.
    fn take(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, connections: &Connections) {
        let peer = peer.ip().to_canonical();
        match connections.place(peer) {
            Ok(place) => {
                // Before the task begins, which may be after the server has looked whether all connections have ended.
                let open = self.server.open.token();
                tokio::spawn(async move {
                    // Answers are written whole; waiting for more to send would only delay them.
                    let _ = stream.set_nodelay(true);
                    if let Some(socket) = self.open(stream, place, open).await {
                        self.serve(socket, PeerAddress(peer)).await;
                    }
                });
            }
            // An answer would cost more than the connection does.
            Err(full) => {
                metrics::counter!("tidelog_gateway_refused_connections_total", "limit" => full.as_str())
                    .increment(1);
            }
        }
    }

    /// The socket, its TLS handshake behind it.
    async fn open(&self, stream: TcpStream, place: Place, open: TaskTrackerToken) -> Option<Socket> {
        let transport = match &self.tls {
            None => Transport::Plain(stream),
            Some(tls) => match timeout(self.server.config.header_timeout(), tls.accept(stream)).await {
                Ok(Ok(stream)) => Transport::Tls(Box::new(stream)),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a TLS handshake failed");
                    return None;
                }
                Err(_) => {
                    slow("handshake");
                    return None;
                }
            },
        };
        Some(Socket { transport, activity: Arc::new(Activity::new()), _place: place, _open: open })
    }

    /// Serves the connection until it ends, is closed, or becomes a WebSocket, which goes on alone.
    async fn serve(&self, socket: Socket, peer: PeerAddress) {
        let Server { http, patience, stop, .. } = &*self.server;
        let activity = socket.activity.clone();
        let service = service_fn(|request: Request<Incoming>| self.answer(request, peer, &activity));
        let mut connection = pin!(http.serve_connection_with_upgrades(TokioIo::new(socket), service));
        let mut look = pin!(sleep(patience.look()));
        let mut closing = pin!(stop.closing.cancelled());
        let (mut is_closing, mut is_ending) = (false, false);
        loop {
            tokio::select! {
                // First, so that what has arrived is read before it is decided that there is nothing.
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended");
                    }
                    return;
                }
                () = closing.as_mut(), if !is_closing => {
                    is_closing = true;
                    // The system tells what has arrived, and the connection reads it; then comes the look.
                    yield_now().await;
                    look.as_mut().reset(Instant::now());
                }
                () = look.as_mut() => match activity.verdict(patience) {
                    Verdict::Slow(what) => return slow(what),
                    Verdict::Idle if is_ending => return,
                    Verdict::Stays(_) if is_closing && !is_ending && activity.is_about_to_ask() => {
                        look.as_mut().reset(Instant::now() + LAST_LOOK);
                    }
                    Verdict::Stays(next) if is_ending || !is_closing => look.as_mut().reset(next),
                    Verdict::Stays(_) | Verdict::Idle => {
                        // HTTP/2 says so before it closes, and finishes what comes meanwhile.
                        is_ending = true;
                        connection.as_mut().graceful_shutdown();
                        look.as_mut().reset(Instant::now() + patience.look());
                    }
                }
            }
        }
    }

    fn answer(
        &self,
        request: Request<Incoming>,
        peer: PeerAddress,
        activity: &Arc<Activity>,
    ) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + use<> {
        let is_http2 = request.version() == Version::HTTP_2;
        let under_way = activity.begin(is_http2);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let (mut router, most) = (self.router.clone(), self.server.config.request_timeout());
        let leaving = self.server.stop.leaving.clone();
        async move {
            let response = request::traced(request, |request| async move {
                // A router is always ready.
                if let Ok(answer) = timeout(most, router.call(request)).await {
                    return answer.unwrap_or_else(|never| match never {});
                }
                let detail = format!("the request was not answered within {} ms", most.as_millis());
                Problem::new(Refusal::RequestTimeout, detail).into_response()
            });
            let mut response = response.await;
            // HTTP/2 has its own way of saying so.
            if leaving.is_cancelled() && !is_http2 && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| AnswerBody::new(body, under_way)))
        }
    }
}

fn slow(what: &'static str) {
    metrics::counter!("tidelog_gateway_slow_connections_total", "what" => what).increment(1);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use axum::routing::get;
    use tidelog_runtime::config::{Config, Sources};
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn who_is_let_in_by_the_last_look_is_served_before_the_server_has_ended() {
        let config = Config::load(&Sources::default()).unwrap().section("server").unwrap();
        let stop = Stop { leaving: CancellationToken::new(), closing: CancellationToken::new() };
        let server = Server::new(config, stop.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let is_served = Arc::new(AtomicBool::new(false));
        let noted = is_served.clone();
        let router = Router::new().route("/", get(async move || noted.store(true, Relaxed)));
        stop.closing.cancel();
        server.clone().serve_inside(listener, router).await;
        assert!(is_served.load(Relaxed));
        assert_eq!(server.open(), 0);
    }
}
