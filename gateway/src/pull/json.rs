//! The answer as one JSON object. An event's own keys are spliced in as they stand in its line, so that not a
//! byte of a payload changes; and entity lines are put in by who has them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tidelog_events::fold::StateHash;
use tidelog_events::frame::{SegmentBatch, SnapshotHeader};
use tidelog_events::id::{DeviceId, EntityId, Epoch, EventId, Position, Sequence, UserId};
use tidelog_events::protocol::{DeviceState, Hello, UtcTime};
use utoipa::ToSchema;

use super::decoded::DecodedSegment;

/// What stands before the entities of a snapshot in the answer's text.
const ENTITIES: &[u8] = b"\"entities\":[";

/// A pull's answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PullAnswer {
    /// The server's time, just before the answer was sent.
    server_time: UtcTime,
    /// The log's incarnation; null for a space that nothing was pushed to.
    epoch: Option<Epoch>,
    /// The space's last position.
    head: Position,
    /// The position through which the log has been pruned: a snapshot stands for it.
    horizon: Position,
    /// The schema version that the server judges events by.
    schema_version: u32,
    /// What the server has of the calling device; null where the caller named none.
    device: Option<DeviceState>,
    /// Where `after` lies before the horizon: the state through it, in the place of the events that are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    snapshot: Option<PulledSnapshot>,
    /// The events, by position.
    #[schema(value_type = Vec<PulledEvent>)]
    events: Box<RawValue>,
    /// What to send as `after` next: the last position that this answer covers. 0 where `after` lay beyond the
    /// head: the log is not the one that the reader knew.
    cursor: Position,
    /// Whether the log goes on behind `cursor`.
    more: bool,
}

/// The folded entities of a space through a position. They replace what the reader has folded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PulledSnapshot {
    /// The position through which the log is folded.
    through: Position,
    /// The schema version that folded it.
    schema_version: u32,
    /// The state hash of the entities, by type; empty where types were asked for.
    #[schema(value_type = BTreeMap<String, String>)]
    state_hash: StateHash,
    /// The last sequence of each device at or below `through`.
    #[schema(value_type = BTreeMap<String, u64>)]
    devices: BTreeMap<DeviceId, Sequence>,
    /// The entities by type and id, invisible ones too.
    #[schema(value_type = Vec<PulledEntity>)]
    entities: [(); 0],
}

impl From<SnapshotHeader> for PulledSnapshot {
    fn from(header: SnapshotHeader) -> Self {
        let SnapshotHeader { through, schema_version, entities: _, state_hash, devices } = header;
        Self { through, schema_version, state_hash, devices, entities: [] }
    }
}

/// An entity with all that a later fold needs. A clock is `[stamp, deviceId, sequence]` of the event that wrote.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes the stored lines")]
struct PulledEntity {
    /// The greatest clock of the events that create it.
    #[schema(required = false, value_type = Vec<Value>)]
    created: Value,
    /// The greatest clock of the events that delete it. It is visible if it was created later.
    #[schema(required = false, value_type = Vec<Value>)]
    deleted: Value,
    /// Its id.
    entity_id: EntityId,
    /// Its type.
    r#type: String,
    /// The fields that were ever written, each in the form of its merge rule.
    #[schema(value_type = Object)]
    fields: Value,
}

/// An event of the log, with where it stands and whence it came.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is spliced from text")]
pub(super) struct PulledEvent {
    /// Its position.
    position: Position,
    /// The device that recorded it.
    device_id: DeviceId,
    /// Its author.
    user_id: UserId,
    /// When the gateway took it.
    received_at: UtcTime,
    /// True for an event that lay in quarantine before.
    #[schema(required = false)]
    released: bool,
    /// Its label.
    event_id: EventId,
    /// The device's number for it; 1 where it was pushed without one.
    device_sequence: Sequence,
    /// Its type, as the schema names it.
    r#type: String,
    /// What it is about.
    entity_id: EntityId,
    /// When it was recorded, as the device wrote it: a stamp, an ISO time, or whole milliseconds.
    #[schema(example = "2025-08-06T10:30:00.000Z-0003")]
    timestamp: Value,
    /// The last event that the device had seen.
    last_seen_event_id: Option<EventId>,
    /// What it carries.
    #[schema(value_type = Option<Object>)]
    payload: Value,
}

/// The answer's text without the entities of its snapshot, and where they belong.
pub(super) fn body(
    hello: Hello,
    snapshot: Option<SnapshotHeader>,
    segments: &[DecodedSegment<'_>],
) -> Result<(Vec<u8>, usize), serde_json::Error> {
    let before = snapshot.as_ref().map_or(hello.cursor, |snapshot| snapshot.through);
    let cursor = segments.last().map_or(before, |segment| segment.header.last);
    let is_filled_in = snapshot.is_some();
    let text = serde_json::to_vec(&PullAnswer {
        server_time: hello.server_time,
        epoch: hello.epoch,
        head: hello.head,
        horizon: hello.horizon,
        schema_version: hello.schema_version,
        device: hello.device,
        snapshot: snapshot.map(PulledSnapshot::from),
        events: events(segments)?,
        cursor,
        more: cursor < hello.head,
    })?;
    // Events, which may hold anything, stand behind it; before it no name of a type or a device has a list.
    let mut keys = text.windows(ENTITIES.len());
    let entities_at = if is_filled_in { keys.position(|key| key == ENTITIES) } else { None };
    let entities_at = entities_at.map_or(text.len(), |at| at + ENTITIES.len());
    Ok((text, entities_at))
}

fn events(segments: &[DecodedSegment<'_>]) -> Result<Box<RawValue>, serde_json::Error> {
    let mut array = String::from("[");
    for segment in segments {
        for (position, line) in segment.events() {
            if array.len() > 1 {
                array.push(',');
            }
            splice(&mut array, &Origin::of(position, segment.batch_at(position)), line)?;
        }
    }
    array.push(']');
    // Scans the text once more: a damaged line must not tear the answer.
    RawValue::from_string(array)
}

/// Where an event stands and whence it came. No event line has one of these keys, but for the sequence, which is
/// written only where the line has none.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Origin<'a> {
    position: Position,
    /// Where it was found, for those who read more than the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    device_id: &'a DeviceId,
    user_id: &'a UserId,
    received_at: UtcTime,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    released: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_sequence: Option<Sequence>,
}

impl<'a> Origin<'a> {
    pub(crate) fn of(position: Position, batch: &'a SegmentBatch) -> Self {
        // An event without a counter is a device of its own.
        let is_own_device = batch.device_id.as_str().starts_with(DeviceId::EVENT_PREFIX);
        Self {
            position,
            source: None,
            device_id: &batch.device_id,
            user_id: &batch.user_id,
            received_at: batch.received_at,
            released: batch.released,
            device_sequence: is_own_device.then_some(Sequence(1)),
        }
    }

    /// The same with where it was found.
    pub(crate) fn found_in(self, source: &'static str) -> Self {
        Self { source: Some(source), ..self }
    }
}

/// Appends an event: where it stands and whence it came, then its own keys.
pub(crate) fn splice(array: &mut String, origin: &Origin<'_>, line: &str) -> Result<(), serde_json::Error> {
    let origin = serde_json::to_string(origin)?;
    let line = line.trim_start();
    array.push_str(origin.strip_suffix('}').unwrap_or(&origin));
    array.push(',');
    array.push_str(line.strip_prefix('{').unwrap_or(line));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_events_own_keys_are_spliced_in_as_they_stand_in_its_line() {
        let check = |device: &str, released: bool, line: &str, expect: &str| {
            let batch = SegmentBatch {
                first: Position(1),
                device_id: DeviceId::new(device).unwrap(),
                user_id: UserId::new("a\"}").unwrap(),
                received_at: UtcTime(1),
                released,
            };
            let mut text = String::new();
            splice(&mut text, &Origin::of(Position(7), &batch), line).unwrap();
            let origin = format!(
                r#"{{"position":7,"deviceId":"{device}","userId":"a\"}}","receivedAt":"1970-01-01T00:00:00.001Z","#
            );
            assert_eq!(text, format!("{origin}{expect}"));
            serde_json::from_str::<Value>(&text).unwrap();
        };
        let line = r#"{"eventId":"e", "deviceSequence":51,"payload":{"x":1.50}}"#;
        check("phone-1", false, line, &line[1..]);
        check("phone-1", true, line, &format!(r#""released":true,{}"#, &line[1..]));
        check("phone-1", false, " \t{ \"eventId\":\"e\"} ", " \"eventId\":\"e\"} ");
        check("event:e", false, r#"{"eventId":"e"}"#, r#""deviceSequence":1,"eventId":"e"}"#);
    }
}
