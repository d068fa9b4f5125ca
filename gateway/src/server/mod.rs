//! The server of both listeners: accepts connections within their limits, speaks TLS where it is asked to, and HTTP/1 or
//! HTTP/2 with what each may cost; closes what is slow or idle; and when it stops, lets every connection finish.

mod activity;
mod answer;
mod caller;
mod config;
mod connections;
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
use axum::http::{Request, Response, Version};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tidelog_events::code::Refusal;
use tidelog_runtime::metrics::{Metric, MetricKind};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

pub use caller::ClientAddress;
pub(crate) use caller::{PeerAddress, network_of};
pub use config::ServerConfig;
pub use tls::TlsError;

use crate::problem::Problem;
use activity::{Activity, Patience, Verdict};
use answer::AnswerBody;
use connections::{Connections, Place};
use socket::{Socket, Transport};

/// The metrics of connections.
pub(crate) const METRICS: &[Metric] = &[
    ("tidelog_gateway_connections", MetricKind::Gauge, "Connections that are open"),
    (
        "tidelog_gateway_refused_connections_total",
        MetricKind::Counter,
        "Connections that were closed as soon as they were made, by limit",
    ),
    (
        "tidelog_gateway_slow_connections_total",
        MetricKind::Counter,
        "Connections that were closed since they were slow, by what was",
    ),
];

/// How long accepting rests after an error such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The settings that both listeners share.
pub(crate) struct Server {
    config: ServerConfig,
    http: Builder<TokioExecutor>,
    patience: Patience,
    tls: Option<TlsAcceptor>,
    shutdown: CancellationToken,
}

/// One listener's server.
struct Listening {
    server: Arc<Server>,
    tls: Option<TlsAcceptor>,
    router: Router,
    open: TaskTracker,
}

impl Server {
    /// Serves until `shutdown`.
    ///
    /// # Errors
    /// There is no TLS to start with.
    pub(crate) fn new(config: ServerConfig, shutdown: CancellationToken) -> Result<Arc<Self>, TlsError> {
        let tls = tls::acceptor(&config, shutdown.clone())?;
        let (http, patience) = (http(&config), Patience::new(&config));
        Ok(Arc::new(Self { config, http, patience, tls, shutdown }))
    }

    /// Serves what everyone may reach, over TLS where that is configured.
    pub(crate) async fn serve_public(self: Arc<Self>, listener: TcpListener, router: Router) {
        let tls = self.tls.clone();
        self.serve(listener, tls, router).await;
    }

    /// Serves what only insiders may reach, without TLS.
    pub(crate) async fn serve_inside(self: Arc<Self>, listener: TcpListener, router: Router) {
        self.serve(listener, None, router).await;
    }

    async fn serve(self: Arc<Self>, listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
        let (shutdown, connections) = (self.shutdown.clone(), Connections::new(&self.config));
        let listening = Arc::new(Listening { server: self, tls, router, open: TaskTracker::new() });
        while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => listening.clone().take(stream, peer, &connections),
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "connections cannot be accepted just now");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Whoever comes now is refused by the system.
        drop(listener);
        listening.open.close();
        listening.open.wait().await;
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
                tokio::spawn(async move {
                    // Answers are written whole; waiting for more to send would only delay them.
                    let _ = stream.set_nodelay(true);
                    if let Some(socket) = self.open(stream, place).await {
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
    async fn open(&self, stream: TcpStream, place: Place) -> Option<Socket> {
        let open = self.open.token();
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
        let Server { http, patience, shutdown, .. } = &*self.server;
        let activity = socket.activity.clone();
        let service = service_fn(|request: Request<Incoming>| self.answer(request, peer, &activity));
        let mut connection = pin!(http.serve_connection_with_upgrades(TokioIo::new(socket), service));
        let mut look = pin!(sleep(patience.look()));
        let mut stopping = pin!(shutdown.cancelled());
        let mut is_ending = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended");
                    }
                    return;
                }
                () = stopping.as_mut(), if !is_ending => {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = look.as_mut() => match activity.verdict(patience) {
                    Verdict::Stays(next) => look.as_mut().reset(next),
                    Verdict::Idle if is_ending => return,
                    Verdict::Idle => {
                        // HTTP/2 says so before it closes, and finishes what comes meanwhile.
                        is_ending = true;
                        connection.as_mut().graceful_shutdown();
                        look.as_mut().reset(Instant::now() + patience.look());
                    }
                    Verdict::Slow(what) => return slow(what),
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
        let under_way = activity.begin(request.version() == Version::HTTP_2);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        // A router is always ready.
        let answer = self.router.clone().call(request);
        let most = self.server.config.request_timeout();
        async move {
            let response = if let Ok(answer) = timeout(most, answer).await {
                answer?
            } else {
                let detail = format!("the request was not answered within {} ms", most.as_millis());
                Problem::new(Refusal::RequestTimeout, detail).into_response()
            };
            Ok(response.map(|body| AnswerBody::new(body, under_way)))
        }
    }
}

fn slow(what: &'static str) {
    metrics::counter!("tidelog_gateway_slow_connections_total", "what" => what).increment(1);
}
