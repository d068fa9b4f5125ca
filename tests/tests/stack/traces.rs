//! Traces as a collector gets them from real processes.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use rustix::process::Signal;
use tidelog_cli::traces::{TraceCollector, TraceSpan, tree};
use tidelog_tests::{Answer, Batch, eventually};
use tokio::net::TcpListener;

use super::harness::Stack;

const CALLER: &str = "b7ad6b7169203331";

/// A collector at that address; port 0 for any.
async fn collector(address: &str) -> TraceCollector {
    let listener = eventually("the address is free", async || TcpListener::bind(address).await.ok()).await;
    TraceCollector::start(listener).unwrap()
}

async fn stack(collector: SocketAddr, more: &[(&str, &str)]) -> Stack {
    let endpoint = format!("http://{collector}");
    let mut environment = vec![("TIDELOG__TELEMETRY__OTLP_ENDPOINT", endpoint.as_str())];
    environment.extend(more);
    Stack::start_in(tempfile::tempdir().unwrap(), &[], &environment).await
}

/// Pushes a device's first event, with those headers.
async fn push(stack: &Stack, device: &str, headers: &[(&str, &str)]) -> Answer {
    let facts = stack.facts();
    let url = format!("{}/v1/spaces/me/events", facts["gatewayUrl"].as_str().unwrap());
    let request = reqwest::Client::new().post(url).bearer_auth(facts["token"].as_str().unwrap());
    let request =
        request.header("Content-Type", "application/x-ndjson").body(Batch::new(device, 1, 1).body());
    let answer =
        Answer::of(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
            .await;
    answer.expect(200);
    answer
}

fn traceparent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{CALLER}-{flags}")
}

/// The service, name and kind of each span, each below the other.
fn way(spans: &[TraceSpan], parent: &str) -> Vec<(String, String, i32)> {
    let mut below: Vec<&TraceSpan> = spans.iter().filter(|span| span.parent_id == parent).collect();
    below.sort_by_key(|span| (span.begun_ns, span.ended_ns));
    let line = |span: &TraceSpan| (span.service.clone(), span.name.clone(), span.kind);
    below.into_iter().flat_map(|span| std::iter::once(line(span)).chain(way(spans, &span.id))).collect()
}

fn has(spans: &[TraceSpan], service: &str, name: &str) -> bool {
    spans.iter().any(|span| span.service == service && span.name == name)
}

/// Waits until the collector has a trace from its first span to its last.
async fn whole(collector: &TraceCollector, trace: &str) -> Vec<TraceSpan> {
    eventually("the whole trace has come", async || {
        let mut spans = collector.spans();
        spans.retain(|span| span.trace_id == trace);
        let ends = ["tidelog-gateway", "tidelog-ingest", "tidelog-projector"].map(|service| {
            let last = if service == "tidelog-gateway" { "receipt" } else { "commit" };
            has(&spans, service, last)
        });
        let is_whole = ends == [true; 3]
            && has(&spans, "tidelog-gateway", "POST /v1/spaces/{space}/events")
            && has(&spans, "tidelog-ingest", "publish")
            && has(&spans, "tidelog-projector", "fold");
        is_whole.then_some(spans)
    })
    .await
}

/// A push's spans, from the caller's down to the read model.
fn check_way(spans: &[TraceSpan]) {
    let of = |service: &str, name: &str, kind| (format!("tidelog-{service}"), name.to_owned(), kind);
    let found: BTreeSet<_> = way(spans, CALLER).into_iter().collect();
    let expect = [
        of("gateway", "POST /v1/spaces/{space}/events", 2),
        of("gateway", "judge", 1),
        of("gateway", "publish", 4),
        of("ingest", "batch", 5),
        of("ingest", "queue", 1),
        of("ingest", "commit", 1),
        of("ingest", "announce", 1),
        of("ingest", "publish", 4),
        of("projector", "fold", 5),
        of("projector", "queue", 1),
        of("projector", "commit", 1),
        of("gateway", "receipt", 1),
    ];
    assert_eq!(found, expect.into(), "below the caller's span: {}", tree(spans));
    assert_eq!(spans.len(), 12, "each once");
    let below = |service: &str, name: &str, parent: (&str, &str)| {
        let span = |service: &str, name: &str| {
            let service = format!("tidelog-{service}");
            spans.iter().find(|span| span.service == service && span.name == name).unwrap().clone()
        };
        assert_eq!(span(service, name).parent_id, span(parent.0, parent.1).id, "{service} {name}");
    };
    below("ingest", "batch", ("gateway", "publish"));
    below("ingest", "commit", ("ingest", "batch"));
    below("projector", "fold", ("ingest", "publish"));
    below("projector", "commit", ("projector", "fold"));
    let first = spans.iter().find(|span| span.kind == 2).unwrap();
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("http.route", "/v1/spaces/{space}/events"),
        ("tidelog.request_id", "order-7"),
    ] {
        assert_eq!(first.attributes.get(key).map(String::as_str), Some(value), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_shows_an_events_way_from_http_to_the_projector_and_what_is_not_kept_is_not_sent() {
    let collector = collector("127.0.0.1:0").await;
    let more = [
        ("TIDELOG__TELEMETRY__OTLP_SAMPLE_RATIO", "0"),
        ("TIDELOG__TELEMETRY__OTLP_HEADERS", "x-key=one, authorization=Bearer two"),
        ("TIDELOG__TELEMETRY__FILTER", "info,tidelog_gateway::server::request=debug"),
    ];
    let stack = stack(collector.address(), &more).await;
    let (kept, unkept) = ("0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c");
    push(&stack, "phone-1", &[]).await;
    push(&stack, "phone-2", &[("traceparent", &traceparent(unkept, "00"))]).await;
    let sampled = traceparent(kept, "01");
    let headers = [("traceparent", sampled.as_str()), ("Tidelog-Request-Id", "order-7")];
    let answer = push(&stack, "phone-3", &headers).await;
    assert_eq!(answer.headers["tidelog-request-id"], "order-7");

    let spans = whole(&collector, kept).await;
    println!("{}", tree(&spans));
    check_way(&spans);
    // Spaces are people, and a trace leaves the installation.
    let told = format!("{spans:?}");
    assert!(!told.contains("user-1") && !told.contains("phone-3"), "{told}");

    // What came before it in the same processes would have been sent before it.
    assert!(collector.spans().iter().all(|span| span.trace_id == kept));
    for headers in collector.headers() {
        assert_eq!(headers["x-key"], "one");
        assert_eq!(headers["authorization"], "Bearer two");
        assert_eq!(headers["content-type"], "application/x-protobuf");
    }
    let log = std::fs::read_to_string(stack.folder().join(".tidelog/logs/gateway.log")).unwrap();
    let line = log.lines().find(|line| line.contains("answered") && line.contains("order-7")).unwrap_or(&log);
    assert!(line.contains(kept) && line.contains("200"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_disturbs_nobody_and_the_last_spans_leave_at_the_end() {
    let away = collector("127.0.0.1:0").await;
    let address = away.address();
    drop(away);
    let mut stack = stack(address, &[]).await;
    push(&stack, "phone-1", &[]).await;
    let url = format!("{}/metrics", stack.facts()["operationsUrls"]["gateway"].as_str().unwrap());
    eventually("dropped spans are counted", async || {
        let text = reqwest::get(&url).await.ok()?.text().await.ok()?;
        let dropped = "tidelog_telemetry_dropped_spans_total{reason=\"not-taken\"} ";
        text.lines().find_map(|line| line.strip_prefix(dropped)).filter(|count| *count != "0").map(drop)
    })
    .await;
    push(&stack, "phone-2", &[]).await;

    let collector = collector(&address.to_string()).await;
    let trace = push(&stack, "phone-3", &[]).await.headers["tidelog-request-id"].to_str().unwrap().to_owned();
    whole(&collector, &trace).await;
    let trace = push(&stack, "phone-4", &[]).await.headers["tidelog-request-id"].to_str().unwrap().to_owned();
    assert_eq!(stack.signal(Signal::INT).await, Some(0));
    let spans = collector.spans();
    let last: Vec<&TraceSpan> = spans.iter().filter(|span| span.trace_id == trace).collect();
    assert!(last.iter().any(|span| span.kind == 2), "the gateway's went before it did: {last:?}");
    assert!(last.iter().any(|span| span.name == "batch"), "and ingest's: {last:?}");
    let log = std::fs::read_to_string(stack.folder().join(".tidelog/logs/gateway.log")).unwrap();
    assert_eq!(log.matches("the collector takes no traces").count(), 1, "it is said once: {log}");
    assert_eq!(log.matches("the collector takes traces again").count(), 1, "{log}");
}
