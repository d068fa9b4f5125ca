//! Spans on their way to a collector: OTLP over HTTP, as protobuf. A thread of its own sends them, so that neither a slow
//! collector nor a busy service holds up the other; what finds no room or is not taken is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::{Context, KeyValue};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanExporter,
    SpanProcessor,
};
use prost::Message;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use tokio::runtime::{Builder, Runtime};

use super::TelemetryConfig;

/// Spans that wait to be sent, at most.
const QUEUE_SPANS: usize = 8192;
/// Spans of one request.
const REQUEST_SPANS: usize = 1024;
/// How often those that wait are sent, however few they are.
const EXPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How long the collector may take. Shorter than the end of a process waits.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of an answer that are looked at.
const ANSWER_BYTES: usize = 64 * 1024;

/// Nothing can be sent to a collector.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The HTTP client.
    #[error("the HTTP client cannot be made")]
    Client(#[from] reqwest::Error),
    /// What drives it.
    #[error("the runtime of the export cannot be started")]
    Runtime(#[from] std::io::Error),
}

/// What spans come from that are kept as the ratio or their parent says, and sent; none without an endpoint.
pub(super) fn provider(
    config: &TelemetryConfig,
    service: &'static str,
) -> Result<Option<SdkTracerProvider>, ExportError> {
    let Some(endpoint) = &config.otlp_endpoint.0 else { return Ok(None) };
    let ratio = Sampler::TraceIdRatioBased(config.otlp_sample_ratio);
    let queued = Arc::new(AtomicUsize::new(0));
    let collector = Collector::new(endpoint.clone(), config, queued.clone())?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_SPANS)
        .with_max_export_batch_size(REQUEST_SPANS)
        .with_scheduled_delay(EXPORT_INTERVAL)
        .build();
    let sending = BatchSpanProcessor::builder(collector).with_batch_config(batches).build();
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(ratio)))
        .with_resource(resource(service))
        .with_span_processor(Queue { sending, queued });
    Ok(Some(provider.build()))
}

fn resource(service: &'static str) -> Resource {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Resource::builder()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            // Several may run on one host; in a cluster this is the pod's name and 1.
            KeyValue::new("service.instance.id", format!("{host}:{}", std::process::id())),
        ])
        .build()
}

/// Counts spans that no collector gets.
fn drop_spans(spans: usize, reason: &'static str) {
    metrics::counter!("tidelog_telemetry_dropped_spans_total", "reason" => reason).increment(spans as u64);
}

/// Lets spans wait to be sent, as many as there is room for.
#[derive(Debug)]
struct Queue {
    sending: BatchSpanProcessor,
    queued: Arc<AtomicUsize>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.queued.fetch_add(1, Ordering::Relaxed) < QUEUE_SPANS {
            self.sending.on_end(span);
        } else {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            drop_spans(1, "full");
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.sending.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.sending.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.sending.set_resource(resource);
    }
}

/// Why the collector did not take spans.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("it cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("it answers {0}")]
    Refused(reqwest::StatusCode),
}

impl From<reqwest::Error> for NotTaken {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url())
    }
}

/// The collector, as the thread that sends sees it.
#[derive(Debug)]
struct Collector {
    endpoint: Url,
    client: Client,
    runtime: Runtime,
    resource: ResourceAttributesWithSchema,
    queued: Arc<AtomicUsize>,
    /// Whether it took the last spans: its absence is said once.
    takes: AtomicBool,
}

impl Collector {
    fn new(endpoint: Url, config: &TelemetryConfig, queued: Arc<AtomicUsize>) -> Result<Self, ExportError> {
        let client = Client::builder()
            .default_headers(config.otlp_headers.0.clone())
            .timeout(REQUEST_TIMEOUT)
            // Nothing would notice between two requests that a connection was closed.
            .pool_max_idle_per_host(0)
            .build()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let resource = ResourceAttributesWithSchema::default();
        Ok(Self { endpoint, client, runtime, resource, queued, takes: AtomicBool::new(true) })
    }

    /// Sends spans; returns how many of them the collector refused.
    async fn send(&self, spans: Vec<SpanData>) -> Result<usize, NotTaken> {
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let request = self.client.post(self.endpoint.clone()).header(CONTENT_TYPE, "application/x-protobuf");
        let mut response = request.body(body).send().await?;
        if !response.status().is_success() {
            return Err(NotTaken::Refused(response.status()));
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if answer.len() + chunk.len() > ANSWER_BYTES {
                return Ok(0);
            }
            answer.extend_from_slice(&chunk);
        }
        let partial = ExportTraceServiceResponse::decode(answer.as_slice())
            .ok()
            .and_then(|answer| answer.partial_success);
        Ok(partial.and_then(|partial| usize::try_from(partial.rejected_spans).ok()).unwrap_or_default())
    }
}

impl SpanExporter for Collector {
    /// Called by the thread that sends alone, which may wait here.
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        let count = spans.len();
        let sent = self.runtime.block_on(self.send(spans));
        self.queued.fetch_sub(count, Ordering::Relaxed);
        match sent {
            Ok(refused) => {
                if refused > 0 {
                    drop_spans(refused, "refused");
                }
                if !self.takes.swap(true, Ordering::Relaxed) {
                    tracing::info!("the collector takes traces again");
                }
                Ok(())
            }
            Err(error) => {
                drop_spans(count, "not-taken");
                if self.takes.swap(false, Ordering::Relaxed) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the collector takes no traces; spans are dropped until it does");
                }
                Err(OTelSdkError::InternalFailure(error.to_string()))
            }
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

#[cfg(test)]
mod tests;
