//! `rebuilds`: generations of entities that are being filled beside those that are read, or emptied after them.

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use tidelog_events::fold::StateHash;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::SchemaId;

use crate::columns;

/// A rebuild under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuild {
    /// The generation that is filled, or emptied once [`Self::retired`].
    pub generation: i32,
    /// The position through which the log is folded into it.
    pub applied: Position,
    /// Its state hash.
    pub state_hash: StateHash,
    /// The schema that folds it.
    pub schema: SchemaId,
    /// Whether nobody reads the generation any more.
    pub retired: bool,
}

fn rebuild(row: &PgRow) -> sqlx::Result<Rebuild> {
    Ok(Rebuild {
        generation: row.try_get("generation")?,
        applied: columns::position(row, "applied")?,
        state_hash: row.try_get::<Json<_>, _>("state_hash")?.0,
        schema: columns::schema(row)?,
        retired: row.try_get("retired")?,
    })
}

/// Begins one, unless one is under way or the space was never folded; returns whether it did.
pub async fn begin(connection: &mut PgConnection, space: &SpaceId, schema: &SchemaId) -> sqlx::Result<bool> {
    // The lock makes it wait for a switch of generations that is being committed: the next one must be nobody's.
    let done = sqlx::query(
        "INSERT INTO rebuilds (space_id, generation, schema_version, schema_fingerprint)
         SELECT space_id, generation + 1, $2, $3 FROM projections WHERE space_id = $1 FOR UPDATE
         ON CONFLICT DO NOTHING",
    )
    .bind(space.as_str())
    .bind(i64::from(schema.version))
    .bind(&*schema.fingerprint)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// As [`begin`], but only if this schema alone did not fold the space, and none of a later version did.
pub async fn begin_outdated(
    connection: &mut PgConnection,
    space: &SpaceId,
    schema: &SchemaId,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rebuilds (space_id, generation, schema_version, schema_fingerprint)
         SELECT space_id, generation + 1, $2, $3 FROM projections
         WHERE space_id = $1
           AND (schema_version < $2 OR (schema_version = $2 AND (mixed OR schema_fingerprint <> $3)))
         FOR UPDATE
         ON CONFLICT DO NOTHING",
    )
    .bind(space.as_str())
    .bind(i64::from(schema.version))
    .bind(&*schema.fingerprint)
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks a space's rebuild until the transaction ends, unless somebody else has it.
pub async fn lock_free(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<Option<Rebuild>> {
    let row = sqlx::query(
        "SELECT generation, applied, state_hash, schema_version, schema_fingerprint, retired FROM rebuilds
         WHERE space_id = $1 FOR UPDATE SKIP LOCKED",
    )
    .bind(space.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(rebuild).transpose()
}

/// Whether the space has a rebuild under way.
pub async fn is_under_way(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM rebuilds WHERE space_id = $1)")
        .bind(space.as_str())
        .fetch_one(connection)
        .await
}

/// Up to `limit` spaces that have one under way.
pub async fn list(connection: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<SpaceId>> {
    let rows = sqlx::query("SELECT space_id FROM rebuilds ORDER BY space_id LIMIT $1")
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| columns::id(row, "space_id")).collect()
}

/// Writes how far it is; the caller holds the lock.
pub async fn update(connection: &mut PgConnection, space: &SpaceId, now: &Rebuild) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE rebuilds SET generation = $2, applied = $3, state_hash = $4, retired = $5 WHERE space_id = $1",
    )
    .bind(space.as_str())
    .bind(now.generation)
    .bind(now.applied.as_i64())
    .bind(Json(&now.state_hash))
    .bind(now.retired)
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends it; the caller holds the lock and has emptied its generation.
pub async fn finish(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM rebuilds WHERE space_id = $1").bind(space.as_str()).execute(connection).await?;
    Ok(())
}
