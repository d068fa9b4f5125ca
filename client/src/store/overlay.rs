//! The overlay: what this device's events amount to that the log does not have yet, folded by entity. Shown is the
//! confirmed state merged with it; since the fold is a join, nothing is ever rolled back.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, params};
use tidelog_events::fold::{Change, Entity, EntityKey};
use tidelog_events::id::DeviceId;
use tidelog_events::schema::Schema;

use super::columns::parsed;
use super::{StoreError, entities};

/// Takes one more event into the overlay of its entity.
pub(super) fn add(
    connection: &Connection,
    schema: &Schema,
    space: i64,
    key: &EntityKey,
    change: Change<'_>,
) -> Result<(), StoreError> {
    let mut entity = entities::overlay(connection, schema, space, key)?;
    entity.apply(change);
    entities::write_overlay(connection, space, key, Some(&entity.line(key)))?;
    Ok(())
}

/// Folds the overlay of these entities anew: an event cannot be taken out of a fold.
pub(super) fn refold(
    connection: &Connection,
    schema: &Schema,
    space: i64,
    keys: &BTreeSet<EntityKey>,
) -> Result<(), StoreError> {
    for key in keys {
        let entity = fold(connection, schema, space, key)?;
        let line = entity.map(|entity| entity.line(key));
        entities::write_overlay(connection, space, key, line.as_deref())?;
    }
    Ok(())
}

fn fold(
    connection: &Connection,
    schema: &Schema,
    space: i64,
    key: &EntityKey,
) -> Result<Option<Entity>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT line, (SELECT device_id FROM queues WHERE queues.queue = events.queue) FROM events \
         WHERE space = ?1 AND entity_type = ?2 AND entity_id = ?3 AND overlay = 1",
    )?;
    let mut rows = statement.query(params![space, &*key.entity_type, key.entity_id.as_str()])?;
    let mut entity = None;
    let mut device = None;
    while let Some(row) = rows.next()? {
        let recorded_by: DeviceId = parsed(row, 1)?;
        if device.as_deref() != Some(&recorded_by) {
            device = Some(Arc::new(recorded_by));
        }
        let (Some(device), Ok(line)) = (&device, row.get_ref(0)?.as_str()) else { continue };
        // What the schema skips here, it skips everywhere.
        if let Ok(change) = Change::read(line, device, schema) {
            entity.get_or_insert_with(Entity::default).apply(change);
        }
    }
    Ok(entity)
}
