//! What the tests of pulls share: a schema, and segments as the log stores them.

use tidelog_events::frame::{BatchHeader, Encoder, SegmentBatch, SegmentHeader, write_batch};
use tidelog_events::id::{DeviceId, Position, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::Schema;
use tidelog_runtime::config::{Config, LimitsConfig, Sources};
use tidelog_store::segments::Segment;

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
