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
    /// The snapshot that it starts from, by its position; 0 where it starts from nothing, or has not started.
    pub snapshot: Position,
    /// The part of the snapshot that is taken in next.
    pub next_part: u32,
}

impl Rebuild {
    /// Whether nothing was put into its generation yet.
    pub fn is_fresh(&self) -> bool {
        self.applied == Position::ZERO && self.snapshot == Position::ZERO
    }

    /// The same, not started.
    #[must_use]
    pub fn afresh(self) -> Self {
        Self {
            applied: Position::ZERO,
            state_hash: StateHash::default(),
            snapshot: Position::ZERO,
            next_part: 0,
            ..self
        }
    }
}

fn rebuild(row: &PgRow) -> sqlx::Result<Rebuild> {
    Ok(Rebuild {
        generation: row.try_get("generation")?,
        applied: columns::position(row, "applied")?,
        state_hash: row.try_get::<Json<_>, _>("state_hash")?.0,
        schema: columns::schema(row)?,
        retired: row.try_get("retired")?,
        snapshot: columns::position(row, "snapshot")?,
        next_part: row.try_get::<i32, _>("next_part")?.cast_unsigned(),
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

/// Begins one for each of these spaces that has none under way and that no schema of a later version has folded;
/// returns those. The caller holds the locks of their projections.
pub async fn begin_each(
    connection: &mut PgConnection,
    spaces: &[&str],
    schema: &SchemaId,
) -> sqlx::Result<Vec<SpaceId>> {
    let rows = sqlx::query(
        "INSERT INTO rebuilds (space_id, generation, schema_version, schema_fingerprint)
         SELECT space_id, generation + 1, $2, $3 FROM projections
         WHERE space_id = ANY ($1::text[]) AND schema_version <= $2
         ORDER BY space_id
         ON CONFLICT DO NOTHING
         RETURNING space_id",
    )
    .bind(spaces)
    .bind(i64::from(schema.version))
    .bind(&*schema.fingerprint)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| columns::id(row, "space_id")).collect()
}

/// Has the entities deleted that were there before these spaces' projections, which were just made
/// ([`crate::projections::ensure`]).
pub async fn retire_orphans(connection: &mut PgConnection, spaces: &[SpaceId]) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO rebuilds (space_id, generation, schema_version, schema_fingerprint, retired)
         SELECT space_id, generation - 1, schema_version, schema_fingerprint, true FROM projections
         WHERE space_id = ANY ($1::text[])
         ORDER BY space_id
         ON CONFLICT DO NOTHING",
    )
    .bind(spaces.iter().map(SpaceId::as_str).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks a space's rebuild until the transaction ends, unless somebody else has it.
pub async fn lock_free(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<Option<Rebuild>> {
    let row = sqlx::query(
        "SELECT generation, applied, state_hash, schema_version, schema_fingerprint, retired, snapshot, next_part
         FROM rebuilds WHERE space_id = $1 FOR UPDATE SKIP LOCKED",
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

/// Whether a generation of the space's entities is being filled.
pub async fn is_filling(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM rebuilds WHERE space_id = $1 AND NOT retired)")
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
        "UPDATE rebuilds SET generation = $2, applied = $3, state_hash = $4, retired = $5, snapshot = $6,
                next_part = $7
         WHERE space_id = $1",
    )
    .bind(space.as_str())
    .bind(now.generation)
    .bind(now.applied.as_i64())
    .bind(Json(&now.state_hash))
    .bind(now.retired)
    .bind(now.snapshot.as_i64())
    .bind(now.next_part.cast_signed())
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends it; the caller holds the lock and has emptied its generation.
pub async fn finish(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM rebuilds WHERE space_id = $1").bind(space.as_str()).execute(connection).await?;
    Ok(())
}
