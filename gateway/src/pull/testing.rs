//! What the tests of pulls share: a schema, requests, and segments and snapshots as they are stored.

use std::collections::BTreeMap;
use std::time::Duration;

use tidelog_events::fold::{LineDigest, StateHash};
use tidelog_events::frame::{BatchHeader, Encoder, SegmentBatch, SegmentHeader, write_batch};
use tidelog_events::id::{DeviceId, Position, Sequence, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::{Schema, SchemaId};
use tidelog_runtime::config::{Config, LimitsConfig, Sources};
use tidelog_store::segments::Segment;
use tidelog_store::snapshot_parts::Part;
use tidelog_store::snapshots::Snapshot;

use super::negotiate::Format;
use super::request::PullRequest;

pub(super) fn schema() -> Schema {
    Schema::parse(
        "name: test\nversion: 3\n\
         entities:\n  workout: { fields: { n: { type: integer } } }\n  goal: { fields: { n: { type: integer } } }\n\
         events:\n  WORKOUT_SET: { entity: workout, payload: { n: required } }\n  \
         GOAL_SET: { entity: goal, payload: { n: required } }\n",
    )
    .unwrap()
}

pub(super) fn limits() -> LimitsConfig {
    Config::load(&Sources::default()).unwrap().section("limits").unwrap()
}

pub(super) fn request(after: u64, limit: u64, types: &[&str], format: Format) -> PullRequest {
    let types = types.iter().map(|name| (*name).to_owned());
    PullRequest {
        after: Position(after),
        limit,
        wait: Duration::ZERO,
        device: None,
        types: (types.len() > 0).then(|| types.collect()),
        format,
    }
}

/// The line of the event at `position`. Those divisible by 3 are about a goal, those at 50 and above are of a type
/// that no schema knows, all others are about a workout.
pub(super) fn line(position: u64) -> String {
    let event_type = match position {
        50.. => "GHOST_SET",
        _ if position.is_multiple_of(3) => "GOAL_SET",
        _ => "WORKOUT_SET",
    };
    format!(
        r#"{{"eventId":"018f4f7e-0000-7000-8000-{position:012}", "type":"{event_type}","payload":{{"n":{position}.50}}}}"#
    )
}

fn batch(first: u64, device: &str) -> SegmentBatch {
    SegmentBatch {
        first: Position(first),
        device_id: DeviceId::new(device).unwrap(),
        user_id: UserId::new("ann").unwrap(),
        received_at: UtcTime(1),
        released: false,
    }
}

fn header(first: u64, last: u64, lines: u64, batches: Vec<SegmentBatch>) -> SegmentHeader {
    SegmentHeader { first: Position(first), last: Position(last), lines, batches, positions: None }
}

/// A segment that is one batch.
pub(super) fn single(first: u64, last: u64) -> (SegmentHeader, Vec<u8>) {
    let device_id = Some(DeviceId::new("phone-1").unwrap());
    let batch_line = BatchHeader { device_id, user_id: None, after: None };
    let body = write_batch(&batch_line, (first..=last).map(line));
    (header(first, last, last - first + 2, vec![batch(first, "phone-1")]), body)
}

/// A segment of several batches, which begin at `firsts`, each of its own device.
pub(super) fn several(firsts: &[u64], last: u64) -> (SegmentHeader, Vec<u8>) {
    let body = (firsts[0]..=last).map(|position| line(position) + "\n").collect::<String>().into_bytes();
    let batches = firsts.iter().map(|first| batch(*first, &format!("phone-{first}"))).collect();
    (header(firsts[0], last, last - firsts[0] + 1, batches), body)
}

pub(super) fn stored((header, body): (SegmentHeader, Vec<u8>)) -> Segment {
    Segment { header, frame: Encoder::new().unwrap().encode(&body).unwrap() }
}

pub(super) fn entity_line(entity_type: &str, id: u64) -> String {
    format!(r#"{{"entityId":"e-{id}","fields":{{"n":{{"max":2}}}},"type":"{entity_type}"}}"#)
}

/// A part with an entity of each type, in order.
pub(super) fn part(number: u32, types: &[&str]) -> Part {
    let lines = types.iter().zip(0..).map(|(name, id)| entity_line(name, id) + "\n");
    Part {
        part: number,
        first_type: types[0].into(),
        last_type: types[types.len() - 1].into(),
        entities: types.len() as u32,
        frame: Encoder::new().unwrap().encode(lines.collect::<String>().as_bytes()).unwrap(),
    }
}

/// The snapshot that consists of parts with entities of these types.
pub(super) fn snapshot(through: u64, parts: &[&[&str]]) -> (Snapshot, Vec<Part>) {
    let (mut entities, mut state_hash) = (BTreeMap::new(), StateHash::default());
    for types in parts {
        for (name, id) in types.iter().zip(0..) {
            *entities.entry((*name).into()).or_default() += 1;
            state_hash.replace(name, None, LineDigest::of(entity_line(name, id).as_bytes()));
        }
    }
    let parts: Vec<Part> = (0..).zip(parts).map(|(number, types)| part(number, types)).collect();
    let snapshot = Snapshot {
        through: Position(through),
        schema: SchemaId { version: 3, fingerprint: "f".into() },
        entities,
        state_hash,
        devices: [(DeviceId::new("phone-1").unwrap(), Sequence(2))].into(),
        parts: parts.len() as u32,
        bytes: parts.iter().map(|part| part.frame.len() as u64).sum(),
    };
    (snapshot, parts)
}
