//! The table `entities`: what the log says of an entity, and what this device adds to that.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value};
use tidelog_events::fold::{Entity, EntityKey, LineDigest, StateHash};
use tidelog_events::id::{EntityId, SpaceId};
use tidelog_events::schema::Schema;

use super::columns::entity_key;
use super::{EventStore, StoreError, spaces};

/// A visible entity, as it is shown: what the log says, and what was recorded here since.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityView {
    /// Its type.
    pub entity_type: String,
    /// Its id.
    pub entity_id: EntityId,
    /// Its fields; what was never written is left out.
    pub fields: Map<String, Value>,
    /// Whether something of it was recorded here that the log does not have yet.
    pub pending: bool,
}

/// A row: entity lines, at least one of the two.
pub(super) struct StoredEntity {
    pub(super) key: EntityKey,
    confirmed: Option<String>,
    overlay: Option<String>,
}

impl StoredEntity {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { key: entity_key(row, 0)?, confirmed: row.get(2)?, overlay: row.get(3)? })
    }

    /// What is shown of it, visible or not.
    pub(super) fn shown(&self, schema: &Schema) -> Result<Entity, StoreError> {
        let read = |line: &Option<String>| line.as_deref().map(|line| read_line(line, schema)).transpose();
        let mut entity = read(&self.confirmed)?.unwrap_or_default();
        if let Some(overlay) = read(&self.overlay)? {
            entity.merge(overlay, schema.entity(&self.key.entity_type));
        }
        Ok(entity)
    }

    /// What readers get of it, if it is visible.
    pub(super) fn view(self, entity: &Entity) -> Option<EntityView> {
        entity.is_visible().then(|| EntityView {
            entity_type: self.key.entity_type.into(),
            entity_id: self.key.entity_id,
            fields: entity.view(),
            pending: self.overlay.is_some(),
        })
    }
}

const COLUMNS: &str = "entity_type, entity_id, confirmed, overlay";

pub(super) fn load(
    connection: &Connection,
    space: i64,
    entity_type: &str,
    entity_id: &EntityId,
) -> rusqlite::Result<Option<StoredEntity>> {
    let statement =
        format!("SELECT {COLUMNS} FROM entities WHERE space = ?1 AND entity_type = ?2 AND entity_id = ?3");
    connection
        .prepare_cached(&statement)?
        .query_row(params![space, entity_type, entity_id.as_str()], StoredEntity::read)
        .optional()
}

/// Walks through a space's entities of a type, or of all types, by type and id, until `each` says `false`.
pub(super) fn walk(
    connection: &Connection,
    space: i64,
    entity_type: Option<&str>,
    after: Option<&EntityId>,
    mut each: impl FnMut(StoredEntity) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let statement = match entity_type {
        Some(_) => format!(
            "SELECT {COLUMNS} FROM entities WHERE space = ?1 AND entity_type = ?2 AND entity_id > ?3 \
             ORDER BY entity_id"
        ),
        None => format!(
            "SELECT {COLUMNS} FROM entities WHERE space = ?1 AND ?2 IS NULL AND ?3 = '' \
             ORDER BY entity_type, entity_id"
        ),
    };
    let mut statement = connection.prepare_cached(&statement)?;
    let mut rows = statement.query(params![space, entity_type, after.map_or("", EntityId::as_str)])?;
    while let Some(row) = rows.next()? {
        if !each(StoredEntity::read(row)?)? {
            break;
        }
    }
    Ok(())
}

pub(super) fn read_line(line: &str, schema: &Schema) -> Result<Entity, StoreError> {
    let (_, entity) = Entity::from_line(line, schema)
        .map_err(|error| StoreError::Damaged(format!("an entity: {error}")))?;
    Ok(entity)
}

/// The entity as the log says.
pub(super) fn confirmed(
    connection: &Connection,
    schema: &Schema,
    space: i64,
    key: &EntityKey,
) -> Result<Entity, StoreError> {
    part(connection, schema, space, key, |stored| stored.confirmed)
}

/// What this device adds to the entity.
pub(super) fn overlay(
    connection: &Connection,
    schema: &Schema,
    space: i64,
    key: &EntityKey,
) -> Result<Entity, StoreError> {
    part(connection, schema, space, key, |stored| stored.overlay)
}

fn part(
    connection: &Connection,
    schema: &Schema,
    space: i64,
    key: &EntityKey,
    line: impl Fn(StoredEntity) -> Option<String>,
) -> Result<Entity, StoreError> {
    let stored = load(connection, space, &key.entity_type, &key.entity_id)?;
    stored.and_then(line).map_or(Ok(Entity::default()), |line| read_line(&line, schema))
}

pub(super) fn write_confirmed(
    connection: &Connection,
    space: i64,
    key: &EntityKey,
    line: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO entities (space, entity_type, entity_id, confirmed) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET confirmed = excluded.confirmed",
        )?
        .execute(params![space, &*key.entity_type, key.entity_id.as_str(), line])?;
    Ok(())
}

/// Replaces the overlay; `None` where no event is in it any more.
pub(super) fn write_overlay(
    connection: &Connection,
    space: i64,
    key: &EntityKey,
    line: Option<&str>,
) -> rusqlite::Result<()> {
    let (entity_type, entity_id) = (&*key.entity_type, key.entity_id.as_str());
    if let Some(line) = line {
        connection
            .prepare_cached(
                "INSERT INTO entities (space, entity_type, entity_id, overlay) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT DO UPDATE SET overlay = excluded.overlay",
            )?
            .execute(params![space, entity_type, entity_id, line])?;
        return Ok(());
    }
    let key = params![space, entity_type, entity_id];
    connection
        .prepare_cached(
            "UPDATE entities SET overlay = NULL WHERE space = ?1 AND entity_type = ?2 AND entity_id = ?3",
        )?
        .execute(key)?;
    connection
        .prepare_cached(
            "DELETE FROM entities WHERE space = ?1 AND entity_type = ?2 AND entity_id = ?3 AND confirmed IS NULL",
        )?
        .execute(key)?;
    Ok(())
}

/// Forgets the confirmed state of a space: what comes next replaces it.
pub(super) fn clear_confirmed(connection: &Connection, space: i64) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM entities WHERE space = ?1 AND overlay IS NULL", [space])?;
    connection.execute("UPDATE entities SET confirmed = NULL WHERE space = ?1", [space])?;
    Ok(())
}

impl EventStore {
    /// The confirmed state as entity lines (`docs/formats.md`), invisible entities too, by type and id.
    pub fn confirmed_lines(&self, space: &SpaceId) -> Result<Vec<String>, StoreError> {
        let mut lines = Vec::new();
        let space = spaces::load(&self.connection, space)?;
        walk(&self.connection, space.row, None, None, |stored| {
            lines.extend(stored.confirmed);
            Ok(true)
        })?;
        Ok(lines)
    }

    /// The state that is shown, confirmed and overlay merged, as entity lines.
    pub fn shown_lines(&self, space: &SpaceId) -> Result<Vec<String>, StoreError> {
        let mut lines = Vec::new();
        let space = spaces::load(&self.connection, space)?;
        walk(&self.connection, space.row, None, None, |stored| {
            lines.push(stored.shown(&self.schema)?.line(&stored.key));
            Ok(true)
        })?;
        Ok(lines)
    }

    /// The state hash of the confirmed state.
    pub fn state_hash(&self, space: &SpaceId) -> Result<StateHash, StoreError> {
        let mut hash = StateHash::default();
        let space = spaces::load(&self.connection, space)?;
        walk(&self.connection, space.row, None, None, |stored| {
            if let Some(line) = stored.confirmed {
                hash.replace(&stored.key.entity_type, None, LineDigest::of(line.as_bytes()));
            }
            Ok(true)
        })?;
        Ok(hash)
    }
}
