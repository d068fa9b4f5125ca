//! Each route is an endpoint, and each request is counted once.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use tokio::runtime::Builder;
use tokio::time::timeout;
use tower::ServiceExt;

use super::*;
use crate::router::{admin_openapi, openapi};

#[test]
fn every_operation_is_an_endpoint_of_its_own() {
    let mut names = BTreeSet::new();
    for (document, prefix) in [(openapi(), ""), (admin_openapi(), "admin_")] {
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let name = NAMES[endpoint(&method, Some(path), None)];
                assert!(names.insert(name), "{method} {path} is {name}, too");
                if !prefix.is_empty() {
                    assert_eq!(name, format!("admin_{}", operation["operationId"].as_str().unwrap()));
                }
            }
        }
    }
    let others = BTreeSet::from(["other", "long_poll", "docs"]);
    assert!(names.is_disjoint(&others), "{names:?}");
    assert_eq!(names.union(&others).count(), NAMES.len(), "and there are no others");
}

#[test]
fn what_no_route_takes_is_other_and_a_pull_that_waits_is_a_long_poll() {
    let check = |method: Method, template: Option<&str>, query: Option<&str>, expect: &str| {
        assert_eq!(NAMES[endpoint(&method, template, query)], expect, "{method} {template:?} {query:?}");
    };
    check(Method::GET, None, None, "other");
    check(Method::GET, Some("/admin/v1/{*path}"), None, "other");
    check(Method::POST, Some("/v1/schema"), None, "other");
    check(Method::OPTIONS, Some(PULL), Some("wait=5"), "other");
    check(Method::HEAD, Some("/v1/schema"), None, "schema");
    check(Method::GET, Some(PULL), Some("after=1&limit=5"), "pull");
    check(Method::GET, Some(PULL), Some("after=1&wait=0"), "pull");
    check(Method::GET, Some(PULL), Some("after=1&wait=30"), "long_poll");
    check(Method::GET, Some("/docs/{file}"), None, "docs");
}

async fn counted(requests: Requests, request: Request, next: Next) -> Response {
    let under_way = requests.begin(&request);
    let response = next.run(request).await;
    under_way.answered(response.status());
    response
}

/// Sends requests to a router of three routes, and returns what is counted.
fn after(send: impl AsyncFnOnce(Router)) -> String {
    let recorder: PrometheusRecorder = PrometheusBuilder::new().set_buckets(&[1.0]).unwrap().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        let requests = Requests::new();
        let router = Router::new()
            .route("/v1/schema", get(async || "a schema"))
            .route("/v1/batches", post(async || std::future::pending::<()>().await))
            .route("/v1/devices", get(async || StatusCode::SERVICE_UNAVAILABLE))
            .layer(from_fn_with_state(
                requests,
                async |state: axum::extract::State<Requests>, request, next| {
                    counted(state.0, request, next).await
                },
            ));
        Builder::new_current_thread().enable_all().build().unwrap().block_on(send(router));
    });
    recorder.handle().render()
}

#[test]
fn each_request_is_counted_once_however_it_ends() {
    let text = after(async |router| {
        let request = |method: &str, path: &str| {
            Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
        };
        for (method, path) in
            [("GET", "/v1/schema?x=1"), ("GET", "/v1/schema"), ("GET", "/nowhere"), ("GET", "/v1/devices")]
        {
            router.clone().oneshot(request(method, path)).await.unwrap();
        }
        let given_up = router.oneshot(request("POST", "/v1/batches"));
        assert!(timeout(Duration::from_millis(1), given_up).await.is_err());
    });
    let counts = text.lines().filter(|line| line.starts_with("tidelog_gateway_requests_total{"));
    let counts: BTreeSet<&str> = counts.filter(|line| !line.ends_with(" 0")).collect();
    let series = |endpoint: &str, status: &str, count: u32| {
        format!("tidelog_gateway_requests_total{{endpoint=\"{endpoint}\",status=\"{status}\"}} {count}")
    };
    let expect = [
        series("devices", "5xx", 1),
        series("other", "4xx", 1),
        series("push_many", "4xx", 1),
        series("schema", "2xx", 2),
    ];
    assert_eq!(counts, expect.iter().map(String::as_str).collect());
    assert!(text.contains("tidelog_gateway_request_seconds_count{endpoint=\"schema\"} 2"), "{text}");
    let under_way = text.lines().filter(|line| line.starts_with("tidelog_gateway_requests_under_way{"));
    assert!(under_way.clone().count() > 3 && under_way.clone().all(|line| line.ends_with(" 0")), "{text}");
}
