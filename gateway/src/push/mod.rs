//! Push: a batch of events comes in, is judged once, goes to the broker as one message, and is answered when
//! ingest has committed it.

mod body;
mod many;
mod parse;
mod publish;
mod receipts;
mod room;

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tidelog_events::protocol::{DeviceHint, Outcome, PushAnswer, UtcTime};
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::LimitsConfig;
use tidelog_runtime::failpoint::{self, Failpoint};
use tidelog_runtime::metrics::Metric;
use tidelog_runtime::telemetry::{SpanKind, Trace};
use tokio::time::Instant;

use crate::auth::SpaceWriter;
use crate::codecs::Codecs;
use crate::config::GatewayConfig;
use crate::device_facts;
use crate::gate::discard_later;
use crate::problem::Problem;
use crate::revocations::Revocations;
use crate::schema::CurrentSchema;
use crate::work;

pub(crate) use body::{Encoding, Format, Media, Received};
pub(crate) use many::{__path_push_batches, push_batches};
pub(crate) use publish::hand_over;
pub use receipts::Pushes;

use parse::Rules;

/// The metrics of pushes.
pub const METRICS: &[Metric] = &[
    Metric::counter("tidelog_gateway_pushes_total", "Pushes that were published, by outcome; accepted: answered 202").by(&[("outcome", &["committed", "refused", "accepted"])]),
    Metric::histogram("tidelog_gateway_push_seconds", "Time from a push's body to its answer, by outcome").by(&[("outcome", &["committed", "refused", "accepted"])]),
    Metric::histogram(
        "tidelog_gateway_push_stage_seconds",
        "Time of a push's stage that was passed: receive until the body is there, judge it, publish until the broker has \
         it, commit until its receipt",
    )
    .by(&[("stage", &["receive", "judge", "publish", "commit"])]),
    Metric::counter("tidelog_gateway_pushed_events_total", "Events that were published, by verdict").by(&[("verdict", &["accepted", "quarantined"])]),
];

/// Push a batch
///
/// The body is a batch: as `application/x-ndjson` a batch line, then one event a line, every line ended by a line
/// feed; as `application/json` one object. Bodies may be compressed (`Content-Encoding: zstd` or `gzip`). An event that
/// cannot be taken is quarantined, with a receipt, and never blocks the others. As lines:
///
/// ```text
/// {"batch":{"deviceId":"phone-1","after":{"deviceSequence":0,"eventId":null}}}
/// {"eventId":"018f4f7e-0000-7000-8000-000000000001","deviceSequence":1,"type":"WORKOUT_CREATED","entityId":"w-1","timestamp":"2026-01-01T07:00:00.000Z-0000","payload":{"name":"Run"}}
/// ```
#[utoipa::path(
    post,
    path = "/v1/spaces/{space}/events",
    tag = "log",
    params(("space" = String, Path, description = "The space; `me` is the token's own")),
    request_body(
        description = "The batch",
        content(
            (parse::JsonBatch = "application/json", example = json!({
                "deviceId": "phone-1", "after": {"deviceSequence": 0, "eventId": null}, "events": [
                    {"eventId": "018f4f7e-0000-7000-8000-000000000001", "deviceSequence": 1, "type": "WORKOUT_CREATED",
                     "entityId": "w-1", "timestamp": "2026-01-01T07:00:00.000Z-0000", "payload": {"name": "Run"}}]})),
            (String = "application/x-ndjson"),
        ),
    ),
    responses(
        (status = 200, description = "Committed: it is in the log", body = PushAnswer, example = json!({
            "committed": true, "head": 150, "first": 101, "last": 101,
            "device": {"lastSequence": 1, "lastEventId": "018f4f7e-0000-7000-8000-000000000001"},
            "serverTime": "2026-01-01T07:00:01.123Z", "receipts": []})),
        (status = 202, description = "Durable in the broker, not yet in the log; keep the events and push again",
         body = PushAnswer, example = json!({"committed": false, "first": null, "last": null, "device": null,
            "serverTime": "2026-01-01T07:00:01.123Z", "receipts": []})),
        (status = 400, description = "`batch-malformed`, `request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`, `device-revoked`", body = Problem),
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
pub async fn push_batch(
    writer: SpaceWriter,
    State(push): State<Push>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let format = Format::of(&headers)?;
    let received = push.receive(body).await?;
    let answer = push.push(&writer, format, received).await?;
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::OK);
    Ok((status, Json(answer)).into_response())
}

/// What pushes draw on, wherever they come in.
#[derive(Clone)]
pub struct Push {
    pub(crate) schema: CurrentSchema,
    pub(crate) limits: Arc<LimitsConfig>,
    pub(crate) config: Arc<GatewayConfig>,
    pub(crate) codecs: Codecs,
    pub(crate) broker: Broker,
    pub(crate) pushes: Pushes,
    pub(crate) revocations: Revocations,
    pub(crate) clock: Clock,
}

impl Push {
    /// Receives a body whole, within bounds and in time. Nothing of it is waited for where there is no room.
    pub(crate) async fn receive(&self, body: Body) -> Result<Received, Problem> {
        match self.pushes.room.enter() {
            Ok(entered) => {
                let began = Instant::now();
                let (limits, config, room) = (&self.limits, &self.config, &self.pushes.room);
                let received = body::receive(body, entered, limits, config, room).await?;
                stage("receive", began);
                Ok(received)
            }
            Err(refusal) => {
                discard_later(body, &self.limits, &self.config);
                Err(refusal)
            }
        }
    }

    /// Pushes a body that has arrived already, if there is room for it.
    pub(crate) async fn push_arrived(
        &self,
        writer: &SpaceWriter,
        format: Format,
        body: Bytes,
    ) -> Result<PushAnswer, Problem> {
        let entered = self.pushes.room.enter()?;
        let mut place = self.pushes.room.place();
        place.grow_to(body.len()).map_err(room::no_bytes)?;
        self.push(writer, format, Received { body, place, entered }).await
    }

    /// Judges a body, publishes it, and waits until it is committed, or for as long as pushes are waited for.
    pub(crate) async fn push(
        &self,
        writer: &SpaceWriter,
        format: Format,
        Received { body, place, entered }: Received,
    ) -> Result<PushAnswer, Problem> {
        let started = Instant::now();
        let rules = Rules { limits: &self.limits, schema: &self.schema.get(), now: self.clock.now() };
        let bytes = body::decoded_bytes(&body, format.encoding, &self.limits);
        let judging = Trace::current().child("judge", SpanKind::Internal);
        let turn = if work::is_short(bytes) { None } else { self.pushes.room.turn().await };
        let parsed = work::run(bytes, || parse::parse(&body, format, writer, &rules, &self.codecs));
        drop(turn);
        drop(judging);
        let batch = parsed.inspect_err(|problem| self.hint_refusal(writer, problem))?;
        stage("judge", started);
        let (author, device) = batch.sender();
        self.revocations.admit_push(&writer.caller, author, device).await?;
        let device = device.cloned();
        count_events(&batch);

        let waiting = self.pushes.expect_receipt();
        let handed_over = Instant::now();
        publish::publish(&self.broker, &writer.space, batch.into_message(&waiting)).await?;
        let published = stage("publish", handed_over);
        failpoint::reach(Failpoint::GatewayAfterPublish);
        drop(place);
        let outcome = waiting.receipt(self.config.commit_wait()).await;
        if outcome.is_some() {
            stage("commit", published);
        }
        drop(entered);
        answer(outcome, started, self.clock.now())
            .map_err(|problem| problem.of_device(device.as_ref()))
            .inspect_err(|problem| self.hint_refusal(writer, problem))
    }

    /// Tells ingest whose push was refused, and why.
    fn hint_refusal(&self, writer: &SpaceWriter, problem: &Problem) {
        if let Some(device) = problem.device() {
            let hint = device_facts::hint_of(&writer.caller, writer.space.clone(), device.clone());
            let refusal = Some(device_facts::refused(problem, self.clock.now()));
            device_facts::send(self.broker.clone(), &DeviceHint { refusal, ..hint });
        }
    }
}

/// Notes how long a stage took that has ended now.
fn stage(stage: &'static str, began: Instant) -> Instant {
    let now = Instant::now();
    metrics::histogram!("tidelog_gateway_push_stage_seconds", "stage" => stage)
        .record(now.duration_since(began).as_secs_f64());
    now
}

fn answer(outcome: Option<Outcome>, started: Instant, server_time: UtcTime) -> Result<PushAnswer, Problem> {
    let label = match &outcome {
        Some(Outcome::Committed(_)) => "committed",
        Some(Outcome::Refused { .. }) => "refused",
        Some(Outcome::Done(_)) | None => "accepted",
    };
    metrics::counter!("tidelog_gateway_pushes_total", "outcome" => label).increment(1);
    metrics::histogram!("tidelog_gateway_push_seconds", "outcome" => label)
        .record(started.elapsed().as_secs_f64());
    match outcome {
        Some(Outcome::Committed(done)) => Ok(PushAnswer {
            committed: true,
            head: Some(done.head),
            first: done.first,
            last: done.last,
            device: done.device,
            server_time,
            receipts: done.receipts,
        }),
        Some(Outcome::Refused { code, detail, expected }) => {
            Err(Problem::new(code, detail).expecting(expected))
        }
        // No batch is answered like a command; what became of this one is then not known.
        Some(Outcome::Done(_)) | None => Ok(PushAnswer {
            committed: false,
            head: None,
            first: None,
            last: None,
            device: None,
            server_time,
            receipts: Vec::new(),
        }),
    }
}

fn count_events(batch: &parse::ParsedBatch) {
    let (accepted, quarantined) = batch.verdicts();
    metrics::counter!("tidelog_gateway_pushed_events_total", "verdict" => "accepted").increment(accepted);
    metrics::counter!("tidelog_gateway_pushed_events_total", "verdict" => "quarantined")
        .increment(quarantined);
}
