//! A space together with what its log holds behind a cursor: what a pull reads, of one moment and in one statement.

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
    /// What lies behind the cursor, or behind the horizon where that is later, in order; nothing where the cursor is at
    /// the head, or beyond it.
    pub segments: Vec<Segment>,
}

/// A space, and the segments behind `after`, or behind the horizon for who is before it: as many as hold `events` events
/// and `bytes` stored bytes, and at least one if there is any. The first may begin at or before `after`. It looks at no
/// more segments than it may answer with, and one: a log has no gaps, so what begins at or before where it starts plus
/// `events` ends there, or is the next one that ends behind.
pub async fn behind(
    connection: &mut PgConnection,
    id: &SpaceId,
    after: Position,
    events: u64,
    bytes: u64,
) -> sqlx::Result<SpaceLog> {
    let rows = sqlx::query(
        "WITH start AS (
             SELECT greatest($2, (SELECT horizon FROM spaces WHERE space_id = $1)) AS after
         ), candidates AS (
             (SELECT first, last, octet_length(frame) AS bytes FROM segments
              WHERE space_id = $1 AND last > (SELECT after FROM start) AND last <= (SELECT after FROM start) + $3)
             UNION ALL
             (SELECT first, last, octet_length(frame) AS bytes FROM segments
              WHERE space_id = $1 AND last > (SELECT after FROM start) + $3 ORDER BY last LIMIT 1)
         ), chosen AS (
             SELECT first, last, sum(bytes) OVER (ORDER BY last) - bytes AS bytes_before FROM candidates
         )
         SELECT $1 AS space_id, head, horizon, epoch,
                EXISTS (SELECT FROM erasures WHERE space_id = $1) AS erased,
                first, last, device_id, user_id, released, batches, frame,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms
         FROM (SELECT) AS always
         LEFT JOIN spaces ON spaces.space_id = $1
         LEFT JOIN segments ON segments.space_id = $1 AND last > (SELECT after FROM start) AND last <= (
             SELECT max(last) FROM chosen
             WHERE first = (SELECT min(first) FROM chosen)
                OR (first <= (SELECT after FROM start) + $3 AND bytes_before < $4)
         )",
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
    // Sorted here: PostgreSQL would sort the frames along, on disk where they are many.
    log.segments.sort_unstable_by_key(|segment| segment.header.last);
    Ok(log)
}
