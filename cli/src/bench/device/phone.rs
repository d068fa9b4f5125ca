//! A phone of the bench: its store, its clocks, and what its user does.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde::Deserialize;
use tidelog_client::store::StoreOptions;
use tidelog_client::{BootId, EventStore, Moment, NewEvent};
use tidelog_events::id::{DeviceId, EntityId, SpaceId, UserId};
use tidelog_events::schema::Schema;

use super::super::workout::Recorder;

/// The user of all stores here.
pub(super) const USER: &str = "bench";
/// When the made-up clocks begin: 2026-01-01.
const START_MS: i64 = 1_767_225_600_000;

/// Opens the store in that file, or makes it.
pub(super) fn open(path: &Path) -> Result<EventStore> {
    let schema = Schema::parse(include_str!("../../../../config/fitness.yaml"))?;
    let options = StoreOptions {
        user: UserId::new(USER)?,
        schema: Arc::new(schema),
        identity: DeviceId::new("bench-phone")?,
        random: fastrand::Rng::new(),
    };
    EventStore::open(path, options).with_context(|| format!("cannot open the store {}", path.display()))
}

/// The user's own space.
pub(super) fn space() -> Result<SpaceId> {
    Ok(SpaceId::new(USER)?)
}

/// A made-up moment, so many seconds after the first one: by it, events happen a second apart.
pub(super) fn moment(seconds: u64) -> Moment {
    let since_ms = seconds as i64 * 1000;
    Moment { wall_ms: START_MS + since_ms, monotonic_ms: since_ms, boot: BootId("bench".into()) }
}

/// What a user does, one event after the other.
pub(super) struct Doings {
    recorder: Recorder,
    line: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(rename = "type")]
    event_type: String,
    entity_id: EntityId,
    payload: serde_json::Value,
}

impl Doings {
    /// Workouts of so many events each.
    pub(super) fn new(seed: u64, workout: u32) -> Self {
        Self { recorder: Recorder::of_workouts(seed, workout), line: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Result<NewEvent> {
        self.line.clear();
        self.recorder.record(&mut self.line);
        let Line { event_type, entity_id, payload } = serde_json::from_slice(&self.line)?;
        Ok(NewEvent::new(event_type, entity_id, payload))
    }
}
