//! What the device tells of itself, for people at the server: facts, never decided by.

use tidelog_events::id::SpaceId;
use tidelog_events::report::{DeviceReport, ReportedState, SyncCounts};

use super::{EventStore, StoreError, queues, spaces};
use crate::moment::Moment;

/// A state's hash walks through all of its entities: so long one is not computed anew.
const STATE_EVERY_MS: i64 = 3_600_000;

impl EventStore {
    /// How the device stands; why it last failed to sync is not known here.
    pub(crate) fn device_report(&self, space: &SpaceId) -> Result<DeviceReport, StoreError> {
        let found = spaces::load(&self.connection, space)?;
        let queues = queues::of_space(&self.connection, found.row)?;
        let pending = queues.iter().map(|queue| queues::pending(&self.connection, queue.row));
        let state = self.states.get(space).map(|(_, state)| state.clone());
        Ok(DeviceReport {
            pending: Some(pending.sum::<rusqlite::Result<u64>>()?),
            last_error: None,
            clock_offset_ms: self.clock_offset_ms,
            state: state.filter(|state| found.epoch == Some(state.epoch)),
            syncs: self.syncs.get(space).and_then(SyncCounts::to_tell),
        })
    }

    /// Computes what the next reports say of the confirmed state, if that is due and all of it is here.
    pub(crate) fn note_state(&mut self, space: &SpaceId, now: &Moment) -> Result<(), StoreError> {
        let known = self.states.get(space);
        let is_fresh = |at: &Moment| now.since(at).is_some_and(|since_ms| since_ms < STATE_EVERY_MS);
        if known.is_some_and(|(at, _)| is_fresh(at)) {
            return Ok(());
        }
        let found = spaces::load(&self.connection, space)?;
        let is_whole = !found.refetch && found.filter.types.is_none() && found.cursor >= found.head;
        let (true, Some(epoch)) = (is_whole, found.epoch) else { return Ok(()) };
        let hash = serde_json::to_value(self.state_hash(space)?).and_then(serde_json::from_value);
        let state = ReportedState {
            position: found.cursor,
            epoch,
            schema_version: self.schema.id().version,
            hash: hash.map_err(|error| StoreError::Damaged(error.to_string()))?,
        };
        self.states.insert(space.clone(), (now.clone(), state));
        Ok(())
    }
}
