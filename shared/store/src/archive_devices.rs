//! `archive_devices`: which sequences of a device lie in which object of the archive.

use sqlx::PgConnection;
use tidelog_events::id::SpaceId;

use crate::archive::Archived;

/// Notes which devices' sequences lie in objects, from the segments that they hold; before those are deleted.
pub async fn insert(
    connection: &mut PgConnection,
    space: &SpaceId,
    objects: &[Archived],
) -> sqlx::Result<()> {
    sqlx::query(
        "WITH ranges AS (
             SELECT device_id, last, first_sequence, last_sequence FROM segments
             WHERE space_id = $1 AND last <= $4 AND device_id IS NOT NULL AND NOT starts_with(device_id, 'event:')
             UNION ALL
             SELECT device_id, last, first_sequence, last_sequence FROM segment_devices
             WHERE space_id = $1 AND last <= $4
         )
         INSERT INTO archive_devices (space_id, device_id, last, first_sequence, last_sequence)
         SELECT $1, device_id, written.last, min(first_sequence), max(last_sequence)
         FROM unnest($2::bigint[], $3::bigint[]) AS written (first, last)
         JOIN ranges ON ranges.last BETWEEN written.first AND written.last
         GROUP BY device_id, written.last",
    )
    .bind(space.as_str())
    .bind(objects.iter().map(|object| object.first.as_i64()).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| object.last.as_i64()).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| object.last.as_i64()).max())
    .execute(connection)
    .await?;
    Ok(())
}
