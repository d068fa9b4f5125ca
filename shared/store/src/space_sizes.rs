//! How much there is of a space, in each table, counted so far and no further.

use sqlx::{PgConnection, Row};
use tidelog_events::id::SpaceId;

/// Rows of a table that are counted, at most.
pub const COUNTED_MAX: i64 = 100_000;

/// What a space has. No count is greater than [`COUNTED_MAX`]: one that is equal stands for that many or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceSizes {
    /// Segments of its log, the latest ones.
    pub segments: u64,
    /// Their stored bytes.
    pub log_bytes: u64,
    /// Objects of the archive, the latest ones.
    pub objects: u64,
    /// Their bytes.
    pub archive_bytes: u64,
    /// Entities of its read model.
    pub entities: u64,
    /// Those of them that are visible.
    pub visible_entities: u64,
    /// Events in quarantine.
    pub quarantined: u64,
}

/// Counts what a space has.
pub async fn count(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<SpaceSizes> {
    let row = sqlx::query(
        "SELECT log.segments, log.bytes AS log_bytes, archived.objects, archived.bytes AS archive_bytes,
                folded.entities, folded.visible AS visible_entities, faulty.quarantined
         FROM (
             SELECT count(*) AS segments, coalesce(sum(bytes), 0)::bigint AS bytes FROM (
                 SELECT octet_length(frame) AS bytes FROM segments WHERE space_id = $1 ORDER BY last DESC LIMIT $2
             ) AS counted
         ) AS log, (
             SELECT count(*) AS objects, coalesce(sum(bytes), 0)::bigint AS bytes FROM (
                 SELECT bytes FROM archive WHERE space_id = $1 ORDER BY last DESC LIMIT $2
             ) AS counted
         ) AS archived, (
             SELECT count(*) AS entities, count(*) FILTER (WHERE visible) AS visible FROM (
                 SELECT visible FROM entities
                 WHERE space_id = $1 AND generation = (SELECT generation FROM projections WHERE space_id = $1)
                 LIMIT $2
             ) AS counted
         ) AS folded, (
             SELECT count(*) AS quarantined FROM (
                 SELECT FROM quarantine WHERE space_id = $1 LIMIT $2
             ) AS counted
         ) AS faulty",
    )
    .bind(space.as_str())
    .bind(COUNTED_MAX)
    .fetch_one(connection)
    .await?;
    let number = |column: &str| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    Ok(SpaceSizes {
        segments: number("segments")?,
        log_bytes: number("log_bytes")?,
        objects: number("objects")?,
        archive_bytes: number("archive_bytes")?,
        entities: number("entities")?,
        visible_entities: number("visible_entities")?,
        quarantined: number("quarantined")?,
    })
}
