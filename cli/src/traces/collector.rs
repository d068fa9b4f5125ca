//! Takes traces as OTLP over HTTP, as protobuf, and keeps them until they are taken.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, status::StatusCode as SpanStatus};
use prost::Message;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Bytes of one request.
const BODY_BYTES: usize = 16 * 1024 * 1024;
/// Spans that are kept; what comes then is refused.
const SPANS_MAX: usize = 100_000;

/// A span as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSpan {
    /// Of its trace, in hexadecimal.
    pub trace_id: String,
    /// Its own.
    pub id: String,
    /// Of the span above it; empty for the first.
    pub parent_id: String,
    /// The service's name.
    pub service: String,
    /// What it is.
    pub name: String,
    /// Of what kind: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    /// When it began, in nanoseconds since 1970.
    pub begun_ns: u64,
    /// When it ended.
    pub ended_ns: u64,
    /// Whether it failed.
    pub failed: bool,
    /// What is said of it.
    pub attributes: BTreeMap<String, String>,
}

#[derive(Default)]
struct Collected {
    spans: Vec<TraceSpan>,
    /// When something of a trace came last.
    heard: BTreeMap<String, Option<Instant>>,
    headers: Vec<HeaderMap>,
}

/// A collector. Dropping it ends it.
pub struct TraceCollector {
    address: SocketAddr,
    collected: Arc<Mutex<Collected>>,
    _serving: AbortOnDropHandle<()>,
}

impl TraceCollector {
    /// Takes what comes in there.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn start(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let collected = Arc::<Mutex<Collected>>::default();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .layer(DefaultBodyLimit::max(BODY_BYTES))
            .with_state(collected.clone());
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the collector failed: {error}");
            }
        });
        Ok(Self { address, collected, _serving: AbortOnDropHandle::new(serving) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The spans that are here, in the order in which they came.
    pub fn spans(&self) -> Vec<TraceSpan> {
        lock(&self.collected).spans.clone()
    }

    /// The headers of the requests that came.
    pub fn headers(&self) -> Vec<HeaderMap> {
        lock(&self.collected).headers.clone()
    }

    /// Takes the traces of which nothing has come for so long.
    pub fn take_quiet(&self, quiet: Duration) -> Vec<Vec<TraceSpan>> {
        let mut collected = lock(&self.collected);
        collected.headers.clear();
        let is_quiet = |heard: &Option<Instant>| heard.is_some_and(|heard| heard.elapsed() >= quiet);
        let done: Vec<String> =
            collected.heard.iter().filter(|(_, heard)| is_quiet(heard)).map(|(id, _)| id.clone()).collect();
        let take = |id: String| {
            collected.heard.remove(&id);
            collected.spans.extract_if(.., |span| span.trace_id == id).collect()
        };
        done.into_iter().map(take).collect()
    }
}

async fn take(State(collected): State<Arc<Mutex<Collected>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    let spans: Vec<TraceSpan> = request.resource_spans.into_iter().flat_map(spans).collect();
    let mut collected = lock(&collected);
    if collected.spans.len() + spans.len() > SPANS_MAX {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let now = Some(Instant::now());
    collected.heard.extend(spans.iter().map(|span| (span.trace_id.clone(), now)));
    collected.spans.extend(spans);
    collected.headers.push(headers);
    StatusCode::OK
}

fn lock(collected: &Mutex<Collected>) -> MutexGuard<'_, Collected> {
    collected.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spans(from: ResourceSpans) -> Vec<TraceSpan> {
    let resource = texts(from.resource.map(|resource| resource.attributes).unwrap_or_default());
    let service = resource.get("service.name").cloned().unwrap_or_default();
    let spans = from.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(|span| read(span, service.clone())).collect()
}

fn read(span: Span, service: String) -> TraceSpan {
    let failed = span.status.is_some_and(|status| status.code == SpanStatus::Error as i32);
    TraceSpan {
        trace_id: HEXLOWER.encode(&span.trace_id),
        id: HEXLOWER.encode(&span.span_id),
        parent_id: HEXLOWER.encode(&span.parent_span_id),
        service,
        name: span.name,
        kind: span.kind,
        begun_ns: span.start_time_unix_nano,
        ended_ns: span.end_time_unix_nano,
        failed,
        attributes: texts(span.attributes),
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(is)) => is.to_string(),
        _ => String::new(),
    };
    attributes.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}
