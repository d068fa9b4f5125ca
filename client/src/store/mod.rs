//! The device's store: one SQLite file for a user of an app, with its own events, the confirmed state, and the overlay
//! of what the log does not have yet. Everything here blocks; [`Store`] is the way in for async code.

mod answers;
mod changed;
mod columns;
mod compact;
mod entities;
mod erase;
mod events;
mod fork;
mod handle;
mod hello;
mod line;
mod open;
mod outlook;
mod overlay;
mod pull;
mod push;
mod query;
mod queues;
mod reader;
mod record;
mod refetch;
mod report;
mod restamp;
mod settle;
mod spaces;
mod sync_counts;

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tidelog_events::id::{DeviceId, SpaceId, UserId};
use tidelog_events::report::{ReportedState, SyncCounts};
use tidelog_events::schema::Schema;
use uuid::{Builder, Uuid};

pub use answers::Taken;
pub use changed::{Changed, Notice};
pub use entities::EntityView;
pub use events::{EventState, EventsQuery, OwnEvent};
pub(crate) use fork::OwnRange;
pub use handle::{Changes, Closed, Store, StoreConfig, Switched};
pub use open::{Bound, OpenError, StoreOptions, bound_to, set_aside};
pub(crate) use outlook::QueueOutlook;
pub use pull::{Followed, Following};
pub(crate) use push::BatchLimits;
pub use query::{Condition, Operator, Query};
pub(crate) use reader::Reader;
pub use reader::{NextBatch, QueueStanding, Standing};
pub use record::{NewEvent, RecordError, Recorded};
pub use spaces::{Filter, SpaceStatus};

use crate::moment::Moment;

/// A store's file, and what the device must know to work on it.
pub struct EventStore {
    connection: Connection,
    schema: Arc<Schema>,
    user: UserId,
    identity: DeviceId,
    random: fastrand::Rng,
    /// When the latest request left whose answer was taken in, for each space: what was sent earlier is answered late.
    latest_sent: BTreeMap<SpaceId, Moment>,
    /// By how much the wall clock was ahead of the server's time when that was told last.
    clock_offset_ms: Option<i64>,
    /// What the confirmed state of each space hashed to, and when that was computed.
    states: BTreeMap<SpaceId, (Moment, ReportedState)>,
    /// How attempts to sync each space ended, as far as the server was not told.
    syncs: BTreeMap<SpaceId, SyncCounts>,
    changed: Vec<Changed>,
}

/// Why the store did not do what it was asked. Nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite failed: no room, no rights, a damaged file.
    #[error("the device's store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The store holds what this version could not have written.
    #[error("the device's store is damaged: {0}")]
    Damaged(String),
    /// The space was never joined, or was erased.
    #[error("the store has no space `{0}`")]
    NoSuchSpace(SpaceId),
    /// The store was closed.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl EventStore {
    /// The app's schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Whose store it is.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// What has changed since the last call.
    pub fn take_changes(&mut self) -> Vec<Changed> {
        std::mem::take(&mut self.changed)
    }
}

/// A transaction that no other process's write can come between.
fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// A device id that nobody has.
fn random_device(random: &mut fastrand::Rng) -> Result<DeviceId, StoreError> {
    DeviceId::new(random_uuid(random).to_string()).map_err(|error| StoreError::Damaged(error.to_string()))
}

fn random_uuid(random: &mut fastrand::Rng) -> Uuid {
    Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid()
}
