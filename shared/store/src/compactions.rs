//! `compactions`: what the compactor has done with each space, and the row lock that says who is at it.

use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::protocol::UtcTime;

use crate::columns;

/// What is known of a space from earlier runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    /// Segments through here are merged as far as they will be.
    pub merged_through: Position,
    /// What the last refusal to prune has found, if it still stands.
    pub refusal: Option<Value>,
}

/// Makes a row for a space that has none.
pub async fn ensure(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO compactions (space_id) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(space.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Lets the transaction idle as long as the work takes that is done between its statements.
pub async fn may_idle(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SET LOCAL idle_in_transaction_session_timeout = 0").execute(connection).await?;
    Ok(())
}

/// Locks a space's row until the transaction ends, unless somebody else has it. The transaction may idle as long as the
/// work takes.
pub async fn lock_free(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<Option<Compaction>> {
    may_idle(&mut *connection).await?;
    let row = sqlx::query(
        "SELECT merged_through, refusal FROM compactions WHERE space_id = $1 FOR UPDATE SKIP LOCKED",
    )
    .bind(space.as_str())
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Compaction {
            merged_through: columns::position(&row, "merged_through")?,
            refusal: row.try_get::<Option<Json<_>>, _>("refusal")?.map(|json| json.0),
        })
    })
    .transpose()
}

/// Through where a space's segments are merged, as a reader sees it.
pub async fn merged_through(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<Position> {
    let through = sqlx::query_scalar("SELECT merged_through FROM compactions WHERE space_id = $1")
        .bind(space.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(through.map_or(Position::ZERO, Position::from_i64))
}

/// The refusal that stands for a space, and when it was made.
pub async fn refusal(
    connection: &mut PgConnection,
    space: &SpaceId,
) -> sqlx::Result<Option<(UtcTime, Value)>> {
    let row = sqlx::query(
        "SELECT (extract(epoch FROM refused_at) * 1000)::bigint AS refused_ms, refusal FROM compactions
         WHERE space_id = $1 AND refusal IS NOT NULL",
    )
    .bind(space.as_str())
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok((UtcTime(row.try_get("refused_ms")?), row.try_get::<Json<_>, _>("refusal")?.0)))
        .transpose()
}

/// Notes how far segments are merged; the caller holds the lock.
pub async fn note_merged(
    connection: &mut PgConnection,
    space: &SpaceId,
    through: Position,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE compactions SET merged_through = $2 WHERE space_id = $1")
        .bind(space.as_str())
        .bind(through.as_i64())
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes why the space was not pruned, or with `None` that nothing stands against it; the caller holds the lock.
pub async fn note_refusal(
    connection: &mut PgConnection,
    space: &SpaceId,
    refusal: Option<&Value>,
    now: UtcTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE compactions
         SET refusal = $2, refused_at = CASE WHEN $2::jsonb IS NOT NULL
                 THEN timestamptz 'epoch' + $3 * interval '1 millisecond' END
         WHERE space_id = $1",
    )
    .bind(space.as_str())
    .bind(refusal.map(Json))
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// When something of a space is due. All times are those before which something must have happened.
#[derive(Debug, Clone, Copy)]
pub struct DueBefore {
    /// Events were received that are pruned ...
    pub pruned: UtcTime,
    /// ... where so many stay ...
    pub keep_events: u64,
    /// ... and so many can go at once.
    pub prune_events: u64,
    /// Segments were received that are merged, ...
    pub merged: UtcTime,
    /// ... where there are so many that were not looked at.
    pub merge_segments: i64,
    /// Snapshots were superseded that go.
    pub superseded: UtcTime,
}

/// Looks at up to `window` spaces in order of their ids, those behind `after`: the ones of which something is due; and
/// where to go on, if there are more. An idle space costs a few reads of an index, and none of `segments` where its log
/// has not grown by as much as is compacted at once.
pub async fn due(
    connection: &mut PgConnection,
    after: &str,
    window: i64,
    before: &DueBefore,
) -> sqlx::Result<(Vec<SpaceId>, Option<String>)> {
    // Subqueries, where joins would say the same: whatever the planner believes of the tables, it looks rows up by key.
    let row = sqlx::query(
        "WITH looked_at AS MATERIALIZED (
             SELECT space_id, head, horizon, greatest(horizon, (
                 SELECT merged_through FROM compactions WHERE compactions.space_id = spaces.space_id
             )) AS merged_through
             FROM spaces WHERE space_id > $1 ORDER BY space_id LIMIT $2
         ), judged AS (
             SELECT space_id, (
                 head - horizon >= $4::bigint + $5 AND (
                     SELECT received_at <= timestamptz 'epoch' + $3 * interval '1 millisecond' AND last <= head - $4
                     FROM segments WHERE segments.space_id = looked_at.space_id AND last >= horizon + $5
                     ORDER BY last LIMIT 1
                 )
             ) OR (
                 head - merged_through >= $7 AND (
                     SELECT received_at <= timestamptz 'epoch' + $6 * interval '1 millisecond'
                     FROM segments WHERE segments.space_id = looked_at.space_id AND last > merged_through
                     ORDER BY last OFFSET $7 - 1 LIMIT 1
                 )
             ) OR EXISTS (
                 SELECT FROM snapshots
                 WHERE snapshots.space_id = looked_at.space_id
                   AND superseded_at <= timestamptz 'epoch' + $8 * interval '1 millisecond'
             ) OR EXISTS (
                 SELECT FROM compactions
                 WHERE compactions.space_id = looked_at.space_id AND refusal IS NOT NULL
             ) AS is_due
             FROM looked_at
         )
         SELECT coalesce(array_agg(space_id ORDER BY space_id) FILTER (WHERE is_due), '{}') AS due,
                max(space_id) AS last, count(*) AS spaces
         FROM judged",
    )
    .bind(after)
    .bind(window)
    .bind(before.pruned.0)
    .bind(events(before.keep_events))
    .bind(events(before.prune_events))
    .bind(before.merged.0)
    .bind(before.merge_segments)
    .bind(before.superseded.0)
    .fetch_one(connection)
    .await?;
    let due = columns::ids(&row, "due")?;
    let is_end = row.try_get::<i64, _>("spaces")? < window;
    Ok((due, row.try_get::<Option<String>, _>("last")?.filter(|_| !is_end)))
}

/// A number of events that can be added to a position: more than there will ever be is as good as that.
fn events(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX).min(i64::MAX / 4)
}
