//! A space folded by the test itself and written to the projector's tables as the projector writes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use tidelog_events::fold::{Change, Entity, EntityKey, State};
use tidelog_events::id::DeviceId;
use tidelog_events::schema::Schema;
use tidelog_tests::{EventLine, World};

use super::SCHEMA;

const DEVICE: &str = "phone-1";

/// The events of a space so far, and how they are written.
pub struct Folded<'w> {
    world: &'w World,
    space: String,
    schema: Schema,
    state: State,
    updated: BTreeMap<EntityKey, i64>,
    position: u64,
    /// Which rows are written and read.
    pub generation: i32,
    /// Whether several schema versions are said to have folded it.
    pub mixed: bool,
    /// The schema version that is said to have folded it.
    pub schema_version: i64,
    /// The schema content that is said to have folded it.
    pub schema_fingerprint: String,
    /// Whether index keys are written.
    pub has_keys: bool,
}

impl<'w> Folded<'w> {
    pub fn new(world: &'w World, space: &str) -> Self {
        let schema = Schema::parse(SCHEMA).unwrap();
        Self {
            world,
            space: space.to_owned(),
            schema_fingerprint: schema.id().fingerprint.into(),
            schema,
            state: State::default(),
            updated: BTreeMap::new(),
            position: 0,
            generation: 1,
            mixed: false,
            schema_version: 3,
            has_keys: true,
        }
    }

    pub fn create(&mut self, id: &str, payload: Value) {
        self.record("CREATED", id, payload);
    }

    pub fn change(&mut self, id: &str, payload: Value) {
        self.record("CHANGED", id, payload);
    }

    pub fn delete(&mut self, id: &str) {
        self.record("DELETED", id, Value::Object(serde_json::Map::new()));
    }

    fn record(&mut self, event_type: &str, id: &str, payload: Value) {
        self.position += 1;
        let line = EventLine::new(DEVICE, self.position).with("type", event_type).with("entityId", id);
        let line = line.with("payload", payload).0.to_string();
        let device = Arc::new(DeviceId::new(DEVICE).unwrap());
        let change = Change::read(&line, &device, &self.schema).unwrap();
        self.updated.insert(change.entity.clone(), self.position as i64);
        self.state.apply(change);
    }

    /// Writes it all, in one transaction.
    pub async fn write(&self) {
        let mut transaction = self.world.pool.begin().await.unwrap();
        self.write_projection(&mut transaction).await;
        self.write_entities(&mut transaction).await;
        self.write_keys(&mut transaction).await;
        transaction.commit().await.unwrap();
    }

    async fn write_projection(&self, connection: &mut PgConnection) {
        for table in ["entities", "entity_keys"] {
            let delete = format!("DELETE FROM {table} WHERE space_id = $1 AND generation = $2");
            let delete = sqlx::query(sqlx::AssertSqlSafe(delete)).bind(&self.space).bind(self.generation);
            delete.execute(&mut *connection).await.unwrap();
        }
        let head = "INSERT INTO spaces (space_id, head) VALUES ($1, $2)
                    ON CONFLICT (space_id) DO UPDATE SET head = EXCLUDED.head";
        let head = sqlx::query(head).bind(&self.space).bind(self.position as i64);
        head.execute(&mut *connection).await.unwrap();
        let projection = sqlx::query(
            "INSERT INTO projections (space_id, generation, applied, schema_version, schema_fingerprint, mixed)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (space_id) DO UPDATE SET generation = EXCLUDED.generation, applied = EXCLUDED.applied,
                 schema_version = EXCLUDED.schema_version, schema_fingerprint = EXCLUDED.schema_fingerprint,
                 mixed = EXCLUDED.mixed",
        );
        let projection = projection.bind(&self.space).bind(self.generation).bind(self.position as i64);
        let projection = projection.bind(self.schema_version).bind(&self.schema_fingerprint);
        projection.bind(self.mixed).execute(connection).await.unwrap();
    }

    async fn write_entities(&self, connection: &mut PgConnection) {
        let entities = self.state.entities();
        let line = |(key, entity): (&EntityKey, &Entity)| entity.line(key);
        let rows = sqlx::query(
            "INSERT INTO entities (space_id, generation, entity_type, entity_id, visible, view, clocks,
                                   updated_position)
             SELECT $1, $2, entity_type, entity_id, visible, view, clocks, updated_position
             FROM unnest($3::text[], $4::text[], $5::boolean[], $6::jsonb[], $7::text[], $8::bigint[])
               AS folded (entity_type, entity_id, visible, view, clocks, updated_position)",
        );
        rows.bind(&self.space)
            .bind(self.generation)
            .bind(entities.keys().map(|key| &*key.entity_type).collect::<Vec<_>>())
            .bind(entities.keys().map(|key| key.entity_id.as_str()).collect::<Vec<_>>())
            .bind(entities.values().map(Entity::is_visible).collect::<Vec<_>>())
            .bind(entities.values().map(|entity| Json(entity.view())).collect::<Vec<_>>())
            .bind(entities.iter().map(line).collect::<Vec<_>>())
            .bind(entities.keys().map(|key| self.updated[key]).collect::<Vec<_>>())
            .execute(connection)
            .await
            .unwrap();
    }

    async fn write_keys(&self, connection: &mut PgConnection) {
        let (mut types, mut ids, mut fields, mut keys) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let visible = self.state.entities().iter().filter(|(_, entity)| self.has_keys && entity.is_visible());
        for (key, entity) in visible {
            let entity_type = self.schema.entity(&key.entity_type).unwrap();
            let indexed = |name: &str| entity_type.field(name).is_some_and(|field| field.indexed);
            for (name, field) in entity.fields().iter().filter(|(name, _)| indexed(name)) {
                for value in field.keys() {
                    types.push(&*key.entity_type);
                    ids.push(key.entity_id.as_str());
                    fields.push(&**name);
                    keys.push(value);
                }
            }
        }
        let rows = sqlx::query(
            "INSERT INTO entity_keys (space_id, generation, entity_type, entity_id, field, key)
             SELECT $1, $2, entity_type, entity_id, field, key
             FROM unnest($3::text[], $4::text[], $5::text[], $6::bytea[])
               AS folded (entity_type, entity_id, field, key)",
        );
        let rows = rows.bind(&self.space).bind(self.generation).bind(types).bind(ids).bind(fields);
        rows.bind(keys).execute(connection).await.unwrap();
    }
}
