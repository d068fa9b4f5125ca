//! Batches of many spaces in one request, for backends that speak for many users: each is judged, committed and answered for
//! itself.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use futures_util::StreamExt;
use futures_util::stream::iter;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tidelog_events::code::Refusal;
use tidelog_events::id::SpaceId;
use tidelog_events::protocol::PushAnswer;
use utoipa::ToSchema;

use super::body::{Encoding, Format, Media, decode, decoded_bytes};
use super::parse::JsonBatch;
use super::room::no_bytes;
use super::{Push, Received};
use crate::auth::{Caller, SpaceWriter};
use crate::problem::Problem;
use crate::work;

/// Spaces whose batches are under way at once. Those of one space follow each other.
const SPACES_AT_ONCE: usize = 32;

/// Batches, each with its space.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManyBatches<'a> {
    /// The batches, in the order in which those of one space are to be committed.
    #[serde(borrow)]
    batches: Vec<BatchOfSpace<'a>>,
}

/// A batch and its space.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchOfSpace<'a> {
    /// The space.
    space: SpaceId,
    /// The batch, as `POST /v1/spaces/{space}/events` takes it.
    #[serde(borrow)]
    #[schema(value_type = JsonBatch)]
    batch: &'a RawValue,
}

/// What became of each batch, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ManyAnswers {
    /// As many as there were batches.
    results: Vec<BatchAnswer>,
}

/// What became of one batch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchAnswer {
    /// Its space.
    space: SpaceId,
    /// 200: committed; 202: durable in the broker only, push it again; otherwise the status of the refusal.
    status: u16,
    /// With 200 and 202: what `POST /v1/spaces/{space}/events` would have answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<PushAnswer>,
    /// With a refusal: the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Problem>)]
    problem: Option<Value>,
}

/// Push batches of many spaces
///
/// For trusted backends: the token must name every space (`{"*":"rw"}`), and each batch its author, `userId`. Each batch is
/// judged, committed and answered for itself; the batches of one space in the order in which they stand here. The answer is
/// 200 whatever became of them.
#[utoipa::path(
    post,
    path = "/v1/batches",
    tag = "log",
    request_body(content = ManyBatches, content_type = "application/json", example = json!({"batches": [
        {"space": "ann", "batch": {"userId": "ann", "deviceId": "backend-1", "events": [
            {"eventId": "018f4f7e-0000-7000-8000-000000000001", "deviceSequence": 1, "type": "WORKOUT_CREATED",
             "entityId": "w-1", "timestamp": "2026-01-01T07:00:00.000Z-0000", "payload": {"name": "Run"}}]}}]})),
    responses(
        (status = 200, description = "What became of each batch", body = ManyAnswers, example = json!({"results": [
            {"space": "ann", "status": 200, "answer": {"committed": true, "head": 150, "first": 150, "last": 150,
             "device": {"lastSequence": 1, "lastEventId": "018f4f7e-0000-7000-8000-000000000001"},
             "serverTime": "2026-01-01T07:00:01.123Z", "receipts": []}}]})),
        (status = 400, description = "`batch-malformed`: the request as a whole cannot be read", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: the token does not name every space", body = Problem),
        (status = 408, description = "`request-timeout`", body = Problem),
        (status = 413, description = "`body-too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn push_batches(
    caller: Caller,
    State(push): State<Push>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ManyAnswers>, Problem> {
    if !caller.is_trusted() {
        let detail = "batches of many spaces need a token for every space: the claim `spaces` {\"*\":\"rw\"}";
        return Err(Problem::new(Refusal::Forbidden, detail));
    }
    let format = Format::of(&headers)?;
    if format.media != Media::Json {
        let detail = "send application/json, uncompressed or with Content-Encoding zstd or gzip";
        return Err(Problem::new(Refusal::UnsupportedMediaType, detail));
    }
    let Received { body, mut place, entered: _entered } = push.receive(body).await?;
    let bytes = decoded_bytes(&body, format.encoding, &push.limits);
    place.grow_to(body.len() + bytes as usize).map_err(no_bytes)?;
    let turn = if work::is_short(bytes) { None } else { push.pushes.room.turn().await };
    let batches = work::run(bytes, || split(&push, &body, format.encoding))?;
    drop((turn, body));
    // Held until all are answered: the batches are copies of what is counted here.
    place.shrink_to(bytes as usize);
    let spaces: Vec<_> = by_space(batches).into_iter().collect();
    let answered =
        iter(spaces.into_iter().map(|(space, batches)| push_in_order(&push, &caller, space, batches)));
    let mut answers: Vec<_> = answered.buffer_unordered(SPACES_AT_ONCE).concat().await;
    answers.sort_by_key(|(index, _)| *index);
    Ok(Json(ManyAnswers { results: answers.into_iter().map(|(_, answer)| answer).collect() }))
}

/// The batches with their spaces.
fn split(push: &Push, body: &Bytes, encoding: Encoding) -> Result<Vec<(SpaceId, Bytes)>, Problem> {
    let split = push.codecs.with(|codec| {
        let decoded = decode(body, encoding, &push.limits, &mut codec.decoder)?;
        let many: ManyBatches<'_> = serde_json::from_slice(&decoded.content)
            .map_err(|error| Problem::new(Refusal::BatchMalformed, error.to_string()))?;
        if many.batches.len() as u64 > push.limits.batch_events {
            let detail = format!("a request has at most {} batches", push.limits.batch_events);
            return Err(Problem::new(Refusal::BodyTooLarge, detail));
        }
        let copied =
            |item: BatchOfSpace<'_>| (item.space, Bytes::copy_from_slice(item.batch.get().as_bytes()));
        Ok(many.batches.into_iter().map(copied).collect())
    });
    split.map_err(|error| Problem::internal(&error))?
}

/// Each batch with its place in the request.
fn by_space(batches: Vec<(SpaceId, Bytes)>) -> BTreeMap<SpaceId, Vec<(usize, Bytes)>> {
    let mut spaces = BTreeMap::<_, Vec<_>>::new();
    for (index, (space, batch)) in batches.into_iter().enumerate() {
        spaces.entry(space).or_default().push((index, batch));
    }
    spaces
}

async fn push_in_order(
    push: &Push,
    caller: &Caller,
    space: SpaceId,
    batches: Vec<(usize, Bytes)>,
) -> Vec<(usize, BatchAnswer)> {
    let writer = SpaceWriter { space, caller: caller.clone() };
    let format = Format { media: Media::Json, encoding: Encoding::Identity };
    let mut answers = Vec::with_capacity(batches.len());
    for (index, batch) in batches {
        let pushed = push.push_arrived(&writer, format, batch).await;
        answers.push((index, answer(writer.space.clone(), pushed)));
    }
    answers
}

fn answer(space: SpaceId, pushed: Result<PushAnswer, Problem>) -> BatchAnswer {
    match pushed {
        Ok(answer) => BatchAnswer { space, status: answer.status(), answer: Some(answer), problem: None },
        Err(problem) => {
            let status = problem.status();
            BatchAnswer { space, status, answer: None, problem: Some(problem.into_document()) }
        }
    }
}
