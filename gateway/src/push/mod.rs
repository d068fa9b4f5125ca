//! Push: a batch of events comes in, is judged once, goes to the broker as one message, and is answered when
//! ingest has committed it.

mod body;
mod parse;
mod publish;
mod receipts;
mod room;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tidelog_events::protocol::{Outcome, PushAnswer, UtcTime};
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::LimitsConfig;
use tidelog_runtime::failpoint::{self, Failpoint};
use tidelog_runtime::metrics::{Metric, MetricKind};
use tokio::time::Instant;

use crate::auth::SpaceWriter;
use crate::codecs::Codecs;
use crate::config::GatewayConfig;
use crate::problem::Problem;
use crate::schema::CurrentSchema;
use crate::work;

pub use receipts::Pushes;

use parse::Rules;

/// The metrics of pushes.
pub const METRICS: &[Metric] = &[
    ("tidelog_gateway_pushes_total", MetricKind::Counter, "Pushes that were published, by outcome"),
    (
        "tidelog_gateway_push_seconds",
        MetricKind::Histogram,
        "Time from a push's body to its answer, by outcome",
    ),
    ("tidelog_gateway_pushed_events_total", MetricKind::Counter, "Events that were published, by verdict"),
];

/// Push a batch
///
/// The body is a batch: as `application/x-ndjson` a batch line, then one event a line, every line ended by a line
/// feed; as `application/json` one object. Bodies may be compressed (`Content-Encoding: zstd` or `gzip`).
#[utoipa::path(
    post,
    path = "/v1/spaces/{space}/events",
    tag = "log",
    params(("space" = String, Path, description = "The space; `me` is the token's own")),
    request_body(
        description = "The batch",
        content(
            (String = "application/x-ndjson", example = "{\"batch\":{\"deviceId\":\"phone-1\"}}\n\
              {\"eventId\":\"018f4f7e-0000-7000-8000-000000000001\",\"deviceSequence\":1,\"type\":\"WORKOUT_CREATED\",\
              \"entityId\":\"w-1\",\"timestamp\":\"2026-01-01T07:00:00.000Z-0000\",\"payload\":{\"name\":\"Run\"}}\n"),
            (parse::JsonBatch = "application/json"),
        ),
    ),
    responses(
        (status = 200, description = "Committed: it is in the log", body = PushAnswer),
        (status = 202, description = "Durable in the broker, not yet in the log; keep the events and push again",
         body = PushAnswer),
        (status = 400, description = "`batch-malformed`, `request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 408, description = "`request-timeout`", body = Problem),
        (status = 409, description = "`sequence-gap`, `device-forked`", body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 413, description = "`body-too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
        (status = 422, description = "`clock-ahead`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
#[expect(clippy::too_many_arguments, reason = "each is something that a push draws on")]
pub async fn push_batch(
    writer: SpaceWriter,
    State(schema): State<CurrentSchema>,
    State(limits): State<Arc<LimitsConfig>>,
    State(config): State<Arc<GatewayConfig>>,
    State(codecs): State<Codecs>,
    State(broker): State<Broker>,
    State(pushes): State<Pushes>,
    State(clock): State<Clock>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let format = body::Format::of(&headers)?;
    let body::Received { body, place } = body::receive(body, &limits, &config, &pushes.room).await?;
    let rules = Rules { limits: &limits, schema: &schema.get(), now: clock.now() };
    let bytes = body::decoded_bytes(&body, format.encoding, &limits);
    let turn = if work::is_short(bytes) { None } else { pushes.room.turn().await };
    let batch = work::run(bytes, || parse::parse(&body, format, &writer, &rules, &codecs))?;
    drop(turn);
    count_events(&batch);

    let waiting = pushes.expect_receipt();
    publish::publish(&broker, &writer.space, batch.into_message(&waiting)).await?;
    failpoint::reach(Failpoint::GatewayAfterPublish);
    drop(place);
    let outcome = waiting.receipt(config.commit_wait()).await;
    answer(outcome, started, clock.now())
}

fn answer(outcome: Option<Outcome>, started: Instant, server_time: UtcTime) -> Result<Response, Problem> {
    let label = match &outcome {
        Some(Outcome::Committed(_)) => "committed",
        Some(Outcome::Refused { .. }) => "refused",
        None => "accepted",
    };
    metrics::counter!("tidelog_gateway_pushes_total", "outcome" => label).increment(1);
    metrics::histogram!("tidelog_gateway_push_seconds", "outcome" => label)
        .record(started.elapsed().as_secs_f64());
    match outcome {
        Some(Outcome::Committed(done)) => Ok(Json(PushAnswer {
            committed: true,
            head: Some(done.head),
            first: done.first,
            last: done.last,
            device: done.device,
            server_time,
            receipts: done.receipts,
        })
        .into_response()),
        Some(Outcome::Refused { code, detail, expected }) => {
            Err(Problem::new(code, detail).expecting(expected))
        }
        None => {
            let answer = PushAnswer {
                committed: false,
                head: None,
                first: None,
                last: None,
                device: None,
                server_time,
                receipts: Vec::new(),
            };
            Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
        }
    }
}

fn count_events(batch: &parse::ParsedBatch) {
    let (accepted, quarantined) = batch.verdicts();
    metrics::counter!("tidelog_gateway_pushed_events_total", "verdict" => "accepted").increment(accepted);
    metrics::counter!("tidelog_gateway_pushed_events_total", "verdict" => "quarantined")
        .increment(quarantined);
}
