//! Segments as candidates for a merge: how much each would bring to it.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tidelog_events::frame::{FRAME_HEAD_BYTES, content_bytes};
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::protocol::UtcTime;

use crate::columns;

/// What decides about a segment's merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mergeable {
    /// Its first position.
    pub first: Position,
    /// Its last position.
    pub last: Position,
    /// When the latest of its batches came.
    pub received_at: UtcTime,
    /// How many batches it holds.
    pub batches: u64,
    /// Bytes that its frame decodes to; none where the frame does not say, so it is damaged.
    pub content_bytes: Option<u64>,
}

impl Mergeable {
    /// Events that it holds.
    pub fn events(&self) -> u64 {
        (self.last.0 + 1).saturating_sub(self.first.0)
    }
}

/// The segments of a space around a position, in order: up to `before` of those that end at or before it, and up to
/// `behind` of the others; all of them behind the horizon. Only the heads of their frames are read.
pub async fn around(
    connection: &mut PgConnection,
    space: &SpaceId,
    horizon: Position,
    at: Position,
    (before, behind): (i64, i64),
) -> sqlx::Result<Vec<Mergeable>> {
    let rows = sqlx::query(
        "SELECT first, last, received_ms, batches, head FROM (
             (SELECT first, last, (extract(epoch FROM received_at) * 1000)::bigint AS received_ms,
                     coalesce(jsonb_array_length(batches), 1)::bigint AS batches,
                     substring(frame FROM 1 FOR $6) AS head
              FROM segments WHERE space_id = $1 AND last > $2 AND last <= $3 ORDER BY last DESC LIMIT $4)
             UNION ALL
             (SELECT first, last, (extract(epoch FROM received_at) * 1000)::bigint,
                     coalesce(jsonb_array_length(batches), 1)::bigint, substring(frame FROM 1 FOR $6)
              FROM segments WHERE space_id = $1 AND last > greatest($2, $3) ORDER BY last LIMIT $5)
         ) AS around
         ORDER BY last",
    )
    .bind(space.as_str())
    .bind(horizon.as_i64())
    .bind(at.as_i64())
    .bind(before)
    .bind(behind)
    .bind(FRAME_HEAD_BYTES as i32)
    .fetch_all(connection)
    .await?;
    let segment = |row: &PgRow| {
        Ok(Mergeable {
            first: columns::position(row, "first")?,
            last: columns::position(row, "last")?,
            received_at: UtcTime(row.try_get("received_ms")?),
            batches: row.try_get::<i64, _>("batches")?.cast_unsigned(),
            content_bytes: content_bytes(row.try_get("head")?).ok(),
        })
    };
    rows.iter().map(segment).collect()
}
