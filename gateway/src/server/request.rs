//! What every request has from its head to its answer: an id, a span of its trace, and both on its log lines.

use std::future::Future;

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::{HeaderName, Method, Request};
use axum::middleware::Next;
use axum::response::Response;
use tidelog_events::code::Refusal;
use tidelog_events::protocol::REQUEST_ID_HEADER;
use tidelog_runtime::telemetry::Trace;
use tokio::time::Instant;
use tracing::Instrument;

use crate::request_id::RequestId;

/// Answers a request within its trace, a child of the caller's if it sends W3C trace context.
pub(super) fn traced<F: Future<Output = Response>>(
    request: Request<Body>,
    answer: impl FnOnce(Request<Body>) -> F,
) -> impl Future<Output = Response> {
    let method = known(request.method());
    let trace = Trace::of_request(method, request.headers());
    let id = RequestId::of_request(request.headers(), &trace);
    // Of the highest level, so that every line has it that is logged at all.
    let span = tracing::error_span!(
        "request",
        method = %request.method(),
        path = request.uri().path(),
        request_id = %id,
        trace_id = %trace.id()
    );
    if trace.is_kept() {
        trace.set("http.request.method", method);
        trace.set("tidelog.request_id", id.to_string());
    }
    let header = id.to_header();
    let trace = trace.carrying(id);
    let started = Instant::now();
    let answer = answer(request);
    let within = trace.clone();
    let answered = async move {
        let mut response = answer.await;
        told(&within, &response, started);
        if let Some(id) = header {
            response.headers_mut().insert(HeaderName::from_static(REQUEST_ID_HEADER), id);
        }
        response
    };
    trace.scope(answered).instrument(span)
}

/// The method's name; anything can stand in a request, and must not become the name of a span.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

/// Says what the answer is, in the log and in the trace.
fn told(trace: &Trace, response: &Response, started: Instant) {
    let status = response.status();
    let code = response.extensions().get::<Refusal>().map(|code| code.as_str());
    let ms = started.elapsed().as_millis() as u64;
    trace.set("http.response.status_code", i64::from(status.as_u16()));
    if let Some(code) = code {
        trace.set("tidelog.code", code);
    }
    if status.is_server_error() {
        trace.set("error.type", code.unwrap_or("internal"));
        trace.fail();
        tracing::info!(status = status.as_u16(), code, ms, "answered");
    } else {
        tracing::debug!(status = status.as_u16(), code, ms, "answered");
    }
}

/// Names the request's span after its route, which is known only once it was found.
pub(crate) async fn note_route(request: axum::extract::Request, next: Next) -> Response {
    let trace = Trace::current();
    if trace.is_kept()
        && let Some(route) = request.extensions().get::<MatchedPath>()
    {
        trace.rename(format!("{} {}", known(request.method()), route.as_str()));
        trace.set("http.route", route.as_str().to_owned());
    }
    next.run(request).await
}
