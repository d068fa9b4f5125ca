//! A span of a trace, as services hold it. A trace that nobody keeps costs its ids and nothing more.

use std::borrow::Cow;
use std::future::Future;
use std::sync::{LazyLock, OnceLock};
use std::time::SystemTime;

use async_nats::HeaderMap as NatsHeaders;
use axum::http::HeaderMap as HttpHeaders;
use opentelemetry::trace::{FutureExt, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

pub use opentelemetry::trace::TraceId;

use super::headers;

const SCOPE: &str = "tidelog";

/// What [`super::init`] set up.
static INSTALLED: OnceLock<SdkTracer> = OnceLock::new();

/// Gives ids where nothing was set up.
static QUIET: LazyLock<SdkTracer> = LazyLock::new(|| {
    let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
    SdkTracerProvider::builder().with_sampler(sampler).build().tracer(SCOPE)
});

/// Lets the traces of this process begin by that provider; the first one stays.
pub(super) fn install(provider: &SdkTracerProvider) {
    let _ = INSTALLED.set(provider.tracer(SCOPE));
}

fn begin(
    tracer: &SdkTracer,
    name: Cow<'static, str>,
    kind: SpanKind,
    from: Option<SystemTime>,
    parent: &Context,
) -> Trace {
    let mut builder = tracer.span_builder(name).with_kind(kind);
    builder.start_time = from;
    Trace(parent.with_span(builder.start_with_context(tracer, parent)))
}

/// A span, and the trace that it belongs to. Clones are the same span: it ends with the last of them, or before that when
/// [`Trace::end`] says so. Attributes never name people, spaces or devices: traces leave the installation.
#[derive(Debug, Clone)]
pub struct Trace(Context);

impl Trace {
    /// The one in whose [`Trace::scope`] this runs; outside of any, one that belongs to no trace.
    pub fn current() -> Self {
        Self(Context::current())
    }

    /// A span of a trace of its own.
    pub fn root(name: &'static str, kind: SpanKind) -> Self {
        begin(tracer(), name.into(), kind, None, &Context::new())
    }

    /// The span of a request: a child of the caller's, if the headers name one.
    pub fn of_request(name: impl Into<Cow<'static, str>>, headers: &HttpHeaders) -> Self {
        begin(tracer(), name.into(), SpanKind::Server, None, &headers::of_request(headers))
    }

    /// The span of a message from that stream: a child of the sender's. It begins when the message was published.
    pub fn of_message(
        name: &'static str,
        stream: &'static str,
        headers: Option<&NatsHeaders>,
        published: SystemTime,
    ) -> Self {
        let (parent, from) = (headers::of_message(headers), published.min(super::now()));
        begin(tracer(), name.into(), SpanKind::Consumer, Some(from), &parent).through(stream)
    }

    /// The span of a message that is published to that stream, to be put into its headers.
    #[must_use]
    pub fn publish(&self, stream: &'static str) -> Self {
        self.child("publish", SpanKind::Producer).through(stream)
    }

    fn through(self, stream: &'static str) -> Self {
        self.set("messaging.system", "nats");
        self.set("messaging.destination.name", stream);
        self
    }

    /// A span below this one, from now on. Where the trace is not kept, it is this one.
    #[must_use]
    pub fn child(&self, name: &'static str, kind: SpanKind) -> Self {
        if self.is_kept() { begin(tracer(), name.into(), kind, None, &self.0) } else { self.clone() }
    }

    /// A span below this one that is over, with attributes. The clocks of two machines may differ: it
    /// never ends before it begins.
    pub fn step(
        &self,
        name: &'static str,
        from: SystemTime,
        to: SystemTime,
        attributes: &[(&'static str, i64)],
    ) {
        if !self.is_kept() {
            return;
        }
        let step = begin(tracer(), name.into(), SpanKind::Internal, Some(from.min(to)), &self.0);
        for (key, value) in attributes {
            step.set(key, *value);
        }
        step.0.span().end_with_timestamp(to);
    }

    /// Whether the trace is kept, to be exported.
    pub fn is_kept(&self) -> bool {
        self.0.span().span_context().is_sampled()
    }

    /// The trace's id; zeros outside of any trace.
    pub fn id(&self) -> TraceId {
        self.0.span().span_context().trace_id()
    }

    /// Gives the span an attribute.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if self.is_kept() {
            self.0.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Gives the span another name.
    pub fn rename(&self, name: String) {
        self.0.span().update_name(name);
    }

    /// Marks the span as failed; of what, its attributes say.
    pub fn fail(&self) {
        self.0.span().set_status(Status::error(""));
    }

    /// Ends the span, though clones of it live on.
    pub fn end(&self) {
        self.0.span().end();
    }

    /// The same span with a value that goes along with it, below it as well.
    #[must_use]
    pub fn carrying<T: Send + Sync + 'static>(self, value: T) -> Self {
        Self(self.0.with_value(value))
    }

    /// The value of that type that goes along.
    pub fn carried<T: 'static>(&self) -> Option<&T> {
        self.0.get()
    }

    /// Runs a future with this as [`Trace::current`].
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future.with_context(self.0.clone())
    }

    /// Writes the trace into a message's headers. One that belongs to no trace leaves them as they are.
    pub fn inject(&self, headers: &mut NatsHeaders) {
        headers::inject(&self.0, headers);
    }
}

fn tracer() -> &'static SdkTracer {
    INSTALLED.get().unwrap_or(&QUIET)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn request(traceparent: &str, tracestate: &str) -> HttpHeaders {
        let mut headers = HttpHeaders::new();
        headers.insert("traceparent", traceparent.parse().unwrap());
        headers.insert("tracestate", tracestate.parse().unwrap());
        headers
    }

    fn injected(trace: &Trace, name: &str) -> Option<String> {
        let mut headers = NatsHeaders::new();
        trace.inject(&mut headers);
        headers.get(name).map(ToString::to_string)
    }

    #[test]
    fn a_trace_goes_from_http_through_a_message_to_the_next_service() {
        let in_gateway = Trace::of_request("request", &request(PARENT, "vendor=value"));
        let mut message = NatsHeaders::new();
        in_gateway.inject(&mut message);
        let sent = message.get("traceparent").unwrap().to_string();
        assert!(sent.contains(TRACE_ID) && sent.ends_with("-01") && sent != PARENT, "{sent}");
        assert_eq!(message.get("tracestate").unwrap().as_str(), "vendor=value");
        let in_ingest = Trace::of_message("batch", "PUSH", Some(&message), super::super::now());
        assert_eq!(in_ingest.id().to_string(), TRACE_ID);
        assert!(in_ingest.is_kept(), "a sampled parent decides");
    }

    #[test]
    fn nonsense_in_trace_headers_is_ignored() {
        for nonsense in ["", "00", "00-xyz-1-01", &format!("{PARENT}-"), &"0".repeat(100_000)] {
            let trace = Trace::of_request("request", &request(nonsense, &"x".repeat(100_000)));
            assert!(injected(&trace, "traceparent").is_some(), "a trace of its own");
            assert_eq!(injected(&trace, "tracestate"), None);
            assert_ne!(trace.id(), TraceId::INVALID);
        }
    }

    #[test]
    fn a_trace_that_is_not_kept_has_one_span_and_keeps_its_id() {
        let trace = Trace::root("request", SpanKind::Server);
        let child = trace.child("judge", SpanKind::Internal);
        assert_eq!(injected(&child, "traceparent"), injected(&trace, "traceparent"));
        assert!(injected(&trace, "traceparent").unwrap().ends_with("-00"));
    }

    #[tokio::test]
    async fn what_runs_in_a_scope_finds_the_trace_and_what_goes_along() {
        let trace = Trace::root("request", SpanKind::Server).carrying(7_u8);
        let id = trace.id();
        let found = trace.scope(async {
            tokio::task::yield_now().await;
            let current = Trace::current();
            (current.id(), current.child("judge", SpanKind::Internal).carried::<u8>().copied())
        });
        assert_eq!(found.await, (id, Some(7)));
    }

    #[test]
    fn outside_of_any_trace_nothing_is_injected_and_nothing_fails() {
        let trace = Trace::current();
        assert_eq!((injected(&trace, "traceparent"), trace.id()), (None, TraceId::INVALID));
        trace.step("queue", SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH, &[]);
        assert!(trace.carried::<u8>().is_none());
    }
}
