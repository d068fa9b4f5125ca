//! `snapshot_parts`: the entity lines of snapshots, a frame a part, in order of type and id.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tidelog_events::id::{Position, SpaceId};

/// Some of a snapshot's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 0.
    pub part: u32,
    /// The type of its first entity.
    pub first_type: Box<str>,
    /// The type of its last entity.
    pub last_type: Box<str>,
    /// Its entities.
    pub entities: u32,
    /// Their lines, each ended, as one frame.
    pub frame: Vec<u8>,
}

fn part(row: &PgRow) -> sqlx::Result<Part> {
    Ok(Part {
        part: row.try_get::<i32, _>("part")?.cast_unsigned(),
        first_type: row.try_get::<&str, _>("first_type")?.into(),
        last_type: row.try_get::<&str, _>("last_type")?.into(),
        entities: row.try_get::<i32, _>("entities")?.cast_unsigned(),
        frame: row.try_get("frame")?,
    })
}

/// Parts of a snapshot from the one with that number on: as many as hold `bytes` stored bytes, and at least one if there
/// is any.
pub async fn from(
    connection: &mut PgConnection,
    space: &SpaceId,
    through: Position,
    first: u32,
    bytes: i64,
) -> sqlx::Result<Vec<Part>> {
    read(connection, space, through, first, bytes, None).await
}

/// The same of the parts that may hold entities of one of those types: the others are passed over.
pub async fn of_types(
    connection: &mut PgConnection,
    space: &SpaceId,
    through: Position,
    first: u32,
    bytes: i64,
    types: &[&str],
) -> sqlx::Result<Vec<Part>> {
    read(connection, space, through, first, bytes, Some(types)).await
}

async fn read(
    connection: &mut PgConnection,
    space: &SpaceId,
    through: Position,
    first: u32,
    bytes: i64,
    types: Option<&[&str]>,
) -> sqlx::Result<Vec<Part>> {
    // None is much smaller than 4 KiB, unless the snapshot is small: so many are looked at, whatever their number.
    let most = bytes / 4096 + 1;
    let rows = sqlx::query(
        "WITH candidates AS (
             SELECT part, sum(octet_length(frame)) OVER (ORDER BY part) - octet_length(frame) AS bytes_before
             FROM (
                 SELECT part, frame FROM snapshot_parts
                 WHERE space_id = $1 AND through = $2 AND part >= $3 AND (
                     $6::text[] IS NULL OR EXISTS (
                         SELECT FROM unnest($6::text[]) AS wanted (name)
                         WHERE name BETWEEN first_type AND last_type
                     )
                 )
                 ORDER BY part LIMIT $5
             ) AS next
         )
         SELECT part, first_type, last_type, entities, frame FROM snapshot_parts
         WHERE space_id = $1 AND through = $2
           AND part IN (SELECT part FROM candidates WHERE bytes_before = 0 OR bytes_before < $4)
         ORDER BY part",
    )
    .bind(space.as_str())
    .bind(through.as_i64())
    .bind(first.cast_signed())
    .bind(bytes)
    .bind(most)
    .bind(types)
    .fetch_all(connection)
    .await?;
    rows.iter().map(part).collect()
}

/// Writes parts of a snapshot.
pub async fn insert(
    connection: &mut PgConnection,
    space: &SpaceId,
    through: Position,
    parts: &[Part],
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO snapshot_parts (space_id, through, part, first_type, last_type, entities, frame)
         SELECT $1, $2, part, first_type, last_type, entities, frame
         FROM unnest($3::integer[], $4::text[], $5::text[], $6::integer[], $7::bytea[])
           AS written (part, first_type, last_type, entities, frame)",
    )
    .bind(space.as_str())
    .bind(through.as_i64())
    .bind(parts.iter().map(|part| part.part.cast_signed()).collect::<Vec<_>>())
    .bind(parts.iter().map(|part| &*part.first_type).collect::<Vec<_>>())
    .bind(parts.iter().map(|part| &*part.last_type).collect::<Vec<_>>())
    .bind(parts.iter().map(|part| part.entities.cast_signed()).collect::<Vec<_>>())
    .bind(parts.iter().map(|part| part.frame.as_slice()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes up to `limit` parts that belong to no snapshot; returns how many there were.
pub async fn delete_orphans(connection: &mut PgConnection, space: &SpaceId, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM snapshot_parts WHERE space_id = $1 AND (through, part) IN (
             SELECT through, part FROM snapshot_parts AS orphaned
             WHERE space_id = $1 AND NOT EXISTS (
                 SELECT FROM snapshots WHERE snapshots.space_id = $1 AND snapshots.through = orphaned.through
             )
             LIMIT $2
         )",
    )
    .bind(space.as_str())
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
