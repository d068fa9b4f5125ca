//! The task above the tasks: has one for each space of the store, and tells them what is recorded.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidelog_events::id::SpaceId;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;

use super::TokenSource;
use super::control::Control;
use super::live::{Follower, Reconnect};
use super::scheduler::Scheduler;
use super::worker::{Means, Worker};
use crate::store::{Changed, Changes, SpaceStatus, Store};
use crate::transport::Transport;

/// What the task above the tasks is asked.
pub(super) enum Ask {
    /// Have a task for each space that the store has by now.
    Look(oneshot::Sender<()>),
    /// End all tasks.
    End(oneshot::Sender<()>),
}

/// What it shares with the app's handle.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) spaces: Mutex<Spaces>,
}

/// The spaces that have a task, and what new ones begin with.
pub(super) struct Spaces {
    pub(super) controls: BTreeMap<SpaceId, Arc<Control>>,
    pub(super) online: bool,
    pub(super) paused: bool,
    pub(super) live: bool,
    pub(super) random: fastrand::Rng,
}

impl Shared {
    pub(super) fn spaces(&self) -> MutexGuard<'_, Spaces> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task above the tasks.
pub(super) struct Dispatch<T, S> {
    pub(super) shared: Arc<Shared>,
    pub(super) changes: Changes,
    pub(super) recordings: Option<broadcast::Receiver<SpaceId>>,
    pub(super) workers: JoinSet<()>,
    pub(super) means: Arc<Means<T, S>>,
}

impl<T: Transport, S: TokenSource> Dispatch<T, S> {
    pub(super) async fn run(mut self, mut asked: mpsc::Receiver<Ask>) {
        self.look().await;
        let mut ending = None;
        loop {
            tokio::select! {
                ask = asked.recv() => match ask {
                    Some(Ask::Look(done)) => {
                        self.look().await;
                        let _ = done.send(());
                    }
                    Some(Ask::End(done)) => {
                        ending = Some(done);
                        break;
                    }
                    None => break,
                },
                changed = self.changes.next() => match changed {
                    Some(changed) if self.is_news(&changed) => self.look().await,
                    Some(_) => {}
                    None => break,
                },
                recorded = recorded(&mut self.recordings) => self.tell(recorded.as_ref()),
                // The app may have joined the space anew before its task was gone.
                Some(Ok(())) = self.workers.join_next() => self.look().await,
            }
        }
        self.workers.shutdown().await;
        // Nothing is held any more when somebody learns that it has ended.
        drop(self);
        if let Some(done) = ending {
            // An error says that the caller has stopped waiting.
            let _ = done.send(());
        }
    }

    /// Whether the store may have a space that has no task yet.
    fn is_news(&self, changed: &Changed) -> bool {
        match changed {
            Changed::Space { space } => !self.shared.spaces().controls.contains_key(space),
            Changed::Lagged => true,
            Changed::Entity { .. } | Changed::Notice(_) => false,
        }
    }

    /// Starts a task for each space that has none.
    async fn look(&mut self) {
        let Ok(stands) = self.shared.store.spaces().await else { return };
        for space in stands {
            self.start(&space);
        }
    }

    fn start(&mut self, stands: &SpaceStatus) {
        let now = self.shared.store.clock().now();
        let mut spaces = self.shared.spaces();
        if spaces.controls.contains_key(&stands.space) {
            return;
        }
        let mut scheduler = Scheduler::new(now.monotonic_ms, spaces.random.fork());
        scheduler.set_online(spaces.online, now.monotonic_ms);
        scheduler.set_paused(spaces.paused);
        let reconnect = spaces.live.then(|| Reconnect::new(now.monotonic_ms, spaces.random.fork()));
        let control = Arc::new(Control::new(stands, scheduler, reconnect, &now));
        spaces.controls.insert(stands.space.clone(), control.clone());
        let leaving = Leaving { shared: self.shared.clone(), control: control.clone() };
        let follower = Follower::new(self.means.clone(), control.clone());
        let worker = Worker::new(self.means.clone(), control);
        self.workers.spawn(async move {
            let _leaving = leaving;
            // The live connection ends with the syncing that it spares requests.
            tokio::select! {
                () = worker.run() => {}
                () = follower.run() => {}
            }
        });
    }

    /// Tells the space's task that something was recorded; every task where it is not known in which space.
    fn tell(&self, recorded: Option<&SpaceId>) {
        let now_ms = self.shared.store.clock().now().monotonic_ms;
        let spaces = self.shared.spaces();
        let told =
            spaces.controls.iter().filter(|(space, _)| recorded.is_none_or(|recorded| recorded == *space));
        told.for_each(|(_, control)| control.recorded(now_ms));
    }
}

/// Takes a space off the list when its task ends, however it ends.
struct Leaving {
    shared: Arc<Shared>,
    control: Arc<Control>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.shared.spaces().controls.remove(&self.control.space);
        self.control.leave();
    }
}

/// The space that something was recorded in; `None` where too much was recorded to be told all of it.
async fn recorded(recordings: &mut Option<broadcast::Receiver<SpaceId>>) -> Option<SpaceId> {
    use broadcast::error::RecvError;
    match recordings {
        Some(recordings) => match recordings.recv().await {
            Ok(space) => Some(space),
            Err(RecvError::Lagged(_)) => None,
            // The store is closed, which the other subscription says.
            Err(RecvError::Closed) => pending().await,
        },
        None => pending().await,
    }
}
