//! Logs for people and for collectors, and the trace context that goes with a request from HTTP through the
//! headers of messages to every service.

use std::io::IsTerminal;

use async_nats::HeaderMap as NatsHeaders;
use axum::http::HeaderMap as HttpHeaders;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde::Deserialize;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, fmt};

const TRACEPARENT: &str = "traceparent";

/// Bytes of a trace header that are passed on. W3C asks for 512; an unbounded one would eat the room that messages
/// keep for headers.
const MAX_TRACE_HEADER_BYTES: usize = 512;

/// `[telemetry]` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Who reads the log.
    pub format: LogFormat,
    /// What is logged: a `tracing` filter.
    pub filter: String,
}

/// Who reads the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A person at a terminal.
    Human,
    /// A log collector: one JSON object a line.
    Json,
}

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `telemetry.filter` is no filter.
    #[error("`telemetry.filter` is not a valid filter")]
    Filter(#[from] ParseError),
    /// It was set up before in this process; that stays in force.
    #[error("telemetry was set up already in this process")]
    AlreadyInstalled(#[from] TryInitError),
}

/// Sets up logs and traces of this process. The log goes to standard error.
///
/// # Errors
/// The filter cannot be parsed, or telemetry was set up before.
pub fn init(config: &TelemetryConfig, service: &'static str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let lines = match config.format {
        LogFormat::Human => {
            fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).boxed()
        }
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).with(traces(service)).try_init()?;
    Ok(())
}

/// Gives spans their trace ids. Nothing is exported.
fn traces<S>(service: &'static str) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let resource = Resource::builder().with_service_name(service).build();
    let provider = SdkTracerProvider::builder().with_resource(resource).build();
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(service))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
}

/// Makes `span` a child of the span that the request's `traceparent` names, if it has one, and records its trace id
/// in the span's field `trace_id`, if it declares one. To be called before the span is entered.
pub fn set_parent_from_http(span: &Span, headers: &HttpHeaders) {
    set_parent(span, &FromHttp(headers));
}

/// The same for a message.
pub fn set_parent_from_nats(span: &Span, headers: Option<&NatsHeaders>) {
    if let Some(headers) = headers {
        set_parent(span, &FromNats(headers));
    } else {
        record_trace_id(span);
    }
}

/// Writes the trace context of `span` into a message's headers (`traceparent`, `tracestate`). A span without trace
/// leaves them as they are.
pub fn inject(span: &Span, headers: &mut NatsHeaders) {
    TraceContextPropagator::new().inject_context(&span.context(), &mut IntoNats(headers));
}

/// The `traceparent` of `span`, if it belongs to a trace.
pub fn traceparent(span: &Span) -> Option<String> {
    let mut headers = NatsHeaders::new();
    inject(span, &mut headers);
    headers.get(TRACEPARENT).map(ToString::to_string)
}

fn set_parent(span: &Span, carrier: &dyn Extractor) {
    let context = TraceContextPropagator::new().extract(carrier);
    // A span that cannot take a parent any more begins a trace of its own.
    if context.span().span_context().is_valid() && span.set_parent(context).is_err() {
        tracing::debug!("the span was entered before its parent was set");
    }
    record_trace_id(span);
}

fn record_trace_id(span: &Span) {
    if span.has_field("trace_id") {
        let context = span.context();
        let trace_id = context.span().span_context().trace_id();
        span.record("trace_id", tracing::field::display(trace_id));
    }
}

fn within_bounds(value: &str) -> bool {
    value.len() <= MAX_TRACE_HEADER_BYTES
}

struct FromHttp<'a>(&'a HttpHeaders);

impl Extractor for FromHttp<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok()).filter(|value| within_bounds(value))
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

struct FromNats<'a>(&'a NatsHeaders);

impl Extractor for FromNats<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(async_nats::HeaderValue::as_str).filter(|value| within_bounds(value))
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_ref()).collect()
    }
}

struct IntoNats<'a>(&'a mut NatsHeaders);

impl Injector for IntoNats<'_> {
    fn set(&mut self, key: &str, value: String) {
        // Parsed, not converted: the conversion panics on a line break.
        if let Ok(value) = value.parse::<async_nats::HeaderValue>()
            && !value.as_str().is_empty()
        {
            self.0.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::info_span;
    use tracing_subscriber::Registry;

    use super::*;

    const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn traced<T>(test: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(Registry::default().with(traces("test")), test)
    }

    fn trace_id(span: &Span) -> String {
        span.context().span().span_context().trace_id().to_string()
    }

    #[test]
    fn a_trace_goes_from_http_through_a_message_to_the_next_service() {
        traced(|| {
            let mut request = HttpHeaders::new();
            request.insert(TRACEPARENT, PARENT.parse().unwrap());
            request.insert("tracestate", "vendor=value".parse().unwrap());
            let in_gateway = info_span!("push");
            set_parent_from_http(&in_gateway, &request);

            let mut message = NatsHeaders::new();
            inject(&in_gateway, &mut message);
            let sent = message.get(TRACEPARENT).unwrap().to_string();
            assert!(sent.contains(TRACE_ID) && sent != PARENT, "{sent}");
            assert_eq!(traceparent(&in_gateway), Some(sent));
            assert_eq!(message.get("tracestate").unwrap().as_str(), "vendor=value");

            let in_ingest = info_span!("batch");
            set_parent_from_nats(&in_ingest, Some(&message));
            assert_eq!(trace_id(&in_ingest), TRACE_ID);
        });
    }

    #[test]
    fn nonsense_in_trace_headers_is_ignored() {
        traced(|| {
            for nonsense in ["", "00", "00-xyz-1-01", &format!("{PARENT}-"), &"0".repeat(100_000)] {
                let mut request = HttpHeaders::new();
                request.insert(TRACEPARENT, nonsense.parse().unwrap());
                request.insert("tracestate", "x".repeat(100_000).parse().unwrap());
                let span = info_span!("push");
                set_parent_from_http(&span, &request);
                let mut message = NatsHeaders::new();
                inject(&span, &mut message);
                assert!(message.get(TRACEPARENT).is_some(), "a trace of its own");
                assert!(message.get("tracestate").is_none());
            }
        });
    }

    #[test]
    fn without_telemetry_nothing_is_injected_and_nothing_fails() {
        let span = Span::none();
        set_parent_from_nats(&span, None);
        assert_eq!(traceparent(&span), None);
    }

    #[test]
    fn telemetry_is_set_up_once_and_the_second_time_is_an_error_not_a_panic() {
        let config = TelemetryConfig { format: LogFormat::Json, filter: "off".to_owned() };
        let _ = init(&config, "test");
        assert!(matches!(init(&config, "test"), Err(TelemetryError::AlreadyInstalled(_))));
        let config = TelemetryConfig { filter: "a=b=c".to_owned(), ..config };
        assert!(matches!(init(&config, "test"), Err(TelemetryError::Filter(_))));
    }
}
