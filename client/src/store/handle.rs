//! The way into the store for async code: a handle that is cheap to clone. The file is worked on by one thread, which
//! takes calls one after the other, so that no async thread ever waits for storage.

mod switch;
mod thread;

use std::path::PathBuf;
use std::sync::Arc;

use tidelog_events::fold::StateHash;
use tidelog_events::id::{EntityId, EventId, SpaceId, UserId};
use tidelog_events::schema::Schema;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    Changed, EntityView, EventStore, EventsQuery, Filter, NewEvent, OpenError, OwnEvent, Query, RecordError,
    Recorded, SpaceStatus, StoreError,
};
use crate::identity::Identity;
use crate::moment::{Clock, SystemClock};
use thread::Call;

pub use switch::Switched;

/// What a store is opened with.
#[derive(Clone)]
pub struct StoreConfig {
    /// The SQLite file: one for each user of the app on this device.
    pub path: PathBuf,
    /// Who records.
    pub user: UserId,
    /// The app's schema.
    pub schema: Arc<Schema>,
    /// Which device this is.
    pub identity: Identity,
    /// The device's clocks.
    pub clock: Arc<dyn Clock>,
}

impl StoreConfig {
    /// With the clocks of this device.
    pub fn new(path: impl Into<PathBuf>, user: UserId, schema: Arc<Schema>, identity: &Identity) -> Self {
        let clock = Arc::new(SystemClock);
        Self { path: path.into(), user, schema, identity: identity.clone(), clock }
    }

    /// With other clocks.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

/// The store was closed, or its thread has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the device's store is closed")]
pub struct Closed;

/// A device's store. Clones are the same store; the file is closed with the last of them, or by [`Store::close`].
///
/// A call that was begun is carried out even where the caller stops waiting for it.
#[derive(Clone)]
pub struct Store {
    calls: mpsc::Sender<Call>,
    // The senders themselves belong to the thread: with it, subscriptions end.
    changes: broadcast::WeakSender<Changed>,
    recorded: broadcast::WeakSender<SpaceId>,
    user: UserId,
    schema: Arc<Schema>,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// Opens the store, or makes it. Another user's is refused: see [`Store::switch_user`].
    pub async fn open(config: StoreConfig) -> Result<Self, OpenError> {
        let StoreConfig { path, user, schema, identity, clock } = config;
        let options = super::StoreOptions {
            user: user.clone(),
            schema: schema.clone(),
            identity: identity.device_id().clone(),
            random: fastrand::Rng::new(),
        };
        let thread::Running { calls, changes, recorded } =
            thread::start(move || EventStore::open(&path, options)).await?;
        Ok(Self { calls, changes, recorded, user, schema, clock })
    }

    /// Whose store it is.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The app's schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Records what the user did. When this returns, the event is durable and shown, network or not.
    pub async fn record(&self, space: &SpaceId, event: NewEvent) -> Result<Recorded, RecordError> {
        let (space, clock, told) = (space.clone(), self.clock.clone(), self.recorded.clone());
        let recording = self.call(move |store| {
            let recorded = store.record(&space, event, &clock.now())?;
            if let Some(told) = told.upgrade() {
                // An error says that nobody syncs.
                let _ = told.send(space);
            }
            Ok(recorded)
        });
        recording.await.map_err(StoreError::from)?
    }

    /// An entity as it is shown, if it is visible.
    pub async fn entity(
        &self,
        space: &SpaceId,
        entity_type: &str,
        entity_id: &EntityId,
    ) -> Result<Option<EntityView>, StoreError> {
        let (space, entity_type, entity_id) = (space.clone(), entity_type.to_owned(), entity_id.clone());
        self.call(move |store| store.entity(&space, &entity_type, &entity_id)).await?
    }

    /// The visible entities that a query finds, by id.
    pub async fn entities(&self, space: &SpaceId, query: Query) -> Result<Vec<EntityView>, StoreError> {
        let space = space.clone();
        self.call(move |store| store.entities(&space, &query)).await?
    }

    /// Events that were recorded on this device, in the order of recording.
    pub async fn events(&self, space: &SpaceId, query: EventsQuery) -> Result<Vec<OwnEvent>, StoreError> {
        let space = space.clone();
        self.call(move |store| store.events(&space, &query)).await?
    }

    /// Takes a rejected event off the list. Says whether it was on it.
    pub async fn dismiss(&self, space: &SpaceId, event: EventId) -> Result<bool, StoreError> {
        let space = space.clone();
        self.call(move |store| store.dismiss(&space, event)).await?
    }

    /// Takes part in a space from now on, or changes what of it is synced.
    pub async fn join(&self, space: &SpaceId, filter: Filter) -> Result<(), StoreError> {
        let (space, told) = (space.clone(), self.recorded.clone());
        self.call(move |store| {
            store.join(&space, &filter)?;
            if let Some(told) = told.upgrade() {
                // An error says that nobody syncs.
                let _ = told.send(space);
            }
            Ok(())
        })
        .await?
    }

    /// All spaces, in the order in which they were joined.
    pub async fn spaces(&self) -> Result<Vec<SpaceStatus>, StoreError> {
        self.call(|store| store.spaces()).await?
    }

    /// How a space stands on this device.
    pub async fn status(&self, space: &SpaceId) -> Result<SpaceStatus, StoreError> {
        let space = space.clone();
        self.call(move |store| store.space(&space)).await?
    }

    /// The hash of the confirmed state: the same wherever the same events of the space are folded by the same schema.
    pub async fn state_hash(&self, space: &SpaceId) -> Result<StateHash, StoreError> {
        let space = space.clone();
        self.call(move |store| store.state_hash(&space)).await?
    }

    /// What changes from now on.
    pub fn subscribe(&self) -> Changes {
        Changes { changes: self.changes.upgrade().map(|changes| changes.subscribe()) }
    }

    /// Closes the file, after the calls that were made before. Returns when it is closed; later calls, through any
    /// clone, give [`Closed`].
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        // Errors say that it is closed already.
        let _ = self.calls.send(Call::Close(done)).await;
        let _ = closed.await;
    }

    /// The device's clocks.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The spaces that something is recorded in, or that are joined, from now on.
    pub(crate) fn recordings(&self) -> Option<broadcast::Receiver<SpaceId>> {
        self.recorded.upgrade().map(|recorded| recorded.subscribe())
    }

    /// Does something on the store's thread, in one go.
    pub(crate) async fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut EventStore) -> R + Send + 'static,
    ) -> Result<R, Closed> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |store: &mut EventStore| {
            // An error says that the caller has stopped waiting.
            let _ = answer.send(work(store));
        });
        self.calls.send(Call::Work(work)).await.map_err(|_| Closed)?;
        answered.await.map_err(|_| Closed)
    }
}

/// A subscription to what changes in a store.
pub struct Changes {
    changes: Option<broadcast::Receiver<Changed>>,
}

impl Changes {
    /// The next change; [`Changed::Lagged`] in place of those that were missed; `None` when the store is closed.
    pub async fn next(&mut self) -> Option<Changed> {
        match self.changes.as_mut()?.recv().await {
            Ok(changed) => Some(changed),
            Err(RecvError::Lagged(_)) => Some(Changed::Lagged),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests;
