//! What the app and a space's task say to each other: the app asks, pauses and sets deadlines, the task says how it
//! stands. Times are milliseconds of the device's monotonic clock.

mod live;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidelog_events::id::SpaceId;
use tidelog_events::protocol::UtcTime;
use tokio::sync::{Notify, oneshot, watch};

use super::live::Reconnect;
use super::scheduler::Scheduler;
use super::{SyncFailure, SyncStatus};
use crate::moment::Moment;
use crate::store::SpaceStatus;
use live::{Here, Live};

/// Is told how the attempt ended that was asked for.
pub(super) type Waiter = oneshot::Sender<Result<(), SyncFailure>>;

/// One space's.
pub(super) struct Control {
    pub(super) space: SpaceId,
    state: Mutex<State>,
    status: watch::Sender<SyncStatus>,
    /// Wakes the task: something here has changed.
    wake: Notify,
    here: Here,
}

struct State {
    scheduler: Scheduler,
    live: Live,
    waiting: Vec<Waiter>,
    /// When requests must have ended, by each who has said so.
    deadlines_ms: Vec<i64>,
    syncing: bool,
    last_error: Option<SyncFailure>,
    /// Whether the task is no more.
    ended: bool,
}

impl State {
    /// When the next attempt begins, which may be past.
    fn due_ms(&self) -> Option<i64> {
        let due = self.scheduler.due_ms()?;
        Some(if self.waiting.is_empty() { due } else { self.scheduler.not_before_ms() })
    }

    /// The first of the deadlines.
    fn deadline_ms(&self) -> Option<i64> {
        self.deadlines_ms.iter().min().copied()
    }

    fn may_run(&self, now_ms: i64) -> Result<(), SyncFailure> {
        if self.ended {
            Err(SyncFailure::Closed)
        } else if self.scheduler.is_paused() {
            Err(SyncFailure::Paused)
        } else if !self.scheduler.is_online() {
            Err(SyncFailure::Offline)
        } else if self.deadline_ms().is_some_and(|deadline| deadline <= now_ms) {
            Err(SyncFailure::OutOfTime)
        } else {
            Ok(())
        }
    }

    fn refuse_waiting(&mut self, failure: &SyncFailure) {
        for waiter in self.waiting.drain(..) {
            // An error says that nobody waits any more.
            let _ = waiter.send(Err(failure.clone()));
        }
    }
}

impl Control {
    /// `reconnect` says when a live connection is made; without it there is none.
    pub(super) fn new(
        stands: &SpaceStatus,
        scheduler: Scheduler,
        reconnect: Option<Reconnect>,
        now: &Moment,
    ) -> Self {
        let state = State {
            scheduler,
            live: Live { reconnect, on: false },
            waiting: Vec::new(),
            deadlines_ms: Vec::new(),
            syncing: false,
            last_error: None,
            ended: false,
        };
        let status = watch::Sender::new(status(&state, stands, now));
        Self {
            space: stands.space.clone(),
            state: Mutex::new(state),
            status,
            wake: Notify::new(),
            here: Here::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells both tasks of the space that something here has changed.
    fn tell(&self) {
        self.wake.notify_one();
        self.here.news.send_modify(|news| *news = news.wrapping_add(1));
    }

    /// Asks for an attempt now. The receiver is told how it ends.
    pub(super) fn ask(
        &self,
        now_ms: i64,
        deadline_ms: Option<i64>,
    ) -> Result<oneshot::Receiver<Result<(), SyncFailure>>, SyncFailure> {
        let mut state = self.state();
        state.deadlines_ms.extend(deadline_ms);
        state.may_run(now_ms)?;
        let left_ms = state.scheduler.not_before_ms().saturating_sub(now_ms);
        if left_ms > 0 {
            return Err(SyncFailure::NotYet { left: Duration::from_millis(left_ms.unsigned_abs()) });
        }
        let (waiter, told) = oneshot::channel();
        state.waiting.push(waiter);
        drop(state);
        self.tell();
        Ok(told)
    }

    /// That deadline holds no more.
    pub(super) fn clear_deadline(&self, deadline_ms: i64) {
        let mut state = self.state();
        let found = state.deadlines_ms.iter().position(|deadline| *deadline == deadline_ms);
        if let Some(found) = found {
            state.deadlines_ms.swap_remove(found);
        }
        drop(state);
        self.tell();
    }

    /// Something was recorded.
    pub(super) fn recorded(&self, now_ms: i64) {
        self.state().scheduler.recorded(now_ms);
        self.wake.notify_one();
    }

    /// The app pauses syncing, or lets it go on.
    pub(super) fn set_paused(&self, paused: bool) {
        let mut state = self.state();
        state.scheduler.set_paused(paused);
        if paused {
            state.refuse_waiting(&SyncFailure::Paused);
        }
        drop(state);
        self.tell();
    }

    /// The app says whether there is a network.
    pub(super) fn set_online(&self, online: bool, now_ms: i64) {
        let mut state = self.state();
        let is_back = online && !state.scheduler.is_online();
        if let Some(reconnect) = state.live.reconnect.as_mut().filter(|_| is_back) {
            reconnect.network_back(now_ms);
        }
        state.scheduler.set_online(online, now_ms);
        if !online {
            state.refuse_waiting(&SyncFailure::Offline);
        }
        drop(state);
        self.tell();
    }

    /// Returns when something here has changed since it was last asked.
    pub(super) async fn changed(&self) {
        self.wake.notified().await;
    }

    /// How long to wait for the next attempt; `None` while nothing is due. Whoever waits for one that cannot begin any
    /// more is told why.
    pub(super) fn wait(&self, now_ms: i64) -> Option<Duration> {
        let mut state = self.state();
        if let Err(failure) = state.may_run(now_ms) {
            state.refuse_waiting(&failure);
            return None;
        }
        let due_ms = state.due_ms()?;
        Some(Duration::from_millis(due_ms.saturating_sub(now_ms).max(0).unsigned_abs()))
    }

    /// Whether a request may leave now, or why not.
    pub(super) fn may_start(&self, now_ms: i64) -> Result<(), SyncFailure> {
        self.state().may_run(now_ms)
    }

    /// How long a request that is under way may still take; `None` for as long as it likes.
    pub(super) fn time_left(&self, now_ms: i64) -> Option<Duration> {
        let left_ms = self.state().deadline_ms()?.saturating_sub(now_ms);
        Some(Duration::from_millis(left_ms.max(0).unsigned_abs()))
    }

    /// An attempt begins, for those who wait.
    pub(super) fn begin(&self, now_ms: i64) -> Vec<Waiter> {
        let mut state = self.state();
        state.syncing = true;
        state.scheduler.started(now_ms);
        std::mem::take(&mut state.waiting)
    }

    /// The attempt has ended.
    pub(super) fn end(&self, outcome: &Result<(), SyncFailure>, now_ms: i64, waiters: Vec<Waiter>) {
        let mut state = self.state();
        state.syncing = false;
        match outcome {
            Ok(()) => {
                state.scheduler.succeeded(now_ms);
                if let Some(reconnect) = &mut state.live.reconnect {
                    reconnect.synced();
                }
            }
            // The app sleeps now: what is left goes on at the next interval, or when it is asked for.
            Err(SyncFailure::OutOfTime) => {}
            Err(SyncFailure::Paused | SyncFailure::Offline) => state.scheduler.interrupted(now_ms),
            Err(failure) if failure.is_lasting() => {
                state.scheduler.refused(now_ms);
                state.refuse_waiting(failure);
            }
            Err(failure) => {
                state.scheduler.failed(now_ms, failure.retry_after());
                if state.scheduler.not_before_ms() > now_ms {
                    // Whoever has asked meanwhile would wait for long, and hear the same.
                    state.refuse_waiting(failure);
                }
            }
        }
        let interrupted =
            matches!(outcome, Err(SyncFailure::OutOfTime | SyncFailure::Paused | SyncFailure::Offline));
        if !interrupted {
            state.last_error = outcome.as_ref().err().cloned();
        }
        drop(state);
        self.tell();
        for waiter in waiters {
            // An error says that nobody waits any more.
            let _ = waiter.send(outcome.clone());
        }
    }

    /// Why the last attempt failed, in one line.
    pub(super) fn last_error(&self) -> Option<String> {
        let failure = self.state().last_error.clone()?;
        Some(format!("{}: {failure}", failure.code()))
    }

    /// The task is no more: nobody waits for it any longer.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.ended = true;
        state.refuse_waiting(&SyncFailure::Closed);
    }

    /// Tells subscribers how the space stands.
    pub(super) fn publish(&self, stands: &SpaceStatus, now: &Moment) {
        let new = self.describe(stands, now);
        self.status.send_if_modified(|status| {
            let differs = *status != new;
            *status = new;
            differs
        });
    }

    /// How the space stands.
    pub(super) fn describe(&self, stands: &SpaceStatus, now: &Moment) -> SyncStatus {
        status(&self.state(), stands, now)
    }

    /// How the space stands, and each time that this changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<SyncStatus> {
        self.status.subscribe()
    }
}

fn status(state: &State, stands: &SpaceStatus, now: &Moment) -> SyncStatus {
    let due = state.due_ms().map(|due| due.max(now.monotonic_ms));
    SyncStatus {
        space: stands.space.clone(),
        pending: stands.pending,
        rejected: stands.rejected,
        last_synced_at: stands.last_synced_at,
        last_error: state.last_error.clone(),
        next_attempt_at: due.map(|due| UtcTime(now.wall_ms.saturating_add(due - now.monotonic_ms))),
        online: state.scheduler.is_online(),
        syncing: state.syncing,
        paused: state.scheduler.is_paused(),
        live: state.live.on,
    }
}
