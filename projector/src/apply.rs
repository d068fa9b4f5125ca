//! Writes what was folded: reads the touched entities, merges, and writes each once, however many events touched it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use sqlx::PgConnection;
use tidelog_events::fold::{DamagedLine, Entity, EntityKey, LineDigest, Touched};
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::{EntityType, Schema};
use tidelog_store::entities::{self, EntityColumns, EntityRow, KeyColumns, StoredEntity};
use tidelog_store::entity_keys::{self, EntityKeyColumns};
use tidelog_store::skipped_events::{self, SkippedColumns};
use tokio::task::block_in_place;

use crate::transaction::{Damage, Target};

/// A key of an entity: the field and its value, as an index orders it.
type IndexKey = (Box<str>, Vec<u8>);

/// An entity as it will be written.
struct Row {
    key: EntityKey,
    visible: bool,
    view: Map<String, Value>,
    line: String,
    updated: Position,
    added: Vec<IndexKey>,
    removed: Vec<IndexKey>,
}

/// A target that is ready to be written.
struct Ready {
    target: Target,
    entities: Vec<Row>,
    skipped: Vec<(Position, String)>,
}

/// Writes the targets that are not damaged; the caller holds their locks.
pub(crate) async fn apply(
    connection: &mut PgConnection,
    targets: Vec<Target>,
    stored: &StoredLines,
    mut damaged: BTreeMap<usize, Damage>,
    schema: &Schema,
) -> sqlx::Result<Vec<Result<Target, (SpaceId, Damage)>>> {
    let merged = block_in_place(|| {
        let merge = |(index, target): (usize, Target)| {
            let space = target.space.clone();
            match damaged.remove(&index) {
                Some(damage) => Err((space, damage)),
                None => merge(target, stored, schema).map_err(|damage| (space, damage.into())),
            }
        };
        targets.into_iter().enumerate().map(merge).collect::<Vec<_>>()
    });
    let ready: Vec<&Ready> = merged.iter().flatten().collect();
    write(connection, &ready).await?;
    Ok(merged.into_iter().map(|result| result.map(|ready| ready.target)).collect())
}

/// Writes entities that the target's generation does not have yet, each with the position of the last event that is
/// folded into it.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    mut target: Target,
    entities: Vec<(EntityKey, Entity, Position)>,
    schema: &Schema,
) -> sqlx::Result<Target> {
    let ready = block_in_place(|| {
        let mut rows = Vec::with_capacity(entities.len());
        for (key, entity, updated) in entities {
            let entity_type = schema.entity(&key.entity_type);
            let row = Row::of(key, &entity, updated, &BTreeSet::new(), entity_type);
            target.state_hash.replace(&row.key.entity_type, None, LineDigest::of(row.line.as_bytes()));
            rows.push(row);
        }
        Ready { target, entities: rows, skipped: Vec::new() }
    });
    write(connection, &[&ready]).await?;
    Ok(ready.target)
}

/// The stored lines of the touched entities of each space; none where there was no room for a line.
pub(crate) struct StoredLines(BTreeMap<SpaceId, BTreeMap<EntityKey, Option<String>>>);

impl StoredLines {
    /// Reads them, as many as have `bytes` bytes: those of the first targets first, each target's in the order in which
    /// they are touched.
    pub(crate) async fn read(
        connection: &mut PgConnection,
        targets: &[Target],
        bytes: u64,
    ) -> sqlx::Result<Self> {
        let mut wanted = KeyColumns::default();
        for target in targets {
            let mut touched: Vec<_> = target.delta.entities.iter().collect();
            touched.sort_by_key(|(_, touched)| touched.first);
            for (key, _) in touched {
                wanted.push(&target.space, target.generation, key);
            }
        }
        let stored = entities::lines(connection, &wanted, i64::try_from(bytes).unwrap_or(i64::MAX)).await?;
        let mut lines = Self(BTreeMap::new());
        for StoredEntity { space, key, clocks } in stored {
            lines.0.entry(space).or_default().insert(key, clocks);
        }
        Ok(lines)
    }

    fn get(&self, space: &SpaceId, key: &EntityKey) -> Option<&Option<String>> {
        self.0.get(space)?.get(key)
    }

    /// The position through which the target can be folded with what was read; `None` where all was.
    pub(crate) fn room_for(&self, target: &Target) -> Option<Position> {
        let entities = target.delta.entities.iter();
        let left_out = entities.filter(|(key, _)| matches!(self.get(&target.space, key), Some(None)));
        left_out.map(|(_, touched)| Position(touched.first.0 - 1)).min()
    }
}

fn merge(mut target: Target, stored: &StoredLines, schema: &Schema) -> Result<Ready, DamagedLine> {
    let delta = std::mem::take(&mut target.delta);
    (target.events, target.skipped) = (delta.events, delta.skipped.len() as u64);
    let mut merged = Vec::with_capacity(delta.entities.len());
    for (key, touched) in delta.entities {
        let old = stored.get(&target.space, &key).and_then(Option::as_deref);
        let entity = merge_entity(key, touched, old, schema)?;
        let new_digest = LineDigest::of(entity.line.as_bytes());
        let old_digest = old.map(|line| LineDigest::of(line.as_bytes()));
        target.state_hash.replace(&entity.key.entity_type, old_digest, new_digest);
        merged.push(entity);
    }
    let skipped = delta.skipped.iter().map(|(position, why)| (*position, why.to_string())).collect();
    Ok(Ready { target, entities: merged, skipped })
}

fn merge_entity(
    key: EntityKey,
    touched: Touched,
    stored: Option<&str>,
    schema: &Schema,
) -> Result<Row, DamagedLine> {
    let entity_type = schema.entity(&key.entity_type);
    let mut entity = match stored {
        Some(line) => Entity::from_line(line, schema)?.1,
        None => Entity::default(),
    };
    let old_keys = index_keys(&entity, entity_type);
    entity.merge(touched.entity, entity_type);
    Ok(Row::of(key, &entity, touched.last, &old_keys, entity_type))
}

impl Row {
    fn of(
        key: EntityKey,
        entity: &Entity,
        updated: Position,
        old_keys: &BTreeSet<IndexKey>,
        entity_type: Option<&EntityType>,
    ) -> Self {
        let new_keys = index_keys(entity, entity_type);
        Self {
            visible: entity.is_visible(),
            view: entity.view(),
            line: entity.line(&key),
            updated,
            added: new_keys.difference(old_keys).cloned().collect(),
            removed: old_keys.difference(&new_keys).cloned().collect(),
            key,
        }
    }
}

/// The keys under which readers find the entity: those of its indexed fields, while it is visible.
fn index_keys(entity: &Entity, entity_type: Option<&EntityType>) -> BTreeSet<IndexKey> {
    if !entity.is_visible() {
        return BTreeSet::new();
    }
    let indexed = |name: &str| entity_type.and_then(|it| it.field(name)).is_some_and(|field| field.indexed);
    let indexed = entity.fields().iter().filter(|(name, _)| indexed(name));
    indexed.flat_map(|(name, field)| field.keys().into_iter().map(move |key| (name.clone(), key))).collect()
}

async fn write(connection: &mut PgConnection, ready: &[&Ready]) -> sqlx::Result<()> {
    let mut rows = EntityColumns::default();
    let (mut added, mut removed) = (EntityKeyColumns::default(), EntityKeyColumns::default());
    let mut skipped = SkippedColumns::default();
    for Ready { target, entities, skipped: events } in ready {
        let (space, generation) = (&target.space, target.generation);
        for entity in entities {
            let row = EntityRow {
                visible: entity.visible,
                view: &entity.view,
                clocks: &entity.line,
                updated_position: entity.updated,
            };
            rows.push(space, generation, &entity.key, row);
            for (keys, columns) in [(&entity.added, &mut added), (&entity.removed, &mut removed)] {
                for (field, key) in keys {
                    columns.push(space, generation, &entity.key, field, key);
                }
            }
        }
        for (position, reason) in events {
            skipped.push(space, generation, *position, reason);
        }
    }
    entities::store(&mut *connection, &rows).await?;
    if !removed.is_empty() {
        entity_keys::remove(&mut *connection, &removed).await?;
    }
    if !added.is_empty() {
        entity_keys::insert(&mut *connection, &added).await?;
    }
    if !skipped.is_empty() {
        skipped_events::insert(connection, &skipped).await?;
    }
    Ok(())
}
