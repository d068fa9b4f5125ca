//! A space together with what its log holds behind a cursor: all that a pull reads, of one moment and in one statement.

use sqlx::{PgConnection, Row};
use tidelog_events::id::{Position, SpaceId};

use crate::segments::{Segment, segment};
use crate::spaces::{Space, space};

/// A space's log from a cursor on.
#[derive(Debug)]
pub struct SpaceLog {
    /// Whether the space was erased.
    pub erased: bool,
    /// The space, if anything was ever pushed to it.
    pub space: Option<Space>,
    /// What lies behind the cursor, in order; nothing where the cursor is at the head, or beyond it.
    pub segments: Vec<Segment>,
}

/// A space, and the segments behind `after`: as many as hold `events` events and `bytes` stored bytes, and at least one
/// if there is any. The first may begin at or before `after`.
pub async fn behind(
    connection: &mut PgConnection,
    id: &SpaceId,
    after: Position,
    events: u64,
    bytes: u64,
) -> sqlx::Result<SpaceLog> {
    let rows = sqlx::query(
        "WITH candidates AS (
             SELECT first, last, octet_length(frame) AS bytes FROM segments
             WHERE space_id = $1 AND last > $2 ORDER BY last LIMIT $3
         ), chosen AS (
             SELECT first, last, sum(bytes) OVER (ORDER BY last) - bytes AS bytes_before FROM candidates
         )
         SELECT $1 AS space_id, head, horizon, epoch,
                EXISTS (SELECT FROM erasures WHERE space_id = $1) AS erased,
                first, last, device_id, user_id, released, batches, frame,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms
         FROM (SELECT) AS always
         LEFT JOIN spaces ON spaces.space_id = $1
         LEFT JOIN segments ON segments.space_id = $1 AND last > $2 AND last <= (
             SELECT max(last) FROM chosen
             WHERE first = (SELECT min(first) FROM chosen) OR (first <= $2 + $3 AND bytes_before < $4)
         )
         ORDER BY last",
    )
    .bind(id.as_str())
    .bind(after.as_i64())
    .bind(events as i64)
    .bind(bytes as i64)
    .fetch_all(connection)
    .await?;
    let mut log = SpaceLog { erased: false, space: None, segments: Vec::with_capacity(rows.len()) };
    for row in &rows {
        log.erased = row.try_get("erased")?;
        if log.space.is_none() && row.try_get::<Option<i64>, _>("head")?.is_some() {
            log.space = Some(space(row)?);
        }
        if row.try_get::<Option<i64>, _>("first")?.is_some() {
            log.segments.push(segment(row)?);
        }
    }
    Ok(log)
}
