//! The operations port of every service: `/healthz`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Config, ConfigError};
use crate::metrics;
use crate::readiness::Readiness;

/// How often the recorder folds away the samples of histograms; without it they pile up.
const UPKEEP: Duration = Duration::from_secs(5);

/// Listens on the address that `key` of the configuration says.
///
/// # Errors
/// It is taken, or none of this machine's.
pub async fn listen(config: &Config, key: &str, address: SocketAddr) -> Result<TcpListener, ConfigError> {
    let refused = |error| config.unusable(key, &format!("cannot listen on {address}: {error}"));
    TcpListener::bind(address).await.map_err(refused)
}

#[derive(Clone)]
struct Operations {
    readiness: Readiness,
    metrics: PrometheusHandle,
}

/// Serves the operations port until the returned handle is dropped. When `shutdown` is cancelled `/readyz` turns
/// red, and everything goes on answering: whoever watches sees the service drain. Hold the handle to the end of
/// `main`; do not await it, it never ends by itself.
#[must_use = "the port closes when the handle is dropped"]
pub fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
) -> AbortOnDropHandle<()> {
    let router = router(readiness.clone(), metrics.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::join!(
            async {
                if let Err(error) = axum::serve(listener, router).await {
                    tracing::error!(%error, "the operations port failed");
                }
            },
            keep_up(&readiness, &metrics),
            async {
                shutdown.cancelled().await;
                readiness.drain();
            },
        );
    }))
}

/// The routes of the operations port.
pub fn router(readiness: Readiness, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render_metrics))
        .with_state(Operations { readiness, metrics })
}

async fn readyz(State(operations): State<Operations>) -> impl IntoResponse {
    let reasons = operations.readiness.reasons();
    if reasons.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{}\n", reasons.join("\n")))
    }
}

async fn render_metrics(State(operations): State<Operations>) -> impl IntoResponse {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    metrics::look_at_process();
    (content_type, operations.metrics.render())
}

async fn keep_up(readiness: &Readiness, metrics: &PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        ::metrics::gauge!("tidelog_ready").set(if readiness.is_ready() { 1.0 } else { 0.0 });
        metrics.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_port_tells_health_readiness_and_metrics_and_goes_on_while_draining() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let readiness = Readiness::new(Duration::from_secs(10));
        let check = readiness.check("broker");
        let shutdown = CancellationToken::new();
        let metrics = crate::metrics::install().unwrap();
        let _serving = serve(listener, readiness.clone(), metrics, shutdown.clone());

        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("broker: not checked yet"), "{answer}");
        check.pass();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        ::metrics::counter!("tidelog_broker_hints_dropped_total").increment(0);
        let answer = get(address, "/metrics").await;
        assert!(answer.contains("tidelog_broker_hints_dropped_total"), "{answer}");

        shutdown.cancel();
        while readiness.is_ready() {
            tokio::task::yield_now().await;
        }
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("stopping"), "{answer}");
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    }
}
