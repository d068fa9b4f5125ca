//! One space's task: waits until the space is due, and runs a cycle. Each step of it is one call on the store's thread;
//! the request between two steps is all that is awaited elsewhere, so there is never more than one.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tidelog_events::report::DeviceReport;
use tokio::time::sleep;

use super::control::Control;
use super::tokens::Tokens;
use super::{Cycle, CycleOptions, Progress, SyncFailure, TokenSource};
use crate::moment::Moment;
use crate::store::{EventStore, Store, StoreError};
use crate::transport::{Answer, Request, Transport};

/// What the tasks of all spaces draw on.
pub(super) struct Means<T, S> {
    pub(super) store: Store,
    pub(super) transport: T,
    pub(super) tokens: Tokens<S>,
    pub(super) cycle: CycleOptions,
}

/// The task.
pub(super) struct Worker<T, S> {
    means: Arc<Means<T, S>>,
    control: Arc<Control>,
    /// How the next cycle works: as the app says, unless the last one has found that the server cannot do so much.
    cycle: CycleOptions,
}

impl<T: Transport, S: TokenSource> Worker<T, S> {
    pub(super) fn new(means: Arc<Means<T, S>>, control: Arc<Control>) -> Self {
        Self { cycle: means.cycle, means, control }
    }

    /// Syncs the space again and again, until it is erased or the store closed.
    pub(super) async fn run(mut self) {
        loop {
            self.until_due().await;
            let waiters = self.control.begin(self.now().monotonic_ms);
            self.publish().await;
            let outcome = self.sync().await;
            match &outcome {
                Ok(()) => tracing::debug!(space = %self.control.space, "synced"),
                Err(failure) => tracing::info!(space = %self.control.space, %failure, "not synced"),
            }
            self.count(&outcome).await;
            self.control.end(&outcome, self.now().monotonic_ms, waiters);
            if outcome.is_err_and(|failure| failure.is_final()) {
                return;
            }
            self.publish().await;
        }
    }

    fn now(&self) -> Moment {
        self.means.store.clock().now()
    }

    async fn until_due(&self) {
        loop {
            let wait = self.control.wait(self.now().monotonic_ms);
            if wait == Some(Duration::ZERO) {
                return;
            }
            tokio::select! {
                () = sleep_if(wait) => {}
                () = self.control.changed() => self.publish().await,
            }
        }
    }

    /// One cycle.
    async fn sync(&mut self) -> Result<(), SyncFailure> {
        let mut token = self.in_time(self.means.tokens.current()).await??;
        let mut asked_for_token = false;
        let mut cycle = Cycle::new(self.control.space.clone(), self.cycle).reporting(self.report().await?);
        loop {
            let (next, request) = self.next(cycle).await?;
            cycle = next;
            let Some(request) = request else {
                self.cycle = self.means.cycle;
                self.note_state().await?;
                return Ok(());
            };
            tracing::debug!(space = %self.control.space, request = name(&request), "asks");
            let sent = self.now();
            let answer = self.in_time(self.means.transport.send(&request, &token)).await??;
            let (next, progress) = self.take(cycle, request, answer, sent).await?;
            cycle = next;
            match progress {
                Progress::GoOn => {}
                Progress::Retry(failure) => {
                    self.cycle = cycle.options();
                    return Err(failure.into());
                }
                Progress::NeedsToken if asked_for_token => return Err(SyncFailure::Unauthorized),
                Progress::NeedsToken => {
                    asked_for_token = true;
                    token = self.in_time(self.means.tokens.instead_of(&token)).await??;
                }
                Progress::Erased => return Err(SyncFailure::Erased),
            }
        }
    }

    /// What the server is told of the device.
    async fn report(&self) -> Result<DeviceReport, SyncFailure> {
        let space = self.control.space.clone();
        let report = self.means.store.call(move |store| store.device_report(&space)).await??;
        Ok(DeviceReport { last_error: self.control.last_error(), ..report })
    }

    /// Counts an attempt, for the report of a later one.
    async fn count(&self, outcome: &Result<(), SyncFailure>) {
        let failure = match outcome {
            Ok(()) => None,
            Err(failure) => match failure.cause() {
                Some(cause) => Some(cause),
                None => return,
            },
        };
        let space = self.control.space.clone();
        // A store that is closed counts no more.
        let _ = self.means.store.call(move |store| store.count_sync(&space, failure)).await;
    }

    async fn note_state(&self) -> Result<(), SyncFailure> {
        let (space, now) = (self.control.space.clone(), self.now());
        Ok(self.means.store.call(move |store| store.note_state(&space, &now)).await??)
    }

    async fn next(&self, mut cycle: Cycle) -> Result<(Cycle, Option<Request>), SyncFailure> {
        let step = move |store: &mut EventStore| {
            let request = cycle.next(store)?;
            Ok::<_, StoreError>((cycle, request))
        };
        Ok(self.means.store.call(step).await??)
    }

    /// Takes an answer in, and tells how the space then stands.
    async fn take(
        &self,
        mut cycle: Cycle,
        request: Request,
        answer: Answer,
        sent: Moment,
    ) -> Result<(Cycle, Progress), SyncFailure> {
        let received = self.now();
        let step = move |store: &mut EventStore| {
            let progress = cycle.take(store, &request, &answer, &sent, &received)?;
            Ok::<_, StoreError>((cycle, progress))
        };
        let taken = self.means.store.call(step).await??;
        self.publish().await;
        Ok(taken)
    }

    /// Waits for what is not on this device, for as long as the app gives. A deadline may come while it waits.
    async fn in_time<O>(&self, work: impl Future<Output = O>) -> Result<O, SyncFailure> {
        let mut work = pin!(work);
        self.control.may_start(self.now().monotonic_ms)?;
        loop {
            let left = self.control.time_left(self.now().monotonic_ms);
            tokio::select! {
                output = &mut work => return Ok(output),
                () = sleep_if(left) => return Err(SyncFailure::OutOfTime),
                () = self.control.changed() => {}
            }
        }
    }

    async fn publish(&self) {
        if let Ok(stands) = self.means.store.status(&self.control.space).await {
            self.control.publish(&stands, &self.now());
        }
    }
}

async fn sleep_if(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => pending().await,
    }
}

fn name(request: &Request) -> &'static str {
    match request {
        Request::Pull(_) => "pull",
        Request::Push(_) => "push",
        Request::OwnEvents(_) => "own events",
    }
}
