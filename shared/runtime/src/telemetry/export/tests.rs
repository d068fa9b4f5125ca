//! What is not sent is counted.

use std::sync::Mutex;

use axum::body::Bytes;
use axum::routing::post;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
use tokio::net::TcpListener;

use super::*;
use crate::config::{Config, Sources};

fn config(endpoint: &str) -> TelemetryConfig {
    let environment = [("TIDELOG__TELEMETRY__OTLP_ENDPOINT".to_owned(), endpoint.to_owned())].into();
    Config::load(&Sources { file: None, environment }).unwrap().section("telemetry").unwrap()
}

/// Spans that were dropped for that reason so far.
fn dropped(reason: &str) -> Option<String> {
    let text = crate::metrics::install().unwrap().render();
    let name = format!("tidelog_telemetry_dropped_spans_total{{reason=\"{reason}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(name.as_str()).map(str::to_owned))
}

#[tokio::test]
async fn spans_that_the_collector_refuses_are_counted_and_those_that_it_takes_are_whole() {
    crate::metrics::install().unwrap();
    let taken = Arc::<Mutex<Vec<Bytes>>>::default();
    let take = taken.clone();
    let answer = async move |body: Bytes| {
        take.lock().unwrap().push(body);
        let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".to_owned() };
        ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/v1/traces", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let provider = provider(&config(&endpoint), "tidelog-test").unwrap().unwrap();
    drop(provider.tracer("test").start("judge"));
    tokio::task::spawn_blocking(move || provider.shutdown()).await.unwrap().unwrap();
    assert_eq!(dropped("refused").as_deref(), Some("2"));
    let request = ExportTraceServiceRequest::decode(taken.lock().unwrap()[0].clone()).unwrap();
    assert_eq!(request.resource_spans[0].scope_spans[0].spans[0].name, "judge");
    let resource = request.resource_spans[0].resource.clone().unwrap();
    let keys: Vec<&str> = resource.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    for key in ["service.name", "service.version", "service.instance.id"] {
        assert!(keys.contains(&key), "{keys:?}");
    }
}

#[test]
fn without_an_endpoint_nothing_is_sent() {
    assert!(provider(&config(""), "tidelog-test").unwrap().is_none());
}

#[tokio::test]
async fn spans_that_find_no_room_are_dropped_and_counted() {
    crate::metrics::install().unwrap();
    let queued = Arc::new(AtomicUsize::new(QUEUE_SPANS));
    let config = config("http://127.0.0.1:1");
    let endpoint = config.otlp_endpoint.0.clone().unwrap();
    let collector = Collector::new(endpoint, &config, queued.clone()).unwrap();
    let sending = BatchSpanProcessor::builder(collector).build();
    let provider =
        SdkTracerProvider::builder().with_span_processor(Queue { sending, queued: queued.clone() }).build();
    drop(provider.tracer("test").start("judge"));
    assert_eq!(dropped("full").as_deref(), Some("1"));
    assert_eq!(queued.load(Ordering::Relaxed), QUEUE_SPANS, "and the queue is as full as before");
}
