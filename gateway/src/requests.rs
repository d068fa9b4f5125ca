//! Counts every request of both listeners by its endpoint: how many there are, what they are answered with, and how long
//! that takes. An endpoint is a route of ours, so there are no more of them than of those, whatever is asked for.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use metrics::{Counter, Gauge, Histogram};
use tidelog_runtime::metrics::Metric;
use tokio::time::Instant;

/// The metrics of requests.
pub(crate) const METRICS: &[Metric] = &[
    Metric::counter(
        "tidelog_gateway_requests_total",
        "Requests of both listeners, by endpoint and class of the status; 101 counts as 2xx, and as 4xx a request whose \
         caller went, or whose time ran out, before its answer",
    )
    .by(&[("endpoint", NAMES), ("status", CLASSES)]),
    Metric::histogram(
        "tidelog_gateway_request_seconds",
        "Time from a request's head to its answer's head, by endpoint",
    )
    .by(&[("endpoint", NAMES)]),
    Metric::level("tidelog_gateway_requests_under_way", "Requests whose answers have not begun, by endpoint")
        .by(&[("endpoint", NAMES)]),
];

/// Classes of an answer's status.
const CLASSES: &[&str] = &["2xx", "3xx", "4xx", "5xx"];

/// What none of our routes takes: no such path or method, and preflights.
const OTHER: usize = 0;
/// A pull that asks to wait for news.
const LONG_POLL: usize = 1;

/// Names the endpoints, and says which routes each has.
macro_rules! endpoints {
    ($($name:literal = $($method:literal $path:literal)|+,)*) => {
        /// Every endpoint.
        const NAMES: &[&str] = &["other", "long_poll", $($name,)*];
        /// The routes of each, in the same order.
        const ROUTES: &[&[(&str, &str)]] = &[&[], &[], $(&[$(($method, $path),)+],)*];
    };
}

endpoints! {
    "push" = "POST" "/v1/spaces/{space}/events",
    "pull" = "GET" "/v1/spaces/{space}/log",
    "live" = "GET" "/v1/spaces/{space}/live",
    "push_many" = "POST" "/v1/batches",
    "device_events" = "GET" "/v1/spaces/{space}/devices/{deviceId}/events",
    "devices" = "GET" "/v1/devices",
    "device_change" = "PATCH" "/v1/devices/{deviceId}",
    "entities" = "GET" "/v1/spaces/{space}/entities/{type}",
    "entity" = "GET" "/v1/spaces/{space}/entities/{type}/{id}",
    "schema" = "GET" "/v1/schema",
    "docs" = "GET" "/openapi.json" | "GET" "/docs" | "GET" "/docs/" | "GET" "/docs/{file}",
    "admin_list_spaces" = "GET" "/admin/v1/spaces",
    "admin_look_at_space" = "GET" "/admin/v1/spaces/{space}",
    "admin_pipeline" = "GET" "/admin/v1/pipeline",
    "admin_list_audit" = "GET" "/admin/v1/audit",
    "admin_list_events" = "GET" "/admin/v1/spaces/{space}/events",
    "admin_state_at" = "GET" "/admin/v1/spaces/{space}/state",
    "admin_explain_entity" = "GET" "/admin/v1/spaces/{space}/entities/{type}/{id}/explain",
    "admin_list_devices" = "GET" "/admin/v1/spaces/{space}/devices",
    "admin_revoke_device" = "POST" "/admin/v1/spaces/{space}/devices/{deviceId}/revoke",
    "admin_restore_device" = "POST" "/admin/v1/spaces/{space}/devices/{deviceId}/restore",
    "admin_list_quarantine" = "GET" "/admin/v1/quarantine",
    "admin_release_event" = "POST" "/admin/v1/quarantine/{id}/release",
    "admin_dismiss_entry" = "POST" "/admin/v1/quarantine/{id}/dismiss",
}

const PULL: &str = "/v1/spaces/{space}/log";

/// The index of a request's endpoint.
fn endpoint(method: &Method, template: Option<&str>, query: Option<&str>) -> usize {
    let Some(template) = template else { return OTHER };
    let method = if *method == Method::HEAD { Method::GET.as_str() } else { method.as_str() };
    if template == PULL && method == "GET" && asks_to_wait(query.unwrap_or_default()) {
        return LONG_POLL;
    }
    ROUTES.iter().position(|routes| routes.contains(&(method, template))).unwrap_or(OTHER)
}

fn asks_to_wait(query: &str) -> bool {
    let waits = query.split('&').filter_map(|parameter| parameter.strip_prefix("wait="));
    waits.into_iter().any(|wait| !matches!(wait, "" | "0"))
}

/// Counts requests. Clones count together.
#[derive(Clone)]
pub(crate) struct Requests {
    endpoints: Arc<[Endpoint]>,
}

/// An endpoint's metrics, looked up once.
struct Endpoint {
    answered: [Counter; CLASSES.len()],
    seconds: Histogram,
    under_way: Gauge,
}

impl Requests {
    /// Counts with the recorder that is installed by now.
    pub(crate) fn new() -> Self {
        let endpoint = |endpoint: &&'static str| {
            let endpoint = *endpoint;
            let answered = |class: usize| metrics::counter!("tidelog_gateway_requests_total", "endpoint" => endpoint, "status" => CLASSES[class]);
            Endpoint {
                answered: std::array::from_fn(answered),
                seconds: metrics::histogram!("tidelog_gateway_request_seconds", "endpoint" => endpoint),
                under_way: metrics::gauge!("tidelog_gateway_requests_under_way", "endpoint" => endpoint),
            }
        };
        Self { endpoints: NAMES.iter().map(endpoint).collect() }
    }

    /// A request whose head has come.
    pub(crate) fn begin(&self, request: &Request) -> UnderWay {
        let template = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let index = endpoint(request.method(), template, request.uri().query());
        self.endpoints[index].under_way.increment(1.0);
        UnderWay { endpoints: self.endpoints.clone(), index, began: Instant::now(), class: class(None) }
    }
}

/// A request, counted when this is dropped: with the status of its answer, or without one.
pub(crate) struct UnderWay {
    endpoints: Arc<[Endpoint]>,
    index: usize,
    began: Instant,
    class: usize,
}

impl UnderWay {
    /// The head of its answer is there.
    pub(crate) fn answered(mut self, status: StatusCode) {
        self.class = class(Some(status));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let endpoint = &self.endpoints[self.index];
        endpoint.under_way.decrement(1.0);
        endpoint.answered[self.class].increment(1);
        endpoint.seconds.record(self.began.elapsed().as_secs_f64());
    }
}

/// Where a status stands among the classes. A request without an answer was given up by its caller, or took too long (408).
fn class(status: Option<StatusCode>) -> usize {
    match status.map_or(408, |status| status.as_u16()) {
        ..300 => 0,
        300..400 => 1,
        400..500 => 2,
        500.. => 3,
    }
}

#[cfg(test)]
mod tests;
