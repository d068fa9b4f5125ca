//! Logs written past the gateway and ingest: long ones in a moment, and what a newer schema's gateway would let in.

use sqlx::PgConnection;
use tidelog_events::frame::{BatchHeader, SegmentBatch, SegmentHeader, write_batch};
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_store::segments::{self, SegmentColumns, SequenceRange};
use tidelog_store::spaces;
use tidelog_tests::{World, frame};

use super::workouts::workout_batch;

/// Appends so many events of a device to a space's log.
pub async fn append_workouts(world: &World, space: &str, events: u64, segment_events: usize) {
    let lines = workout_batch("phone-1", 1, events).lines;
    append(world, space, "phone-1", &lines, segment_events).await;
}

/// Appends event lines of a device to a space's log, so many to a segment. Nobody is told.
pub async fn append(world: &World, space: &str, device: &str, lines: &[String], segment_events: usize) {
    let mut transaction = world.pool.begin().await.unwrap();
    append_in(&mut transaction, space, device, lines, segment_events).await;
    transaction.commit().await.unwrap();
}

/// The same in a transaction of the caller's.
pub async fn append_in(
    connection: &mut PgConnection,
    space: &str,
    device: &str,
    lines: &[String],
    segment_events: usize,
) {
    let space = SpaceId::new(space).unwrap();
    spaces::ensure(connection, &[space.as_str()]).await.unwrap();
    let mut next = spaces::find(connection, &space).await.unwrap().unwrap().head.0 + 1;
    let mut stored = Vec::new();
    for lines in lines.chunks(segment_events) {
        stored.push(segment(&space, device, next, lines));
        next += lines.len() as u64;
    }
    let mut columns = SegmentColumns::default();
    for (header, sequences, frame) in &stored {
        columns.push(&space, header, Some(*sequences), frame);
    }
    segments::append(connection, &columns).await.unwrap();
    spaces::move_heads(connection, &[space.as_str()], &[next as i64 - 1]).await.unwrap();
}

/// A segment of one batch; the device's sequences are the positions.
fn segment(
    space: &SpaceId,
    device: &str,
    first: u64,
    lines: &[String],
) -> (SegmentHeader, SequenceRange, Vec<u8>) {
    let last = first + lines.len() as u64 - 1;
    let batch = SegmentBatch {
        first: Position(first),
        device_id: DeviceId::new(device).unwrap(),
        user_id: UserId::new(space.as_str()).unwrap(),
        received_at: UtcTime(0),
        released: false,
    };
    let header = SegmentHeader {
        first: Position(first),
        last: Position(last),
        lines: lines.len() as u64 + 1,
        batches: vec![batch],
        positions: None,
    };
    let body = write_batch(&BatchHeader { device_id: None, user_id: None, after: None }, lines);
    (header, SequenceRange { first: Sequence(first), last: Sequence(last) }, frame(&body))
}
