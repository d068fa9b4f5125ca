//! Trace context in the headers of requests and messages (W3C `traceparent`, `tracestate`).

use async_nats::HeaderMap as NatsHeaders;
use axum::http::HeaderMap as HttpHeaders;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// Bytes of a trace header that are passed on. W3C asks for 512; an unbounded one would eat the room that messages
/// keep for headers.
const MAX_TRACE_HEADER_BYTES: usize = 512;

/// What the caller says; an empty context where that is nothing, or nonsense.
pub(super) fn of_request(headers: &HttpHeaders) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &FromHttp(headers))
}

/// The same of a message.
pub(super) fn of_message(headers: Option<&NatsHeaders>) -> Context {
    let propagator = TraceContextPropagator::new();
    headers
        .map(|headers| propagator.extract_with_context(&Context::new(), &FromNats(headers)))
        .unwrap_or_default()
}

/// Writes the context; one without a span leaves the headers as they are.
pub(super) fn inject(context: &Context, headers: &mut NatsHeaders) {
    TraceContextPropagator::new().inject_context(context, &mut IntoNats(headers));
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
