//! `segments`: the log itself, a row a run of positions.

pub mod mergeable;

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use tidelog_events::frame::{SegmentBatch, SegmentHeader};
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId};
use tidelog_events::protocol::UtcTime;

use crate::columns;

/// A segment as it is stored.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Its header, as readers get it.
    pub header: SegmentHeader,
    /// The body frame.
    pub frame: Vec<u8>,
}

/// Which of a device's sequences a segment is; `None` where it holds several batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceRange {
    /// The first.
    pub first: Sequence,
    /// The last. Sequences that lie in quarantine are missing between.
    pub last: Sequence,
}

/// Segments to append, column by column.
#[derive(Debug, Default)]
pub struct SegmentColumns<'a> {
    spaces: Vec<&'a str>,
    firsts: Vec<i64>,
    lasts: Vec<i64>,
    devices: Vec<Option<&'a str>>,
    users: Vec<Option<&'a str>>,
    first_sequences: Vec<Option<i64>>,
    last_sequences: Vec<Option<i64>>,
    received_at: Vec<i64>,
    released: Vec<bool>,
    batches: Vec<Option<Json<&'a [SegmentBatch]>>>,
    frames: Vec<&'a [u8]>,
}

impl<'a> SegmentColumns<'a> {
    /// Adds a segment. With `sequences` it is one batch of one device.
    pub fn push(
        &mut self,
        space: &'a SpaceId,
        header: &'a SegmentHeader,
        sequences: Option<SequenceRange>,
        frame: &'a [u8],
    ) {
        let batch = sequences.and(header.batches.first());
        self.spaces.push(space.as_str());
        self.firsts.push(header.first.as_i64());
        self.lasts.push(header.last.as_i64());
        self.devices.push(batch.map(|batch| batch.device_id.as_str()));
        self.users.push(batch.map(|batch| batch.user_id.as_str()));
        self.first_sequences.push(sequences.map(|range| range.first.as_i64()));
        self.last_sequences.push(sequences.map(|range| range.last.as_i64()));
        self.received_at.push(header.batches.first().map_or(0, |batch| batch.received_at.0));
        self.released.push(batch.is_some_and(|batch| batch.released));
        self.batches.push(batch.is_none().then_some(Json(&header.batches)));
        self.frames.push(frame);
    }

    /// Whether there is nothing to append.
    pub fn is_empty(&self) -> bool {
        self.spaces.is_empty()
    }
}

/// Appends segments; the caller holds the spaces' locks and has numbered them.
pub async fn append(connection: &mut PgConnection, segments: &SegmentColumns<'_>) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO segments (space_id, first, last, device_id, user_id, first_sequence, last_sequence,
                               received_at, released, batches, frame)
         SELECT space_id, first, last, device_id, user_id, first_sequence, last_sequence,
                timestamptz 'epoch' + received_ms * interval '1 millisecond', released, batches, frame
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[],
                     $7::bigint[], $8::bigint[], $9::boolean[], $10::jsonb[], $11::bytea[])
           AS appended (space_id, first, last, device_id, user_id, first_sequence, last_sequence,
                        received_ms, released, batches, frame)",
    )
    .bind(&segments.spaces)
    .bind(&segments.firsts)
    .bind(&segments.lasts)
    .bind(&segments.devices)
    .bind(&segments.users)
    .bind(&segments.first_sequences)
    .bind(&segments.last_sequences)
    .bind(&segments.received_at)
    .bind(&segments.released)
    .bind(&segments.batches)
    .bind(&segments.frames)
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) fn segment(row: &PgRow) -> sqlx::Result<Segment> {
    let (first, last) = (columns::position(row, "first")?, columns::position(row, "last")?);
    let events = last.0 + 1 - first.0;
    let (batches, lines) = match row.try_get::<Option<Json<Vec<SegmentBatch>>>, _>("batches")? {
        Some(Json(batches)) => (batches, events),
        None => (vec![only_batch(row, first)?], events + 1),
    };
    let header = SegmentHeader { first, last, lines, batches, positions: None };
    Ok(Segment { header, frame: row.try_get("frame")? })
}

fn only_batch(row: &PgRow, first: Position) -> sqlx::Result<SegmentBatch> {
    Ok(SegmentBatch {
        first,
        device_id: columns::id(row, "device_id")?,
        user_id: columns::id(row, "user_id")?,
        received_at: UtcTime(row.try_get("received_ms")?),
        released: row.try_get("released")?,
    })
}

/// The segments behind the cursors of several spaces, each space's in order: as many as hold `bytes` stored bytes, at
/// most about `segments`, and at least one if there is any. Every space gets its first before any gets its second, in the
/// order in which the spaces are given. A space's first may begin at or before its cursor.
pub async fn behind_each(
    connection: &mut PgConnection,
    cursors: &[(&SpaceId, Position)],
    segments: i64,
    bytes: i64,
) -> sqlx::Result<Vec<(SpaceId, Segment)>> {
    let rows = sqlx::query(
        "WITH candidates AS (
             SELECT next.space_id, next.last, next.bytes, next.nth, wanted.place
             FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS wanted (space_id, after, place)
             CROSS JOIN LATERAL (
                 SELECT space_id, last, octet_length(frame) AS bytes, row_number() OVER (ORDER BY last) AS nth
                 FROM segments
                 WHERE segments.space_id = wanted.space_id AND last > wanted.after
                 ORDER BY last LIMIT $3
             ) AS next
         ), counted AS (
             SELECT space_id, last, sum(bytes) OVER turn - bytes AS bytes_before, row_number() OVER turn AS turn
             FROM candidates WINDOW turn AS (ORDER BY nth, place)
         )
         SELECT segments.space_id, first, last, device_id, user_id, released, batches, frame,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms
         FROM counted JOIN segments USING (space_id, last)
         WHERE turn = 1 OR bytes_before < $4
         ORDER BY segments.space_id, last",
    )
    .bind(cursors.iter().map(|(space, _)| space.as_str()).collect::<Vec<_>>())
    .bind(cursors.iter().map(|(_, after)| after.as_i64()).collect::<Vec<_>>())
    .bind(segments / cursors.len().max(1) as i64 + 1)
    .bind(bytes)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((columns::id(row, "space_id")?, segment(row)?))).collect()
}

/// The segments of a space through the one that holds a position, in order: the last ones that together hold `bytes`
/// stored bytes, at most `segments`, and at least one if the log has the position.
pub async fn ending_with(
    connection: &mut PgConnection,
    space: &SpaceId,
    position: Position,
    segments: i64,
    bytes: i64,
) -> sqlx::Result<Vec<Segment>> {
    let rows = sqlx::query(
        "WITH candidates AS (
             SELECT last, octet_length(frame) AS bytes FROM segments
             WHERE space_id = $1
               AND last <= (SELECT min(last) FROM segments WHERE space_id = $1 AND last >= $2)
             ORDER BY last DESC LIMIT $3
         ), counted AS (
             SELECT last, sum(bytes) OVER (ORDER BY last DESC) - bytes AS bytes_behind FROM candidates
         )
         SELECT first, last, device_id, user_id, released, batches, frame,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms
         FROM segments
         WHERE space_id = $1
           AND last IN (SELECT last FROM counted WHERE bytes_behind = 0 OR bytes_behind < $4)
         ORDER BY last",
    )
    .bind(space.as_str())
    .bind(position.as_i64())
    .bind(segments)
    .bind(bytes)
    .fetch_all(connection)
    .await?;
    rows.iter().map(segment).collect()
}

/// Which sequences of a device to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRange {
    /// The space.
    pub space: SpaceId,
    /// The device.
    pub device: DeviceId,
    /// The sequences.
    pub range: SequenceRange,
}

/// The stored segments that may hold any of the devices' sequences, each with its device. Those that were merged hold
/// other devices' events, too.
pub async fn of_devices(
    connection: &mut PgConnection,
    wanted: &[DeviceRange],
) -> sqlx::Result<Vec<(SpaceId, DeviceId, Segment)>> {
    let rows = sqlx::query(
        "WITH wanted AS (
             SELECT space_id, device_id, from_sequence, to_sequence
             FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
               AS wanted (space_id, device_id, from_sequence, to_sequence)
         ), found AS (
             SELECT wanted.space_id, wanted.device_id AS of_device, segments.last FROM wanted
             JOIN segments ON segments.space_id = wanted.space_id AND segments.device_id = wanted.device_id
              AND segments.last_sequence >= wanted.from_sequence
              AND segments.first_sequence <= wanted.to_sequence
             UNION ALL
             SELECT wanted.space_id, wanted.device_id, merged.last FROM wanted
             JOIN segment_devices AS merged
               ON merged.space_id = wanted.space_id AND merged.device_id = wanted.device_id
              AND merged.last_sequence >= wanted.from_sequence
              AND merged.first_sequence <= wanted.to_sequence
         )
         SELECT space_id, of_device, first, last, device_id, user_id, released, batches, frame,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms
         FROM found JOIN segments USING (space_id, last)
         ORDER BY space_id, last",
    )
    .bind(wanted.iter().map(|w| w.space.as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|w| w.device.as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|w| w.range.first.as_i64()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|w| w.range.last.as_i64()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok((columns::id(row, "space_id")?, columns::id(row, "of_device")?, segment(row)?)))
        .collect()
}

/// The segment of several batches that holds the event of a device with one event only, if there is one.
pub async fn of_single_event_device(
    connection: &mut PgConnection,
    space: &SpaceId,
    device: &DeviceId,
) -> sqlx::Result<Option<Segment>> {
    let row = sqlx::query(
        "SELECT first, last, device_id, user_id, released, batches, frame,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms
         FROM segments
         WHERE space_id = $1 AND device_id IS NULL
           AND batches @> jsonb_build_array(jsonb_build_object('deviceId', $2::text))
         LIMIT 1",
    )
    .bind(space.as_str())
    .bind(device.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(segment).transpose()
}

/// The position at which a quarantined event of a device was released, while its segment stands alone in the log.
pub async fn released(
    connection: &mut PgConnection,
    space: &SpaceId,
    device: &DeviceId,
    sequence: Sequence,
) -> sqlx::Result<Option<Position>> {
    let position: Option<i64> = sqlx::query_scalar(
        "SELECT last FROM segments
         WHERE space_id = $1 AND device_id = $2 AND first_sequence = $3 AND last_sequence = $3 AND released
         LIMIT 1",
    )
    .bind(space.as_str())
    .bind(device.as_str())
    .bind(sequence.as_i64())
    .fetch_optional(connection)
    .await?;
    Ok(position.map(Position::from_i64))
}

/// The segments of a space that end from `first` to `last`, in order.
pub async fn within(
    connection: &mut PgConnection,
    space: &SpaceId,
    first: Position,
    last: Position,
) -> sqlx::Result<Vec<Segment>> {
    let rows = sqlx::query(
        "SELECT first, last, device_id, user_id, released, batches, frame,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms
         FROM segments WHERE space_id = $1 AND last BETWEEN $2 AND $3 ORDER BY last",
    )
    .bind(space.as_str())
    .bind(first.as_i64())
    .bind(last.as_i64())
    .fetch_all(connection)
    .await?;
    rows.iter().map(segment).collect()
}

/// What the compactor must know of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Its first position.
    pub first: Position,
    /// Its last position.
    pub last: Position,
    /// When the latest of its batches came.
    pub received_at: UtcTime,
    /// Stored bytes of its frame.
    pub bytes: u64,
}

/// Facts about up to `limit` segments of a space that end behind `after`, in order.
pub async fn facts(
    connection: &mut PgConnection,
    space: &SpaceId,
    after: Position,
    limit: i64,
) -> sqlx::Result<Vec<SegmentFacts>> {
    let rows = sqlx::query(
        "SELECT first, last, octet_length(frame) AS bytes,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms
         FROM segments WHERE space_id = $1 AND last > $2 ORDER BY last LIMIT $3",
    )
    .bind(space.as_str())
    .bind(after.as_i64())
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let facts = |row: &PgRow| {
        Ok(SegmentFacts {
            first: columns::position(row, "first")?,
            last: columns::position(row, "last")?,
            received_at: UtcTime(row.try_get("received_ms")?),
            bytes: row.try_get::<i32, _>("bytes")?.cast_unsigned().into(),
        })
    };
    rows.iter().map(facts).collect()
}

/// Makes one of all segments from the one that begins at `merged.header.first` to the one that ends at its `last`: the last
/// one becomes all of them, the others go. `received_at` is that of the latest batch. Returns how many there were.
pub async fn merge(
    connection: &mut PgConnection,
    space: &SpaceId,
    merged: &Segment,
    received_at: UtcTime,
) -> sqlx::Result<u64> {
    let gone = sqlx::query("DELETE FROM segments WHERE space_id = $1 AND last >= $2 AND last < $3")
        .bind(space.as_str())
        .bind(merged.header.first.as_i64())
        .bind(merged.header.last.as_i64())
        .execute(&mut *connection)
        .await?;
    let grown = sqlx::query(
        "UPDATE segments SET first = $2, device_id = NULL, user_id = NULL, first_sequence = NULL,
                last_sequence = NULL, released = false, batches = $4, frame = $5,
                received_at = timestamptz 'epoch' + $6 * interval '1 millisecond'
         WHERE space_id = $1 AND last = $3",
    )
    .bind(space.as_str())
    .bind(merged.header.first.as_i64())
    .bind(merged.header.last.as_i64())
    .bind(Json(&merged.header.batches))
    .bind(&merged.frame)
    .bind(received_at.0)
    .execute(connection)
    .await?;
    Ok(gone.rows_affected() + grown.rows_affected())
}

/// Deletes a space's segments through a position, at which one ends; returns how many events they held.
pub async fn delete_through(
    connection: &mut PgConnection,
    space: &SpaceId,
    through: Position,
) -> sqlx::Result<u64> {
    let events: i64 = sqlx::query_scalar(
        "WITH gone AS (
             DELETE FROM segments WHERE space_id = $1 AND last <= $2 RETURNING first, last
         )
         SELECT coalesce(sum(last + 1 - first), 0)::bigint FROM gone",
    )
    .bind(space.as_str())
    .bind(through.as_i64())
    .fetch_one(connection)
    .await?;
    Ok(events.cast_unsigned())
}

/// Bytes that the table's rows take, those that lie out of line with them, without indexes.
pub async fn relation_bytes(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT pg_relation_size(oid) + coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0)
         FROM pg_class WHERE oid = 'segments'::regclass",
    )
    .fetch_one(connection)
    .await?;
    Ok(bytes.cast_unsigned())
}
