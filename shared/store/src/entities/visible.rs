//! `entities` as readers see them: one, or a page of those for which conditions hold.

use serde_json::{Map, Value};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, Row};
use tidelog_events::fold::EntityKey;
use tidelog_events::id::{EntityId, Position, SpaceId};

use super::conditions::ConditionColumns;
use crate::columns;

/// Which visible entities of one type to list: a page of them, by id.
#[derive(Debug)]
pub struct PageQuery<'a> {
    /// Their space.
    pub space: &'a SpaceId,
    /// Which rows of it are read.
    pub generation: i32,
    /// Their type.
    pub entity_type: &'a str,
    /// Those behind this id; empty for all.
    pub after: &'a str,
    /// Those that changed behind this position.
    pub updated_after: Position,
    /// Those for which these hold.
    pub conditions: ConditionColumns<'a>,
    /// Entities, at most.
    pub limit: u64,
    /// Stored bytes of their fields, at most; but at least one entity, if there is any.
    pub bytes: u64,
}

/// Keys of one indexed field, the least and the greatest of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The field.
    pub field: Box<str>,
    /// The least key.
    pub least: Vec<u8>,
    /// The greatest key.
    pub greatest: Vec<u8>,
}

/// An entity as readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct VisibleEntity {
    /// Its id.
    pub entity_id: EntityId,
    /// Its fields.
    pub view: Map<String, Value>,
    /// The position of the last event that is folded into it.
    pub updated_position: Position,
}

/// A page of entities, by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The entities.
    pub entities: Vec<VisibleEntity>,
    /// Whether there are others behind them.
    pub more: bool,
}

fn visible(row: &PgRow) -> sqlx::Result<VisibleEntity> {
    Ok(VisibleEntity {
        entity_id: columns::id(row, "entity_id")?,
        view: row.try_get::<Json<_>, _>("view")?.0,
        updated_position: columns::position(row, "updated_position")?,
    })
}

fn page(rows: &[PgRow]) -> sqlx::Result<Page> {
    let matching: i64 = rows.first().map_or(Ok(0), |row| row.try_get("matching"))?;
    Ok(Page {
        entities: rows.iter().map(visible).collect::<sqlx::Result<_>>()?,
        more: matching > rows.len() as i64,
    })
}

/// One entity, if readers see it.
pub async fn find(
    connection: &mut PgConnection,
    space: &SpaceId,
    generation: i32,
    key: &EntityKey,
) -> sqlx::Result<Option<VisibleEntity>> {
    let row = sqlx::query(
        "SELECT entity_id, view, updated_position FROM entities
         WHERE space_id = $1 AND generation = $2 AND entity_type = $3 AND entity_id = $4 AND visible",
    )
    .bind(space.as_str())
    .bind(generation)
    .bind(&*key.entity_type)
    .bind(key.entity_id.as_str())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(visible).transpose()
}

/// A page of entities, found by looking at those of their type one after the other.
pub async fn list(connection: &mut PgConnection, query: &PageQuery<'_>) -> sqlx::Result<Page> {
    let statement = "WITH matching AS (
             SELECT entity_id, view, updated_position, octet_length(clocks) AS bytes FROM entities
             WHERE space_id = $1 AND generation = $2 AND entity_type = $3 AND entity_id > $4
               AND visible AND updated_position > $5 AND NOT EXISTS (
                   SELECT FROM unnest($6::text[], $7::text[], $8::text[], $9::jsonb[])
                     AS wanted (field, kind, accepted, operand)
                   WHERE strpos(accepted, coalesce(field_compares(view, field, kind, operand), '?')) = 0
               )
             ORDER BY entity_id LIMIT $10 + 1
         ), counted AS (
             SELECT entity_id, view, updated_position, count(*) OVER () AS matching, row_number() OVER turn AS turn,
                    sum(bytes) OVER turn - bytes AS bytes_before
             FROM matching WINDOW turn AS (ORDER BY entity_id)
         )
         SELECT entity_id, view, updated_position, matching FROM counted
         WHERE turn = 1 OR (turn <= $10 AND bytes_before < $11)
         ORDER BY entity_id";
    let rows = of_page(statement, query).fetch_all(connection).await?;
    page(&rows)
}

/// The same page, found by looking at the entities that have a key in `range`, in which every entity of the page must
/// have exactly one.
pub async fn list_by_key(
    connection: &mut PgConnection,
    query: &PageQuery<'_>,
    range: &KeyRange,
) -> sqlx::Result<Page> {
    // `LIMIT 1` makes it a lookup for each key that is found, in order of ids, whatever the planner believes of the
    // tables: a full page ends the search.
    let statement = "WITH matching AS (
             SELECT entity.entity_id, view, updated_position, bytes
             FROM (
                 SELECT entity_id FROM entity_keys
                 WHERE space_id = $1 AND generation = $2 AND entity_type = $3 AND entity_id > $4
                   AND field = $12 AND key BETWEEN $13 AND $14
                 ORDER BY entity_id
             ) AS found
             CROSS JOIN LATERAL (
                 SELECT entity_id, view, updated_position, octet_length(clocks) AS bytes FROM entities
                 WHERE space_id = $1 AND generation = $2 AND entity_type = $3 AND entity_id = found.entity_id
                   AND visible AND updated_position > $5 AND NOT EXISTS (
                       SELECT FROM unnest($6::text[], $7::text[], $8::text[], $9::jsonb[])
                         AS wanted (field, kind, accepted, operand)
                       WHERE strpos(accepted, coalesce(field_compares(view, field, kind, operand), '?')) = 0
                   )
                 LIMIT 1
             ) AS entity
             ORDER BY found.entity_id LIMIT $10 + 1
         ), counted AS (
             SELECT entity_id, view, updated_position, count(*) OVER () AS matching, row_number() OVER turn AS turn,
                    sum(bytes) OVER turn - bytes AS bytes_before
             FROM matching WINDOW turn AS (ORDER BY entity_id)
         )
         SELECT entity_id, view, updated_position, matching FROM counted
         WHERE turn = 1 OR (turn <= $10 AND bytes_before < $11)
         ORDER BY entity_id";
    let statement = of_page(statement, query).bind(&*range.field).bind(&range.least).bind(&range.greatest);
    page(&statement.fetch_all(connection).await?)
}

/// The statement of a page, with what both have in common.
fn of_page<'q>(statement: &'static str, query: &'q PageQuery<'_>) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(statement)
        // Planned each time: a plan that was made for small tables would be kept when they have grown.
        .persistent(false)
        .bind(query.space.as_str())
        .bind(query.generation)
        .bind(query.entity_type)
        .bind(query.after)
        .bind(query.updated_after.as_i64())
        .bind(&query.conditions.fields)
        .bind(&query.conditions.kinds)
        .bind(&query.conditions.accepted)
        .bind(&query.conditions.operands)
        .bind(query.limit as i64)
        .bind(query.bytes as i64)
}
