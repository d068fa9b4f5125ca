//! `entity_keys`: under which values of indexed fields entities are found.

use sqlx::PgConnection;
use tidelog_events::fold::EntityKey;
use tidelog_events::id::SpaceId;

use crate::entities::KeyColumns;

/// Rows to add or remove, column by column.
#[derive(Debug, Default)]
pub struct EntityKeyColumns<'a> {
    entities: KeyColumns<'a>,
    fields: Vec<&'a str>,
    keys: Vec<&'a [u8]>,
}

impl<'a> EntityKeyColumns<'a> {
    /// Adds a row.
    pub fn push(
        &mut self,
        space: &'a SpaceId,
        generation: i32,
        entity: &'a EntityKey,
        field: &'a str,
        key: &'a [u8],
    ) {
        self.entities.push(space, generation, entity);
        self.fields.push(field);
        self.keys.push(key);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// Adds rows; the caller holds the locks of their projections or rebuilds.
pub async fn insert(connection: &mut PgConnection, rows: &EntityKeyColumns<'_>) -> sqlx::Result<()> {
    let statement = "INSERT INTO entity_keys (space_id, generation, entity_type, field, key, entity_id)
         SELECT space_id, generation, entity_type, field, key, entity_id
         FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::bytea[], $6::text[])
           AS added (space_id, generation, entity_type, field, key, entity_id)
         ON CONFLICT DO NOTHING";
    execute(connection, statement, rows).await
}

/// Removes rows; the caller holds the locks of their projections or rebuilds.
pub async fn remove(connection: &mut PgConnection, rows: &EntityKeyColumns<'_>) -> sqlx::Result<()> {
    let statement = "DELETE FROM entity_keys
         USING unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::bytea[], $6::text[])
           AS removed (space_id, generation, entity_type, field, key, entity_id)
         WHERE entity_keys.space_id = removed.space_id AND entity_keys.generation = removed.generation
           AND entity_keys.entity_type = removed.entity_type AND entity_keys.field = removed.field
           AND entity_keys.key = removed.key AND entity_keys.entity_id = removed.entity_id";
    execute(connection, statement, rows).await
}

async fn execute(
    connection: &mut PgConnection,
    statement: &'static str,
    rows: &EntityKeyColumns<'_>,
) -> sqlx::Result<()> {
    sqlx::query(statement)
        .bind(&rows.entities.spaces)
        .bind(&rows.entities.generations)
        .bind(&rows.entities.types)
        .bind(&rows.fields)
        .bind(&rows.keys)
        .bind(&rows.entities.ids)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes up to `limit` rows of a generation that nobody reads; returns how many there were.
pub async fn delete_generation(
    connection: &mut PgConnection,
    space: &SpaceId,
    generation: i32,
    limit: i64,
) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM entity_keys
         WHERE space_id = $1 AND generation = $2 AND (entity_type, field, key, entity_id) IN (
             SELECT entity_type, field, key, entity_id FROM entity_keys
             WHERE space_id = $1 AND generation = $2 ORDER BY entity_type, field, key, entity_id LIMIT $3
         )",
    )
    .bind(space.as_str())
    .bind(generation)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
