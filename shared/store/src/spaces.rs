//! `spaces`: a log's head, horizon and epoch, and the row lock that makes its positions gapless.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tidelog_events::id::{Epoch, Position, SpaceId};
use tidelog_events::limits::MAX_ID_BYTES;
use tidelog_events::protocol::UtcTime;

use crate::columns;

/// A space's log as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The space.
    pub space: SpaceId,
    /// Its last position.
    pub head: Position,
    /// The position through which it has been pruned.
    pub horizon: Position,
    /// Its incarnation.
    pub epoch: Epoch,
}

pub(crate) fn space(row: &PgRow) -> sqlx::Result<Space> {
    Ok(Space {
        space: columns::id(row, "space_id")?,
        head: columns::position(row, "head")?,
        horizon: columns::position(row, "horizon")?,
        epoch: Epoch(row.try_get("epoch")?),
    })
}

/// Makes rows for the spaces that have none, and were not erased.
pub async fn ensure(connection: &mut PgConnection, spaces: &[&str]) -> sqlx::Result<()> {
    // In order, so that two replicas that meet the same new spaces wait for each other in one direction.
    sqlx::query(
        "INSERT INTO spaces (space_id)
         SELECT space_id FROM unnest($1::text[]) AS wanted (space_id)
         WHERE NOT EXISTS (SELECT FROM spaces AS present WHERE present.space_id = wanted.space_id)
           AND NOT EXISTS (SELECT FROM erasures WHERE erasures.space_id = wanted.space_id)
         ORDER BY space_id
         ON CONFLICT DO NOTHING",
    )
    .bind(spaces)
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks those of the spaces that nobody else has locked, until the transaction ends; erased ones never.
pub async fn lock_free(connection: &mut PgConnection, spaces: &[&str]) -> sqlx::Result<Vec<Space>> {
    let rows = sqlx::query(
        "SELECT space_id, head, horizon, epoch FROM spaces
         WHERE space_id = ANY ($1::text[])
           AND NOT EXISTS (SELECT FROM erasures WHERE erasures.space_id = spaces.space_id)
         ORDER BY space_id
         FOR UPDATE SKIP LOCKED",
    )
    .bind(spaces)
    .fetch_all(connection)
    .await?;
    rows.iter().map(space).collect()
}

/// Locks one space, waiting for whoever has it, until the transaction ends; an erased one never.
pub async fn lock(connection: &mut PgConnection, id: &SpaceId) -> sqlx::Result<Option<Space>> {
    let row = sqlx::query(
        "SELECT space_id, head, horizon, epoch FROM spaces
         WHERE space_id = $1
           AND NOT EXISTS (SELECT FROM erasures WHERE erasures.space_id = spaces.space_id)
         FOR UPDATE OF spaces",
    )
    .bind(id.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(space).transpose()
}

/// Moves heads; the caller holds the locks.
pub async fn move_heads(connection: &mut PgConnection, spaces: &[&str], heads: &[i64]) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE spaces SET head = moved.head
         FROM unnest($1::text[], $2::bigint[]) AS moved (space_id, head)
         WHERE spaces.space_id = moved.space_id",
    )
    .bind(spaces)
    .bind(heads)
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves a space's horizon, if it still is where the caller has seen it and the log still is the same; the caller has
/// pruned it so far in the same transaction.
pub async fn move_horizon(connection: &mut PgConnection, seen: &Space, to: Position) -> sqlx::Result<bool> {
    let moved = sqlx::query(
        "UPDATE spaces SET horizon = $3
         WHERE space_id = $1 AND horizon = $2 AND head >= $3 AND epoch = $4
           AND NOT EXISTS (SELECT FROM erasures WHERE erasures.space_id = spaces.space_id)",
    )
    .bind(seen.space.as_str())
    .bind(seen.horizon.as_i64())
    .bind(to.as_i64())
    .bind(seen.epoch.0)
    .execute(connection)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// The space, if anything was ever pushed to it.
pub async fn find(connection: &mut PgConnection, id: &SpaceId) -> sqlx::Result<Option<Space>> {
    let row = sqlx::query("SELECT space_id, head, horizon, epoch FROM spaces WHERE space_id = $1")
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(space).transpose()
}

/// Those of the spaces that anything was ever pushed to.
pub async fn among(connection: &mut PgConnection, spaces: &[&str]) -> sqlx::Result<Vec<Space>> {
    let rows =
        sqlx::query("SELECT space_id, head, horizon, epoch FROM spaces WHERE space_id = ANY ($1::text[])")
            .bind(spaces)
            .fetch_all(connection)
            .await?;
    rows.iter().map(space).collect()
}

/// Up to `limit` spaces in order of their ids, those behind `after`.
pub async fn list(connection: &mut PgConnection, after: &str, limit: i64) -> sqlx::Result<Vec<Space>> {
    let rows = sqlx::query(
        "SELECT space_id, head, horizon, epoch FROM spaces WHERE space_id > $1 ORDER BY space_id LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(space).collect()
}

/// A space, and what is to be told of it among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSpace {
    /// Its log.
    pub log: Space,
    /// When something was first pushed to it.
    pub created_at: UtcTime,
    /// When the last event that its log has was received.
    pub last_received_at: Option<UtcTime>,
}

/// As many of the last character as fit into an id, and one: what begins with a text stands before it and these.
const LAST_CHARACTERS: usize = MAX_ID_BYTES / 4 + 1;

/// Up to `limit` spaces whose ids begin with `prefix`, in order of their ids, those behind `after`.
pub async fn search(
    connection: &mut PgConnection,
    prefix: &str,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<KnownSpace>> {
    // One range of the key, from its first row on: it costs what it finds.
    let rows = sqlx::query(
        "SELECT space_id, head, horizon, epoch, (extract(epoch FROM created_at) * 1000)::bigint AS created_ms, (
                    SELECT (extract(epoch FROM received_at) * 1000)::bigint FROM segments
                    WHERE segments.space_id = spaces.space_id ORDER BY last DESC LIMIT 1
                ) AS received_ms
         FROM spaces WHERE space_id >= $1 AND space_id > $2 AND space_id < $3 ORDER BY space_id LIMIT $4",
    )
    .bind(prefix)
    .bind(after)
    .bind(format!("{prefix}{}", char::MAX.to_string().repeat(LAST_CHARACTERS)))
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(known_space).collect()
}

fn known_space(row: &PgRow) -> sqlx::Result<KnownSpace> {
    Ok(KnownSpace {
        log: space(row)?,
        created_at: UtcTime(row.try_get("created_ms")?),
        last_received_at: row.try_get::<Option<i64>, _>("received_ms")?.map(UtcTime),
    })
}

/// The sum of the spaces' heads: how many events were ever committed to them.
pub async fn total_head(connection: &mut PgConnection, spaces: &[&str]) -> sqlx::Result<u64> {
    let total: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(head), 0)::bigint FROM spaces WHERE space_id = ANY ($1::text[])",
    )
    .bind(spaces)
    .fetch_one(connection)
    .await?;
    Ok(total.cast_unsigned())
}

/// Gives every log a new epoch: after a restore no cursor can be trusted. It may take as long as there are spaces.
pub async fn rotate_epochs(connection: &mut PgConnection) -> sqlx::Result<u64> {
    sqlx::query("SELECT set_config('statement_timeout', '0', true)").execute(&mut *connection).await?;
    let done = sqlx::query("UPDATE spaces SET epoch = gen_random_uuid()").execute(connection).await?;
    Ok(done.rows_affected())
}
