//! A space's read model as PostgreSQL holds it, and as it must be: what all its events fold into.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::Row;
use tidelog_events::fold::{Change, State};
use tidelog_events::id::Position;
use tidelog_events::schema::Schema;

use crate::poll::eventually;
use crate::world::World;

/// The rows of one space, those that readers read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadModel {
    /// The position through which the log is folded.
    pub applied: i64,
    /// The state hash.
    pub state_hash: Value,
    /// The entities: line, view, visible, position of the last event, by type and id.
    pub entities: BTreeMap<(String, String), (String, Value, bool, i64)>,
    /// The index keys: type, field, key, id.
    pub keys: Vec<(String, String, Vec<u8>, String)>,
    /// Positions that the fold skipped.
    pub skipped: Vec<i64>,
}

impl World {
    /// The read model of a space; none before anything was folded.
    pub async fn read_model(&self, space: &str) -> Option<ReadModel> {
        let mut moment = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.ok()?;
        let projection =
            sqlx::query("SELECT generation, applied, state_hash FROM projections WHERE space_id = $1");
        let projection = projection.bind(space).fetch_optional(&mut *moment).await.expect("a projection")?;
        let generation: i32 = projection.get("generation");
        let entities = sqlx::query(
            "SELECT entity_type, entity_id, clocks, view, visible, updated_position FROM entities
             WHERE space_id = $1 AND generation = $2",
        );
        let entities = entities.bind(space).bind(generation).fetch_all(&mut *moment).await.expect("entities");
        let keys = sqlx::query_as(
            "SELECT entity_type, field, key, entity_id FROM entity_keys WHERE space_id = $1 AND generation = $2
             ORDER BY entity_type, field, key, entity_id",
        );
        let skipped = sqlx::query_scalar(
            "SELECT position FROM skipped_events WHERE space_id = $1 AND generation = $2 ORDER BY position",
        );
        let row = |row: &sqlx::postgres::PgRow| {
            let key = (row.get("entity_type"), row.get("entity_id"));
            (key, (row.get("clocks"), row.get("view"), row.get("visible"), row.get("updated_position")))
        };
        Some(ReadModel {
            applied: projection.get("applied"),
            state_hash: projection.get("state_hash"),
            entities: entities.iter().map(row).collect(),
            keys: keys.bind(space).bind(generation).fetch_all(&mut *moment).await.expect("keys"),
            skipped: skipped.bind(space).bind(generation).fetch_all(&mut *moment).await.expect("positions"),
        })
    }

    /// What the read model of a space must be: every event that it ever had, folded in memory with the world's schema.
    ///
    /// # Panics
    /// When one cannot be read.
    pub async fn folded_log(&self, space: &str) -> ReadModel {
        let schema = self.schema();
        let mut folding = Folding::default();
        for event in self.every_event(space).await {
            folding.take(event.position, Change::read(&event.line, &Arc::new(event.device), &schema).ok());
        }
        folding.finish(&schema)
    }

    /// Waits until the projector has folded the space through its head, and asserts that its read model is what the
    /// log folds into: entities, hash and keys.
    ///
    /// # Panics
    /// When it is not, or when the projector does not get there.
    pub async fn assert_read_model_is_right(&self, space: &str) {
        let head = self.head(space).await;
        let found = eventually(&format!("{space} is folded through {head}"), async || {
            self.read_model(space).await.filter(|model| model.applied >= head)
        })
        .await;
        let expected = self.folded_log(space).await;
        assert_eq!(found.applied, expected.applied, "{space} is folded through its head");
        for (key, entity) in &expected.entities {
            assert_eq!(found.entities.get(key), Some(entity), "the entity {key:?} of {space}");
        }
        assert_eq!(found, expected, "the read model of {space}");
    }
}

#[derive(Default)]
struct Folding {
    state: State,
    updated: BTreeMap<(String, String), i64>,
    skipped: Vec<i64>,
    applied: i64,
}

impl Folding {
    fn take(&mut self, position: Position, change: Option<Change<'_>>) {
        self.applied = position.as_i64();
        let Some(change) = change else { return self.skipped.push(self.applied) };
        let key = (change.entity.entity_type.to_string(), change.entity.entity_id.to_string());
        self.updated.insert(key, self.applied);
        self.state.apply(change);
    }

    fn finish(mut self, schema: &Schema) -> ReadModel {
        let state_hash = json!(self.state.hash());
        let (mut entities, mut keys) = (BTreeMap::new(), Vec::new());
        for (key, entity) in self.state.entities() {
            let place = (key.entity_type.to_string(), key.entity_id.to_string());
            let entity_type = schema.entity(&key.entity_type).expect("a type of the schema");
            for (name, field) in entity.fields().iter().filter(|_| entity.is_visible()) {
                if entity_type.field(name).is_some_and(|field| field.indexed) {
                    let of_field = field.keys().into_iter();
                    keys.extend(
                        of_field.map(|key| (place.0.clone(), name.to_string(), key, place.1.clone())),
                    );
                }
            }
            let updated = self.updated.get(&place).copied().unwrap_or_default();
            let row = (entity.line(key), Value::from(entity.view()), entity.is_visible(), updated);
            entities.insert(place, row);
        }
        keys.sort();
        ReadModel { applied: self.applied, state_hash, entities, keys, skipped: self.skipped }
    }
}
