//! The answer as one JSON object. An event's own keys are spliced in as they stand in its line, so that not a
//! byte of a payload changes.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tidelog_events::frame::SegmentBatch;
use tidelog_events::id::{DeviceId, EntityId, Epoch, EventId, Position, Sequence, UserId};
use tidelog_events::protocol::{DeviceState, Hello, UtcTime};
use utoipa::ToSchema;

use super::decoded::DecodedSegment;

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
    /// The position through which the log has been pruned.
    horizon: Position,
    /// The schema version that the server judges events by.
    schema_version: u32,
    /// What the server has of the calling device; null where the caller named none.
    device: Option<DeviceState>,
    /// The events, by position.
    #[schema(value_type = Vec<PulledEvent>)]
    events: Box<RawValue>,
    /// What to send as `after` next: the last position that this answer covers. 0 where `after` lay beyond the
    /// head: the log is not the one that the reader knew.
    cursor: Position,
    /// Whether the log goes on behind `cursor`.
    more: bool,
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

/// The answer's text.
pub(super) fn body(hello: Hello, segments: &[DecodedSegment<'_>]) -> Result<Vec<u8>, serde_json::Error> {
    let cursor = segments.last().map_or(hello.cursor, |segment| segment.header.last);
    serde_json::to_vec(&PullAnswer {
        server_time: hello.server_time,
        epoch: hello.epoch,
        head: hello.head,
        horizon: hello.horizon,
        schema_version: hello.schema_version,
        device: hello.device,
        events: events(segments)?,
        cursor,
        more: cursor < hello.head,
    })
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
struct Origin<'a> {
    position: Position,
    device_id: &'a DeviceId,
    user_id: &'a UserId,
    received_at: UtcTime,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    released: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_sequence: Option<Sequence>,
}

impl<'a> Origin<'a> {
    fn of(position: Position, batch: &'a SegmentBatch) -> Self {
        // An event without a counter is a device of its own.
        let is_own_device = batch.device_id.as_str().starts_with(DeviceId::EVENT_PREFIX);
        Self {
            position,
            device_id: &batch.device_id,
            user_id: &batch.user_id,
            received_at: batch.received_at,
            released: batch.released,
            device_sequence: is_own_device.then_some(Sequence(1)),
        }
    }
}

fn splice(array: &mut String, origin: &Origin<'_>, line: &str) -> Result<(), serde_json::Error> {
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
