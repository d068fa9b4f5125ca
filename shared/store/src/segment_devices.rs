//! `segment_devices`: which sequences of a device lie in segments that were merged of several batches.

use sqlx::PgConnection;
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId};

use crate::columns;

/// Notes which devices' sequences lie in the segments from `first` to `last`, which are about to be one that ends at
/// `last`.
pub async fn merge(
    connection: &mut PgConnection,
    space: &SpaceId,
    first: Position,
    last: Position,
) -> sqlx::Result<()> {
    sqlx::query(
        "WITH ranges AS (
             SELECT device_id, first_sequence, last_sequence FROM segment_devices
             WHERE space_id = $1 AND last BETWEEN $2 AND $3
             UNION ALL
             SELECT device_id, first_sequence, last_sequence FROM segments
             WHERE space_id = $1 AND last BETWEEN $2 AND $3 AND device_id IS NOT NULL AND NOT starts_with(device_id, 'event:')
         )
         INSERT INTO segment_devices (space_id, device_id, last, first_sequence, last_sequence)
         SELECT $1, device_id, $3, min(first_sequence), max(last_sequence) FROM ranges GROUP BY device_id
         ON CONFLICT (space_id, device_id, last) DO UPDATE
         SET first_sequence = EXCLUDED.first_sequence, last_sequence = EXCLUDED.last_sequence",
    )
    .bind(space.as_str())
    .bind(first.as_i64())
    .bind(last.as_i64())
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM segment_devices WHERE space_id = $1 AND last >= $2 AND last < $3")
        .bind(space.as_str())
        .bind(first.as_i64())
        .bind(last.as_i64())
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes what it has of segments through a position, which are pruned.
pub async fn delete_through(
    connection: &mut PgConnection,
    space: &SpaceId,
    through: Position,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM segment_devices WHERE space_id = $1 AND last <= $2")
        .bind(space.as_str())
        .bind(through.as_i64())
        .execute(connection)
        .await?;
    Ok(())
}

/// The last sequence of each numbered device in the segments that end behind `after` and at or before `through`.
pub async fn last_sequences(
    connection: &mut PgConnection,
    space: &SpaceId,
    after: Position,
    through: Position,
) -> sqlx::Result<Vec<(DeviceId, Sequence)>> {
    let rows = sqlx::query(
        "SELECT device_id, max(last_sequence) AS last_sequence FROM (
             SELECT device_id, last_sequence FROM segment_devices
             WHERE space_id = $1 AND last > $2 AND last <= $3
             UNION ALL
             SELECT device_id, last_sequence FROM segments
             WHERE space_id = $1 AND last > $2 AND last <= $3 AND device_id IS NOT NULL AND NOT starts_with(device_id, 'event:')
         ) AS ranges
         GROUP BY device_id",
    )
    .bind(space.as_str())
    .bind(after.as_i64())
    .bind(through.as_i64())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok((columns::id(row, "device_id")?, columns::sequence(row, "last_sequence")?)))
        .collect()
}
