//! Syncs a store in the background: a task for each space, each with its own queue and backoff, so that a space that
//! is refused or hangs blocks no other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tidelog_events::id::SpaceId;
use tidelog_events::live::MAX_PRESENCE_BYTES;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::control::Control;
use super::dispatch::{Ask, Dispatch, Shared, Spaces};
use super::tokens::Tokens;
use super::worker::Means;
use super::{
    CycleOptions, PresenceError, Presences, Report, SpaceReport, SyncFailure, SyncStatus, TokenSource,
};
use crate::store::Store;
use crate::transport::Transport;

/// Of a budget, what is kept for taking in the last answer; at most a quarter of it.
const STORING: Duration = Duration::from_millis(500);

/// How a store is synced.
#[derive(Debug, Clone)]
pub struct SyncOptions {
    /// What a cycle asks at once.
    pub cycle: CycleOptions,
    /// Whether there is a network when syncing starts.
    pub online: bool,
    /// Whether nothing is synced until [`Syncer::resume`].
    pub paused: bool,
    /// Whether a live connection brings what other devices record, where the server and the transport have them. Without
    /// one, and whenever there is none, the spaces are synced by polling.
    pub live: bool,
    /// Where jitter comes from.
    pub random: fastrand::Rng,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            cycle: CycleOptions::default(),
            online: true,
            paused: false,
            live: true,
            random: fastrand::Rng::new(),
        }
    }
}

/// Syncs all spaces of a store, until it is dropped or closed.
pub struct Syncer {
    shared: Arc<Shared>,
    asks: mpsc::Sender<Ask>,
    task: JoinHandle<()>,
}

impl Syncer {
    /// Begins to sync. Must be called within a tokio runtime.
    pub fn start(
        store: Store,
        transport: impl Transport,
        tokens: impl TokenSource,
        options: SyncOptions,
    ) -> Self {
        let SyncOptions { cycle, online, paused, live, random } = options;
        let spaces = Mutex::new(Spaces { controls: BTreeMap::new(), online, paused, live, random });
        let shared = Arc::new(Shared { store: store.clone(), spaces });
        let tokens = Tokens::new(tokens, store.user().clone());
        let (asks, asked) = mpsc::channel(1);
        let dispatch = Dispatch {
            shared: shared.clone(),
            changes: store.subscribe(),
            recordings: store.recordings(),
            workers: JoinSet::new(),
            means: Arc::new(Means { store, transport, tokens, cycle }),
        };
        Self { shared, asks, task: tokio::spawn(dispatch.run(asked)) }
    }

    /// Syncs all spaces now, and says how it went when it has ended.
    pub async fn sync_now(&self) -> Report {
        self.sync_all(None).await
    }

    /// Syncs one space now. Returns when that has ended.
    pub async fn sync_space_now(&self, space: &SpaceId) -> Result<(), SyncFailure> {
        let control = self.control(space).await?;
        let told = control.ask(self.now_ms(), None)?;
        told.await.unwrap_or(Err(SyncFailure::Closed))
    }

    /// Syncs all spaces for at most so long, as a background slot of the system gives it. What was asked
    /// for has ended when this returns; what was not reached goes on the next time.
    pub async fn sync_for(&self, budget: Duration) -> Report {
        let usable = budget.saturating_sub(STORING.min(budget / 4));
        let deadline_ms = i64::try_from(usable.as_millis()).unwrap_or(i64::MAX).saturating_add(self.now_ms());
        self.sync_all(Some(deadline_ms)).await
    }

    async fn sync_all(&self, deadline_ms: Option<i64>) -> Report {
        let controls = self.controls().await;
        // The spaces sync side by side.
        let asked: Vec<_> = controls.iter().map(|control| control.ask(self.now_ms(), deadline_ms)).collect();
        let _deadline = deadline_ms.map(|at_ms| Deadline { controls: &controls, at_ms });
        let mut spaces = Vec::new();
        for (control, asked) in controls.iter().zip(asked) {
            let outcome = match asked {
                Ok(told) => told.await.unwrap_or(Err(SyncFailure::Closed)),
                Err(failure) => Err(failure),
            };
            spaces.push(match self.shared.store.status(&control.space).await {
                Ok(stands) => SpaceReport::new(&stands, outcome),
                Err(_) => SpaceReport { space: control.space.clone(), outcome, pending: 0, behind: 0 },
            });
        }
        Report { spaces }
    }

    /// How a space's syncing stands.
    pub async fn status(&self, space: &SpaceId) -> Result<SyncStatus, SyncFailure> {
        let control = self.control(space).await?;
        let stands = self.shared.store.status(space).await?;
        Ok(control.describe(&stands, &self.shared.store.clock().now()))
    }

    /// How the syncing of each space stands.
    pub async fn statuses(&self) -> Result<Vec<SyncStatus>, SyncFailure> {
        let mut statuses = Vec::new();
        for control in self.controls().await {
            statuses.push(self.status(&control.space).await?);
        }
        Ok(statuses)
    }

    /// How a space's syncing stands, and each time that this changes.
    pub async fn subscribe_status(
        &self,
        space: &SpaceId,
    ) -> Result<watch::Receiver<SyncStatus>, SyncFailure> {
        Ok(self.control(space).await?.subscribe())
    }

    /// Shows a state to others who have a live connection to the space, whenever this device has one, until another is
    /// set: any JSON of at most [`MAX_PRESENCE_BYTES`]; null: no more here. Nothing of it is stored.
    pub async fn set_presence(&self, space: &SpaceId, state: Value) -> Result<(), PresenceError> {
        let (bytes, limit) = (state.to_string().len(), MAX_PRESENCE_BYTES);
        if bytes > limit {
            return Err(PresenceError::TooLarge { bytes, limit });
        }
        self.control(space).await?.show(state);
        Ok(())
    }

    /// Who else is at a space, as far as its live connection tells, and each time that this changes.
    pub async fn subscribe_presences(
        &self,
        space: &SpaceId,
    ) -> Result<watch::Receiver<Presences>, SyncFailure> {
        Ok(self.control(space).await?.presences())
    }

    /// From now on no request leaves. One that is under way is waited for; live connections end at once.
    pub fn pause(&self) {
        self.set_paused(true);
    }

    /// Syncing goes on.
    pub fn resume(&self) {
        self.set_paused(false);
    }

    fn set_paused(&self, paused: bool) {
        let mut spaces = self.shared.spaces();
        spaces.paused = paused;
        spaces.controls.values().for_each(|control| control.set_paused(paused));
    }

    /// The app says whether there is a network: without one nothing is tried, and when it comes back, at once.
    pub fn set_connectivity(&self, online: bool) {
        let now_ms = self.now_ms();
        let mut spaces = self.shared.spaces();
        spaces.online = online;
        spaces.controls.values().for_each(|control| control.set_online(online, now_ms));
    }

    /// Ends syncing, and returns when no task is left. A request that is under way is cut off, which loses nothing. The
    /// store stays open.
    pub async fn close(&self) {
        self.ask(Ask::End).await;
    }

    /// Asks the task above the tasks. Returns when that is done, or where it has ended already.
    async fn ask(&self, ask: impl FnOnce(oneshot::Sender<()>) -> Ask) {
        let (done, told) = oneshot::channel();
        if self.asks.send(ask(done)).await.is_ok() {
            let _ = told.await;
        }
    }

    fn now_ms(&self) -> i64 {
        self.shared.store.clock().now().monotonic_ms
    }

    /// One for each space that the store has by now.
    async fn controls(&self) -> Vec<Arc<Control>> {
        self.ask(Ask::Look).await;
        self.shared.spaces().controls.values().cloned().collect()
    }

    async fn control(&self, space: &SpaceId) -> Result<Arc<Control>, SyncFailure> {
        let controls = self.controls().await;
        let found = controls.into_iter().find(|control| control.space == *space);
        match found {
            Some(control) => Ok(control),
            // Why there is none.
            None => match self.shared.store.status(space).await {
                Ok(_) => Err(SyncFailure::Closed),
                Err(error) => Err(error.into()),
            },
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes a deadline away, however its attempt ends.
struct Deadline<'a> {
    controls: &'a [Arc<Control>],
    at_ms: i64,
}

impl Drop for Deadline<'_> {
    fn drop(&mut self) {
        self.controls.iter().for_each(|control| control.clear_deadline(self.at_ms));
    }
}
