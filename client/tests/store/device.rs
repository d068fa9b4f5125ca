//! A device on a temporary file, with clocks that the test sets.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidelog_client::store::{EventsQuery, OwnEvent, Recorded, StoreOptions, Taken};
use tidelog_client::transport::{Answer, PullRequest, Request};
use tidelog_client::{BootId, EventStore, Moment, NewEvent, RecordError};
use tidelog_events::id::{DeviceId, EntityId, Position, SpaceId, UserId};
use tidelog_events::schema::Schema;

/// 2025-08-06T10:30:00Z.
pub const NOON: i64 = 1_754_476_200_000;

pub const SCHEMA: &str = "
name: fitness
version: 3
entities:
  workout:
    fields:
      name: { type: string }
      laps: { type: integer, merge: sum }
      tags: { type: string, merge: set }
      createdAt: { type: stamp, merge: first }
  note:
    fields:
      text: { type: string }
events:
  WORKOUT_CREATED: { entity: workout, creates: true, payload: { name: required }, sets: { createdAt: $timestamp } }
  WORKOUT_RENAMED: { entity: workout, payload: { name: required } }
  WORKOUT_TAGGED: { entity: workout, payload: { tags: required } }
  LAP_RECORDED: { entity: workout, payload: { laps: required } }
  WORKOUT_DELETED: { entity: workout, deletes: true }
  NOTE_WRITTEN: { entity: note, creates: true, payload: { text: required } }
";

pub struct Device {
    pub folder: TempDir,
    pub store: EventStore,
    pub now: Moment,
}

pub fn options(user: &str, identity: &str) -> StoreOptions {
    StoreOptions {
        user: UserId::new(user).unwrap(),
        schema: Arc::new(Schema::parse(SCHEMA).unwrap()),
        identity: DeviceId::new(identity).unwrap(),
        random: fastrand::Rng::with_seed(7),
    }
}

pub fn ann() -> SpaceId {
    SpaceId::new("ann").unwrap()
}

pub fn id(text: &str) -> EntityId {
    EntityId::new(text).unwrap()
}

impl Device {
    /// Ann's, with this device id; its clock says noon.
    pub fn new(identity: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let store = EventStore::open(&folder.path().join("ann.sqlite"), options("ann", identity)).unwrap();
        let now = Moment { wall_ms: NOON, monotonic_ms: 1000, boot: BootId("boot-1".into()) };
        Self { folder, store, now }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ann.sqlite")
    }

    /// Closes the store and opens it again.
    pub fn reopen(self, options: StoreOptions) -> Self {
        let Self { folder, store, now } = self;
        drop(store);
        let store = EventStore::open(&folder.path().join("ann.sqlite"), options).unwrap();
        Self { folder, store, now }
    }

    pub fn later(&mut self, millis: i64) {
        self.now.wall_ms += millis;
        self.now.monotonic_ms += millis;
    }

    pub fn try_record(
        &mut self,
        event_type: &str,
        entity: &str,
        payload: Value,
    ) -> Result<Recorded, RecordError> {
        self.store.record(&ann(), NewEvent::new(event_type, id(entity), payload), &self.now)
    }

    pub fn record(&mut self, event_type: &str, entity: &str, payload: Value) -> Recorded {
        self.try_record(event_type, entity, payload).unwrap()
    }

    /// Creates `w-1` and records laps of it: `count` events in all.
    pub fn record_laps(&mut self, count: u64) {
        self.record("WORKOUT_CREATED", "w-1", json!({"name": "run"}));
        for _ in 1..count {
            self.later(1000);
            self.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
        }
    }

    pub fn events(&self) -> Vec<OwnEvent> {
        self.store.events(&ann(), &EventsQuery::all()).unwrap()
    }

    pub fn pending(&self) -> Vec<u64> {
        let pending = self.store.events(&ann(), &EventsQuery::pending()).unwrap();
        pending.iter().map(|event| event.device_sequence.0).collect()
    }

    /// The shown fields of an entity.
    pub fn fields(&self, entity_type: &str, entity: &str) -> Option<Value> {
        let view = self.store.entity(&ann(), entity_type, &id(entity)).unwrap();
        view.map(|view| Value::Object(view.fields))
    }

    /// What the next pull asks for.
    pub fn pull_request(&self) -> PullRequest {
        let space = self.store.space(&ann()).unwrap();
        PullRequest {
            space: ann(),
            after: if space.refetching { Position::ZERO } else { space.cursor },
            limit: 1000,
            device: space.device_id,
            types: space.filter.types,
            report: None,
        }
    }

    /// Takes in the answer to a pull that has just left.
    pub fn take_pull(&mut self, lines: &str) -> Taken {
        let request = Request::Pull(self.pull_request());
        self.later(1);
        self.store.take(&request, &Answer::Pulled(lines.to_owned()), &self.now.clone(), &self.now).unwrap()
    }
}
