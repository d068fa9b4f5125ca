//! `projections`: how far each space is folded, and the row lock that orders whoever folds it.

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use tidelog_events::fold::StateHash;
use tidelog_events::id::{Epoch, Position, SpaceId};
use tidelog_events::schema::SchemaId;

use crate::columns;

/// How far a space is folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// The space.
    pub space: SpaceId,
    /// Which entities are read.
    pub generation: i32,
    /// The position through which the log is folded into them.
    pub applied: Position,
    /// Their state hash.
    pub state_hash: StateHash,
    /// The schema that folded it, the newest one if there were several.
    pub schema: SchemaId,
    /// Whether another one folded some of it, too.
    pub mixed: bool,
    /// The head of the space's log: at least this.
    pub head: Position,
    /// The position through which the log has been pruned: at least this.
    pub horizon: Position,
}

fn projection(row: &PgRow) -> sqlx::Result<Projection> {
    Ok(Projection {
        space: columns::id(row, "space_id")?,
        generation: row.try_get("generation")?,
        applied: columns::position(row, "applied")?,
        state_hash: row.try_get::<Json<_>, _>("state_hash")?.0,
        schema: columns::schema(row)?,
        mixed: row.try_get("mixed")?,
        head: columns::position(row, "head")?,
        horizon: columns::position(row, "horizon")?,
    })
}

/// Makes rows for the spaces that have a log and no row yet. Where there are entities all the same, a row was lost, and
/// nothing says what is folded into them: the new one begins another generation. Returns those spaces.
pub async fn ensure(
    connection: &mut PgConnection,
    spaces: &[&str],
    schema: &SchemaId,
) -> sqlx::Result<Vec<SpaceId>> {
    // In order, so that two replicas that meet the same new spaces wait for each other in one direction.
    let made = sqlx::query(
        "INSERT INTO projections (space_id, generation, schema_version, schema_fingerprint)
         SELECT spaces.space_id, 1 + coalesce((
                    SELECT max(generation) FROM entities WHERE entities.space_id = spaces.space_id
                ), 0), $2, $3
         FROM spaces
         WHERE spaces.space_id = ANY ($1::text[])
           AND NOT EXISTS (SELECT FROM projections AS present WHERE present.space_id = spaces.space_id)
         ORDER BY spaces.space_id
         ON CONFLICT DO NOTHING
         RETURNING space_id, generation",
    )
    .bind(spaces)
    .bind(i64::from(schema.version))
    .bind(&*schema.fingerprint)
    .fetch_all(connection)
    .await?;
    let mut orphaned = Vec::new();
    for row in &made {
        if row.try_get::<i32, _>("generation")? > 1 {
            orphaned.push(columns::id(row, "space_id")?);
        }
    }
    Ok(orphaned)
}

/// Those of the spaces that have a row and a log.
pub async fn present(connection: &mut PgConnection, spaces: &[&str]) -> sqlx::Result<Vec<SpaceId>> {
    let rows = sqlx::query(
        "SELECT space_id FROM projections JOIN spaces USING (space_id) WHERE space_id = ANY ($1::text[])",
    )
    .bind(spaces)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| columns::id(row, "space_id")).collect()
}

/// The sum of the positions through which the spaces are folded.
pub async fn total_applied(connection: &mut PgConnection, spaces: &[&str]) -> sqlx::Result<u64> {
    let total: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(applied), 0)::bigint FROM projections WHERE space_id = ANY ($1::text[])",
    )
    .bind(spaces)
    .fetch_one(connection)
    .await?;
    Ok(total.cast_unsigned())
}

/// Locks those of the spaces' projections that nobody else has locked, until the transaction ends.
pub async fn lock_free(connection: &mut PgConnection, spaces: &[&str]) -> sqlx::Result<Vec<Projection>> {
    let rows = sqlx::query(
        "SELECT space_id, generation, applied, state_hash, schema_version, schema_fingerprint, mixed, head, horizon
         FROM projections JOIN spaces USING (space_id)
         WHERE space_id = ANY ($1::text[])
         ORDER BY space_id
         FOR UPDATE OF projections SKIP LOCKED",
    )
    .bind(spaces)
    .fetch_all(connection)
    .await?;
    rows.iter().map(projection).collect()
}

/// Locks one space's projection, waiting for whoever has it.
pub async fn lock(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<Option<Projection>> {
    let row = sqlx::query(
        "SELECT space_id, generation, applied, state_hash, schema_version, schema_fingerprint, mixed, head, horizon
         FROM projections JOIN spaces USING (space_id)
         WHERE space_id = $1
         FOR UPDATE OF projections",
    )
    .bind(space.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(projection).transpose()
}

/// One space's projection, as a reader sees it; none before anything was folded.
pub async fn find(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<Option<Projection>> {
    let row = sqlx::query(
        "SELECT space_id, generation, applied, state_hash, schema_version, schema_fingerprint, mixed, head, horizon
         FROM projections JOIN spaces USING (space_id)
         WHERE space_id = $1",
    )
    .bind(space.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(projection).transpose()
}

/// What a space is folded to, for comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// The position through which it is folded.
    pub applied: Position,
    /// The log's incarnation.
    pub epoch: Epoch,
    /// The schema version that folded it.
    pub schema_version: u32,
    /// The state hash.
    pub state_hash: StateHash,
}

/// What each of these spaces is folded to; those that no one schema folded alone are left out: they compare with nobody.
pub async fn folded(connection: &mut PgConnection, spaces: &[&str]) -> sqlx::Result<Vec<(SpaceId, Folded)>> {
    let rows = sqlx::query(
        "SELECT space_id, applied, epoch, schema_version, schema_fingerprint, state_hash
         FROM projections JOIN spaces USING (space_id)
         WHERE space_id = ANY ($1::text[]) AND NOT mixed",
    )
    .bind(spaces)
    .fetch_all(connection)
    .await?;
    let folded = |row: &PgRow| {
        let folded = Folded {
            applied: columns::position(row, "applied")?,
            epoch: Epoch(row.try_get("epoch")?),
            schema_version: columns::schema(row)?.version,
            state_hash: row.try_get::<Json<_>, _>("state_hash")?.0,
        };
        Ok((columns::id(row, "space_id")?, folded))
    };
    rows.iter().map(folded).collect()
}

/// Through which position each of these spaces is folded; those of which nothing was ever folded are left out.
pub async fn applied(
    connection: &mut PgConnection,
    spaces: &[&str],
) -> sqlx::Result<Vec<(SpaceId, Position)>> {
    let rows = sqlx::query("SELECT space_id, applied FROM projections WHERE space_id = ANY ($1::text[])")
        .bind(spaces)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((columns::id(row, "space_id")?, columns::position(row, "applied")?))).collect()
}

/// Writes how far the spaces are folded now; the caller holds the locks.
pub async fn advance(connection: &mut PgConnection, projections: &[Projection]) -> sqlx::Result<()> {
    let column = projections.iter();
    sqlx::query(
        "UPDATE projections SET generation = moved.generation, applied = moved.applied,
                state_hash = moved.state_hash, schema_version = moved.schema_version,
                schema_fingerprint = moved.schema_fingerprint, mixed = moved.mixed
         FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::jsonb[], $5::bigint[], $6::text[],
                     $7::boolean[])
           AS moved (space_id, generation, applied, state_hash, schema_version, schema_fingerprint, mixed)
         WHERE projections.space_id = moved.space_id",
    )
    .bind(column.clone().map(|moved| moved.space.as_str()).collect::<Vec<_>>())
    .bind(column.clone().map(|moved| moved.generation).collect::<Vec<_>>())
    .bind(column.clone().map(|moved| moved.applied.as_i64()).collect::<Vec<_>>())
    .bind(column.clone().map(|moved| Json(&moved.state_hash)).collect::<Vec<_>>())
    .bind(column.clone().map(|moved| i64::from(moved.schema.version)).collect::<Vec<_>>())
    .bind(column.clone().map(|moved| &*moved.schema.fingerprint).collect::<Vec<_>>())
    .bind(column.map(|moved| moved.mixed).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// A space whose log goes on behind what is folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// The space.
    pub space: SpaceId,
    /// The position through which it is folded.
    pub applied: Position,
    /// Its head.
    pub head: Position,
}

/// Up to `limit` spaces that are behind, in order of their ids, those after `after`.
pub async fn behind(connection: &mut PgConnection, after: &str, limit: i64) -> sqlx::Result<Vec<Behind>> {
    let rows = sqlx::query(
        "SELECT space_id, head, coalesce(applied, 0) AS applied
         FROM spaces LEFT JOIN projections USING (space_id)
         WHERE space_id > $1 AND head > coalesce(applied, 0)
         ORDER BY space_id LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let behind = |row: &PgRow| {
        Ok(Behind {
            space: columns::id(row, "space_id")?,
            applied: columns::position(row, "applied")?,
            head: columns::position(row, "head")?,
        })
    };
    rows.iter().map(behind).collect()
}

/// Up to `limit` spaces that were not folded by this schema alone, and by none of a later version; in order of their ids,
/// those after `after`.
pub async fn outdated(
    connection: &mut PgConnection,
    schema: &SchemaId,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<SpaceId>> {
    // Each part is a range of one index.
    let rows = sqlx::query(
        "SELECT space_id FROM (
             SELECT space_id FROM projections WHERE (schema_version, schema_fingerprint) < ($1, $2)
             UNION ALL
             SELECT space_id FROM projections WHERE schema_version = $1 AND schema_fingerprint > $2
             UNION ALL
             SELECT space_id FROM projections WHERE schema_version = $1 AND schema_fingerprint = $2 AND mixed
         ) AS outdated
         WHERE space_id > $3 ORDER BY space_id LIMIT $4",
    )
    .bind(i64::from(schema.version))
    .bind(&*schema.fingerprint)
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| columns::id(row, "space_id")).collect()
}
