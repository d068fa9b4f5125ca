//! A phone: a store, a syncer and a clock that stands still unless a test moves it, so that nothing is synced but when
//! the test says so.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidelog_client::store::{EntityView, EventsQuery, Query, Recorded, StoreConfig, StoreOptions};
use tidelog_client::sync::{NoToken, Report, SyncOptions};
use tidelog_client::{EventStore, Identity, NewEvent, Store, Syncer};
use tidelog_events::id::{EntityId, SpaceId, UserId};
use tidelog_events::schema::Schema;
use tidelog_tests::{World, token};

use super::clock::SetClock;
use super::line::Line;

pub fn space(id: &str) -> SpaceId {
    SpaceId::new(id).unwrap()
}

pub fn entity(id: &str) -> EntityId {
    EntityId::new(id).unwrap()
}

pub fn created(id: &str, name: &str) -> NewEvent {
    NewEvent::new("WORKOUT_CREATED", entity(id), json!({ "name": name }))
}

pub fn lap(id: &str) -> NewEvent {
    NewEvent::new("LAP_RECORDED", entity(id), json!({ "laps": 1 }))
}

/// The phone.
pub struct Phone {
    pub store: Store,
    pub syncer: Syncer,
    pub line: Line,
    pub clock: SetClock,
    user: String,
    schema: Arc<Schema>,
    identity: Identity,
    folder: TempDir,
}

impl Phone {
    /// A new phone of the user, offline.
    pub async fn new(world: &World, user: &str) -> Self {
        Self::with(world, user, Line::to(world.address), |parts| parts.syncer(offline())).await
    }

    /// One whose app has another schema than the server.
    pub async fn with_schema(world: &World, user: &str, schema: &str) -> Self {
        let setup = Setup { schema: schema.to_owned(), ..Setup::new(world, user) };
        Self::start(setup, |parts| parts.syncer(offline())).await
    }

    /// One with a line and a syncer of its own.
    pub async fn with(world: &World, user: &str, line: Line, syncer: impl FnOnce(&Parts) -> Syncer) -> Self {
        Self::start(Setup { line, ..Setup::new(world, user) }, syncer).await
    }

    async fn start(setup: Setup, syncer: impl FnOnce(&Parts) -> Syncer) -> Self {
        let Setup { user, line, folder, identity, schema } = setup;
        let schema = Arc::new(Schema::parse(&schema).unwrap());
        let clock = SetClock::right();
        let path = folder.path().join("store.sqlite");
        let config = StoreConfig::new(path, UserId::new(user.as_str()).unwrap(), schema.clone(), &identity);
        let store = Store::open(config.clock(clock.clone())).await.unwrap();
        let parts = Parts { store: store.clone(), line: line.clone(), user: user.clone() };
        let syncer = syncer(&parts);
        Self { store, syncer, line, clock, user, schema, identity, folder }
    }

    /// Another phone with the same file, as it is now: a clone, or one that is restored later. `identity` says whether
    /// the device id came along.
    pub async fn cloned(&self, world: &World, with_identity: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for suffix in ["", "-wal"] {
            let from = self.path().with_file_name(format!("store.sqlite{suffix}"));
            if from.exists() {
                std::fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
            }
        }
        let new = Setup::new(world, &self.user);
        let identity = if with_identity { self.identity.clone() } else { new.identity.clone() };
        Self::start(Setup { folder, identity, ..new }, |parts| parts.syncer(offline())).await
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("store.sqlite")
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn space(&self) -> SpaceId {
        space(&self.user)
    }

    /// Records in the user's own space.
    pub async fn record(&self, event: NewEvent) -> Recorded {
        self.store.record(&self.space(), event).await.unwrap()
    }

    /// Goes online and syncs all spaces once.
    pub async fn sync(&self) -> Report {
        self.syncer.set_connectivity(true);
        self.syncer.sync_now().await
    }

    /// Syncs, and asserts that all went well.
    pub async fn synced(&self) {
        let report = self.sync().await;
        assert!(report.is_synced() && report.pending() == 0, "{report:?}");
    }

    /// The workouts of the user's own space.
    pub async fn workouts(&self) -> Vec<EntityView> {
        self.store.entities(&self.space(), Query::all("workout")).await.unwrap()
    }

    pub async fn pending(&self) -> usize {
        self.store.events(&self.space(), EventsQuery::pending()).await.unwrap().len()
    }

    /// Closes it, and asserts that its user's space is, byte for byte, what the server's log folds into, and that
    /// nothing is pending over it.
    pub async fn assert_is_the_log(self, world: &World) {
        self.syncer.close().await;
        self.store.close().await;
        let options = StoreOptions {
            user: UserId::new(self.user.as_str()).unwrap(),
            schema: self.schema.clone(),
            identity: self.identity.device_id().clone(),
            random: fastrand::Rng::with_seed(0),
        };
        let store = EventStore::open(&self.path(), options).unwrap();
        let folded = world.folded_log(&self.user).await;
        let lines: Vec<String> = folded.entities.values().map(|(line, ..)| line.clone()).collect();
        assert_eq!(store.confirmed_lines(&self.space()).unwrap(), lines);
        assert_eq!(store.shown_lines(&self.space()).unwrap(), lines);
        assert_eq!(json!(store.state_hash(&self.space()).unwrap()), folded.state_hash);
    }
}

/// What a phone begins with.
struct Setup {
    user: String,
    line: Line,
    folder: TempDir,
    identity: Identity,
    schema: String,
}

impl Setup {
    fn new(world: &World, user: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_create(&folder.path().join("identity.json")).unwrap();
        let schema = std::fs::read_to_string(&world.schema_file).unwrap();
        Self { user: user.to_owned(), line: Line::to(world.address), folder, identity, schema }
    }
}

/// What a syncer is made of.
pub struct Parts {
    pub store: Store,
    pub line: Line,
    pub user: String,
}

impl Parts {
    /// A syncer with the user's token.
    pub fn syncer(&self, options: SyncOptions) -> Syncer {
        let user = self.user.clone();
        let tokens = move |_| {
            let token = token(&user);
            async move { Ok::<_, NoToken>(token) }
        };
        Syncer::start(self.store.clone(), self.line.clone(), tokens, options)
    }
}

pub fn offline() -> SyncOptions {
    SyncOptions { online: false, random: fastrand::Rng::with_seed(1), ..SyncOptions::default() }
}

/// Asserts that a user's log holds exactly these events, each once, those that were pruned included.
pub async fn assert_log_holds(world: &World, user: &str, recorded: &[Recorded]) {
    let events = world.every_event(user).await.into_iter();
    let mut found: Vec<Value> =
        events.map(|event| serde_json::from_str::<Value>(&event.line).unwrap()["eventId"].clone()).collect();
    let mut expected: Vec<Value> = recorded.iter().map(|event| json!(event.event_id)).collect();
    found.sort_by_key(ToString::to_string);
    expected.sort_by_key(ToString::to_string);
    assert_eq!(found, expected);
}
