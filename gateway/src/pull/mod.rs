//! Pull: what the log holds behind a cursor, as stored frames, as lines or as JSON; at once, or as soon as there
//! is something.

mod answer;
mod budget;
mod decoded;
mod json;
mod negotiate;
mod read;
mod request;
mod response;
mod snapshot;
mod stream;
mod tail;
#[cfg(test)]
mod testing;
mod wait;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use sqlx::PgPool;
use tidelog_events::protocol::DeviceHint;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::metrics::Metric;

use crate::auth::{Caller, SpaceReader};
use crate::codecs::Codecs;
use crate::config::GatewayConfig;
use crate::device_facts::{self, ToldByDevice};
use crate::problem::Problem;
use crate::revocations::Revocations;
use crate::schema::CurrentSchema;
use crate::work;

pub(crate) use answer::DECODED_PER_STORED;
pub use budget::AnswerBudget;
pub(crate) use decoded::{DamagedSegment, DecodedSegment, decode};
pub(crate) use json::{Origin, splice};
pub(crate) use read::{READ_TIMEOUT, erased, one_moment};
pub(crate) use request::{PullParams, PullRequest};
pub(crate) use tail::{AnnouncedSegment, Piece, Tail, TailEnd, TailMeans};
pub use wait::Waiting;

use answer::Answer;
use read::{LogRead, Wanted};
use snapshot::EntityWriter;
use stream::Entities;

/// The metrics of pulls.
pub(crate) const METRICS: &[Metric] = &[
    Metric::counter("tidelog_gateway_pulls_total", "Pulls that were answered, by format")
        .by(&[("format", &["frames", "lines", "json"])]),
    Metric::counter("tidelog_gateway_served_events_total", "Events that pulls were answered with"),
    Metric::counter("tidelog_gateway_served_snapshots_total", "Snapshots that pulls were answered with"),
    Metric::counter(
        "tidelog_gateway_broken_off_pulls_total",
        "Answers that broke off, since a part of their snapshot was missing or damaged, or could not be read",
    ),
    Metric::level("tidelog_gateway_waiting_pulls", "Pulls that wait for news"),
];

/// Pull the log
///
/// What lies behind `after`, in order. `Accept: application/x-ndjson` gets lines: a hello, then segments, each a
/// header line that counts the lines behind it. Where `after` lies before the horizon, a snapshot stands between: a
/// header line that counts, then the entities that the log through the horizon folds into. If the caller accepts the content encoding `zstd`, these are the
/// stored frames: whole segments, of which the first may begin before `after` + 1. Decoded lines and JSON begin at
/// `after` + 1 and end at `limit`. With `wait`, an answer without news comes when there is some, or in time.
#[utoipa::path(
    get,
    path = "/v1/spaces/{space}/log",
    tag = "log",
    params(
        ("space" = String, Path, description = "The space; `me` is the token's own"),
        request::PullParams,
    ),
    responses(
        (status = 200, description = "What the log holds", content(
            (json::PullAnswer = "application/json", example = json!({
                "serverTime": "2026-01-01T07:00:01.123Z", "epoch": "0198c1c1-0000-4000-8000-000000000001", "head": 1,
                "horizon": 0, "schemaVersion": 3, "device": null, "events": [
                    {"position": 1, "deviceId": "phone-1", "userId": "ann", "receivedAt": "2026-01-01T07:00:00.500Z",
                     "eventId": "018f4f7e-0000-7000-8000-000000000001", "deviceSequence": 1, "type": "WORKOUT_CREATED",
                     "entityId": "w-1", "timestamp": "2026-01-01T07:00:00.000Z-0000", "payload": {"name": "Run"}}],
                "cursor": 1, "more": false})),
            (String = "application/x-ndjson", example = "{\"hello\":{\"serverTime\":\"2026-01-01T07:00:00.000Z\",\
              \"epoch\":\"0198c1c1-0000-4000-8000-000000000001\",\"head\":2,\"horizon\":1,\"schemaVersion\":1,\
              \"cursor\":0,\"device\":null}}\n\
              {\"snapshot\":{\"through\":1,\"schemaVersion\":1,\"entities\":1,\
              \"stateHash\":{\"workout\":\"07096af6c997d545e7665b7c9ee3cf0d\"},\"devices\":{\"phone-1\":1}}}\n\
              {\"created\":[\"2025-12-01T07:00:00.000Z-0000\",\"phone-1\",1],\"entityId\":\"w-1\",\"fields\":{\"name\":\
              {\"latest\":[\"Run\",[\"2025-12-01T07:00:00.000Z-0000\",\"phone-1\",1]]}},\"type\":\"workout\"}\n\
              {\"segment\":{\"first\":2,\"last\":2,\"lines\":2,\"batches\":[{\"first\":2,\"deviceId\":\"phone-1\",\
              \"userId\":\"ann\",\"receivedAt\":\"2026-01-01T07:00:00.000Z\"}]}}\n\
              {\"batch\":{\"deviceId\":\"phone-1\"}}\n\
              {\"eventId\":\"018f4f7e-0000-7000-8000-000000000002\",\"deviceSequence\":2,\"type\":\"LAP_RECORDED\",\
              \"entityId\":\"w-1\",\"timestamp\":\"2026-01-01T07:00:00.000Z-0000\",\"payload\":{\"laps\":1}}\n"),
        )),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`, `device-revoked`", body = Problem),
        (status = 406, description = "`not-acceptable`", body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
#[expect(clippy::too_many_arguments, reason = "each is something that a pull draws on")]
pub(crate) async fn pull_log(
    SpaceReader { space, caller }: SpaceReader,
    mut request: PullRequest,
    mut told: ToldByDevice,
    State(waiting): State<Waiting>,
    State(answers): State<AnswerBudget>,
    State(schema): State<CurrentSchema>,
    State(config): State<Arc<GatewayConfig>>,
    State(pool): State<PgPool>,
    State(codecs): State<Codecs>,
    State(broker): State<Broker>,
    State(clock): State<Clock>,
    State(revocations): State<Revocations>,
) -> Result<Response, Problem> {
    request.device = caller.acting_device(request.device.as_ref())?.cloned();
    revocations.admit(&caller, &caller.user, request.device.as_ref()).await?;
    let wanted = Wanted {
        space,
        after: request.after,
        events: request.limit,
        bytes: config.pull_bytes,
        device: request.device.clone(),
    };
    let read = waiting.read(&wanted, request.wait).await?;
    let place = answers.place(&read, &request)?;
    let syncs = told.report.as_mut().and_then(|report| report.syncs.take());
    hint_device(broker, &caller, told, &wanted, &read);
    let schema = schema.get();
    let hello = read.hello(request.device.as_ref(), schema.version(), clock.now());
    let answer = work::run(answer::work_bytes(&read, &request), || {
        codecs.with(|codec| answer::answer(&read, Some(hello), &request, &schema, config.pull_bytes, codec))
    });
    let Answer { body, entities_at, events, .. } =
        answer.map_err(|error| Problem::internal(&error))?.map_err(|error| Problem::internal(&error))?;
    // Not before: a device whose report is not answered tells it again.
    syncs.iter().for_each(device_facts::count);
    metrics::counter!("tidelog_gateway_pulls_total", "format" => request.format.as_str()).increment(1);
    metrics::counter!("tidelog_gateway_served_events_total").increment(events);
    metrics::counter!("tidelog_gateway_served_snapshots_total").increment(u64::from(read.snapshot.is_some()));
    let bytes = body.len();
    let body = match entities_at.zip(read.snapshot.as_ref()) {
        None => Body::from(body),
        Some((at, snapshot)) => {
            let writer = EntityWriter::new(&snapshot.snapshot, &request);
            Entities::new(pool, codecs, wanted.space, snapshot, writer).into_body(body, at)
        }
    };
    Ok(response::response(request.format, place.held_by(body, bytes)))
}

/// Tells ingest what the device has, in the background. A cursor beyond the head is no fact about this log.
fn hint_device(broker: Broker, caller: &Caller, told: ToldByDevice, wanted: &Wanted, read: &LogRead) {
    let Some(device) = wanted.device.clone().filter(|_| wanted.after <= read.head) else { return };
    let ToldByDevice { app_version, report } = told;
    let hint = device_facts::hint_of(caller, wanted.space.clone(), device);
    device_facts::send(broker, &DeviceHint { cursor: Some(wanted.after), app_version, report, ..hint });
}
