//! `entities`: the read models, a row an entity, invisible ones too. What readers get of them stands in `visible`.

pub mod conditions;
pub mod visible;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use tidelog_events::fold::EntityKey;
use tidelog_events::id::{Position, SpaceId};

use crate::columns;

/// Which entities, column by column.
#[derive(Debug, Default)]
pub struct KeyColumns<'a> {
    pub(crate) spaces: Vec<&'a str>,
    pub(crate) generations: Vec<i32>,
    pub(crate) types: Vec<&'a str>,
    pub(crate) ids: Vec<&'a str>,
}

impl<'a> KeyColumns<'a> {
    /// Adds an entity.
    pub fn push(&mut self, space: &'a SpaceId, generation: i32, key: &'a EntityKey) {
        self.spaces.push(space.as_str());
        self.generations.push(generation);
        self.types.push(&key.entity_type);
        self.ids.push(key.entity_id.as_str());
    }
}

/// An entity as it is stored.
#[derive(Debug, Clone)]
pub struct StoredEntity {
    /// Its space.
    pub space: SpaceId,
    /// Which entity.
    pub key: EntityKey,
    /// Its line; none where it was not read for its size.
    pub clocks: Option<String>,
}

/// The entities of these that are there. Lines are read in the order in which the entities are wanted, as many as have
/// `bytes` bytes together, and the first in any case.
pub async fn lines(
    connection: &mut PgConnection,
    wanted: &KeyColumns<'_>,
    bytes: i64,
) -> sqlx::Result<Vec<StoredEntity>> {
    let rows = sqlx::query(
        "SELECT space_id, entity_type, entity_id, CASE WHEN bytes_through <= $5 OR turn = 1 THEN clocks END AS clocks
         FROM (
             SELECT space_id, entity_type, entity_id, clocks, row_number() OVER turn AS turn,
                    sum(octet_length(clocks)) OVER turn AS bytes_through
             FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[])
               WITH ORDINALITY AS wanted (space_id, generation, entity_type, entity_id, nth)
             JOIN entities USING (space_id, generation, entity_type, entity_id)
             WINDOW turn AS (ORDER BY nth)
         ) AS found",
    )
    .bind(&wanted.spaces)
    .bind(&wanted.generations)
    .bind(&wanted.types)
    .bind(&wanted.ids)
    .bind(bytes)
    .fetch_all(connection)
    .await?;
    let stored = |row: &PgRow| {
        Ok(StoredEntity {
            space: columns::id(row, "space_id")?,
            key: key(row)?,
            clocks: row.try_get("clocks")?,
        })
    };
    rows.iter().map(stored).collect()
}

/// The positions of the last events that are folded into those of these entities that are there.
pub async fn updated_positions(
    connection: &mut PgConnection,
    wanted: &KeyColumns<'_>,
) -> sqlx::Result<BTreeMap<EntityKey, Position>> {
    let rows = sqlx::query(
        "SELECT entity_type, entity_id, updated_position
         FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[])
           AS wanted (space_id, generation, entity_type, entity_id)
         JOIN entities USING (space_id, generation, entity_type, entity_id)",
    )
    .bind(&wanted.spaces)
    .bind(&wanted.generations)
    .bind(&wanted.types)
    .bind(&wanted.ids)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((key(row)?, columns::position(row, "updated_position")?))).collect()
}

fn key(row: &PgRow) -> sqlx::Result<EntityKey> {
    let entity_type = row.try_get::<&str, _>("entity_type")?.into();
    Ok(EntityKey { entity_type, entity_id: columns::id(row, "entity_id")? })
}

/// The lines of all entities of a generation, invisible ones too, by type and id.
pub async fn all_lines(
    connection: &mut PgConnection,
    space: &SpaceId,
    generation: i32,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT clocks FROM entities WHERE space_id = $1 AND generation = $2 ORDER BY entity_type, entity_id",
    )
    .bind(space.as_str())
    .bind(generation)
    .fetch_all(connection)
    .await
}

/// An entity as readers and folders get it.
#[derive(Debug, Clone)]
pub struct WholeEntity {
    /// Which entity.
    pub key: EntityKey,
    /// Its line.
    pub line: String,
    /// Whether readers see it.
    pub visible: bool,
    /// Its fields, as readers get them.
    pub view: Map<String, Value>,
}

/// Entities of a generation behind `after` in order of type and id, invisible ones too: as many as have `bytes` bytes of
/// lines, but no more than if each had 256, and at least one if there is any.
pub async fn behind(
    connection: &mut PgConnection,
    space: &SpaceId,
    generation: i32,
    after: Option<&EntityKey>,
    bytes: i64,
) -> sqlx::Result<Vec<WholeEntity>> {
    // What is counted must be read, so it should not be much more than is answered.
    let most = bytes / 256 + 1;
    let rows = sqlx::query(
        "SELECT entity_type, entity_id, clocks, visible, view FROM (
             SELECT entity_type, entity_id, clocks, visible, view, row_number() OVER turn AS turn,
                    sum(octet_length(clocks)) OVER turn - octet_length(clocks) AS bytes_before
             FROM (
                 SELECT entity_type, entity_id, clocks, visible, view FROM entities
                 WHERE space_id = $1 AND generation = $2 AND (entity_type, entity_id) > ($3, $4)
                 ORDER BY entity_type, entity_id LIMIT $6
             ) AS next
             WINDOW turn AS (ORDER BY entity_type, entity_id)
         ) AS counted
         WHERE turn = 1 OR bytes_before < $5
         ORDER BY entity_type, entity_id",
    )
    .bind(space.as_str())
    .bind(generation)
    .bind(after.map_or("", |key| &*key.entity_type))
    .bind(after.map_or("", |key| key.entity_id.as_str()))
    .bind(bytes)
    .bind(most)
    .fetch_all(connection)
    .await?;
    let whole = |row: &sqlx::postgres::PgRow| {
        let entity_type = row.try_get::<&str, _>("entity_type")?.into();
        Ok(WholeEntity {
            key: EntityKey { entity_type, entity_id: columns::id(row, "entity_id")? },
            line: row.try_get("clocks")?,
            visible: row.try_get("visible")?,
            view: row.try_get::<Json<_>, _>("view")?.0,
        })
    };
    rows.iter().map(whole).collect()
}

/// Entities to write, column by column.
#[derive(Debug, Default)]
pub struct EntityColumns<'a> {
    keys: KeyColumns<'a>,
    visible: Vec<bool>,
    views: Vec<Json<&'a Map<String, Value>>>,
    clocks: Vec<&'a str>,
    updated_positions: Vec<i64>,
}

impl<'a> EntityColumns<'a> {
    /// Adds an entity.
    pub fn push(&mut self, space: &'a SpaceId, generation: i32, key: &'a EntityKey, row: EntityRow<'a>) {
        self.keys.push(space, generation, key);
        self.visible.push(row.visible);
        self.views.push(Json(row.view));
        self.clocks.push(row.clocks);
        self.updated_positions.push(row.updated_position.as_i64());
    }
}

/// What is written of an entity.
#[derive(Debug, Clone, Copy)]
pub struct EntityRow<'a> {
    /// Whether readers see it.
    pub visible: bool,
    /// Its fields, as readers get them.
    pub view: &'a Map<String, Value>,
    /// Its line.
    pub clocks: &'a str,
    /// The position of the last event that is folded into it.
    pub updated_position: Position,
}

/// Writes entities; the caller holds the locks of their projections or rebuilds.
pub async fn store(connection: &mut PgConnection, entities: &EntityColumns<'_>) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO entities (space_id, generation, entity_type, entity_id, visible, view, clocks,
                               updated_position)
         SELECT space_id, generation, entity_type, entity_id, visible, view, clocks, updated_position
         FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::boolean[], $6::jsonb[], $7::text[],
                     $8::bigint[])
           AS folded (space_id, generation, entity_type, entity_id, visible, view, clocks, updated_position)
         ON CONFLICT (space_id, generation, entity_type, entity_id) DO UPDATE
         SET visible = EXCLUDED.visible, view = EXCLUDED.view, clocks = EXCLUDED.clocks,
             updated_position = greatest(entities.updated_position, EXCLUDED.updated_position)",
    )
    .bind(&entities.keys.spaces)
    .bind(&entities.keys.generations)
    .bind(&entities.keys.types)
    .bind(&entities.keys.ids)
    .bind(&entities.visible)
    .bind(&entities.views)
    .bind(&entities.clocks)
    .bind(&entities.updated_positions)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes up to `limit` entities of a generation that nobody reads; returns how many there were.
pub async fn delete_generation(
    connection: &mut PgConnection,
    space: &SpaceId,
    generation: i32,
    limit: i64,
) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM entities WHERE space_id = $1 AND generation = $2 AND (entity_type, entity_id) IN (
             SELECT entity_type, entity_id FROM entities
             WHERE space_id = $1 AND generation = $2 ORDER BY entity_type, entity_id LIMIT $3
         )",
    )
    .bind(space.as_str())
    .bind(generation)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
