//! The loop at the heart of the projector: gathers the spaces that there is news of, folds them together, and settles
//! each. A database that is away is waited for; a round that it refuses is taken apart space by space.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::message::Acker;
use tidelog_events::id::SpaceId;
use tidelog_events::schema::Schema;
use tidelog_runtime::database::{DatabaseFault, classify};
use tidelog_runtime::failpoint::{Failpoint, reach};
use tidelog_runtime::readiness::Check;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::backlog::Backlog;
use crate::intake::{News, acknowledge};
use crate::project::{Progress, Projector};
use crate::transaction::FoldError;

const OUTAGE_PAUSE_MIN: Duration = Duration::from_millis(50);
const OUTAGE_PAUSE_MAX: Duration = Duration::from_secs(2);
/// A round that fails so often while the database answers otherwise is taken apart.
const FAILURES_MAX: u32 = 2;

/// The more spaces a round has, the more load there is, and the more there is to gain from a larger next round.
const LINGER_PER_SPACE: Duration = Duration::from_millis(1);

/// One worker; a process has one, an installation as many as it has replicas.
pub(crate) struct Worker {
    pub(crate) projector: Projector,
    pub(crate) schema: watch::Receiver<Arc<Schema>>,
    pub(crate) spaces_max: usize,
    /// A round begins at most this long after the one before it, if that left nothing behind.
    pub(crate) linger: Duration,
    pub(crate) database: Check,
    pub(crate) shutdown: CancellationToken,
}

impl Worker {
    /// Works until `shutdown`, or until nobody can bring news any more. What is not settled then, the broker hands to
    /// another replica.
    pub(crate) async fn run(mut self, mut news: mpsc::Receiver<News>) {
        let mut backlog = Backlog::new();
        self.wait_for_database().await;
        while self.gather(&mut backlog, &mut news).await {
            let started = Instant::now();
            let round = backlog.next_round(self.spaces_max, started);
            let linger = self.linger.min(LINGER_PER_SPACE * round.len() as u32);
            if !round.is_empty() {
                self.fold(&mut backlog, round).await;
            }
            // Under load more events of the same entities come in a moment: each is then written once for all of them.
            if backlog.next_due(Instant::now()).is_none() {
                self.shutdown.run_until_cancelled(sleep_until(started + linger)).await;
            }
        }
    }

    /// Waits for something to do, then takes all the news there is. False at the end.
    async fn gather(&self, backlog: &mut Backlog<Acker>, news: &mut mpsc::Receiver<News>) -> bool {
        let due = backlog.next_due(Instant::now());
        let mut fresh = Vec::new();
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return false,
            _ = news.recv_many(&mut fresh, crate::QUEUE) => if fresh.is_empty() { return false },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
        while let Ok(more) = news.try_recv() {
            fresh.push(more);
        }
        let now = Instant::now();
        for News { space, last, message } in fresh {
            if let Some(settled) = backlog.add(space, last, message, now) {
                acknowledge(&settled).await;
            }
        }
        true
    }

    /// Folds a round and settles its spaces. A round that the database refuses is folded space by space, so that it
    /// is one space that stands aside, and not all.
    async fn fold(&mut self, backlog: &mut Backlog<Acker>, round: Vec<SpaceId>) {
        match self.until_decided(&round).await {
            None => {}
            Some(Ok(progress)) => {
                reach(Failpoint::ProjectorAfterCommit);
                for (space, progress) in progress {
                    acknowledge_all(settle(backlog, &space, progress)).await;
                }
            }
            Some(Err(error)) => {
                if let [alone] = round.as_slice() {
                    return acknowledge_all(stand_aside(backlog, alone, &error)).await;
                }
                tracing::warn!(%error, spaces = round.len(), "the database refuses a round; taking it apart");
                for space in round {
                    if !self.shutdown.is_cancelled() {
                        Box::pin(self.fold(backlog, vec![space])).await;
                    }
                }
            }
        }
    }

    /// Tries until the database has decided; `None` on shutdown.
    async fn until_decided(
        &mut self,
        round: &[SpaceId],
    ) -> Option<Result<BTreeMap<SpaceId, Progress>, FoldError>> {
        let mut pause = OUTAGE_PAUSE_MIN;
        let mut failures = 0;
        loop {
            let schema = self.schema.borrow().clone();
            let started = Instant::now();
            let error = match self.projector.project(round, &schema).await {
                Ok(progress) => {
                    self.database.pass();
                    metrics::histogram!("tidelog_projector_transaction_seconds")
                        .record(started.elapsed().as_secs_f64());
                    metrics::histogram!("tidelog_projector_transaction_spaces").record(round.len() as f64);
                    return Some(Ok(progress));
                }
                Err(error) => error,
            };
            match fault(&error) {
                DatabaseFault::Poison => return Some(Err(error)),
                DatabaseFault::Conflict => tracing::debug!(%error, "a conflict; trying again"),
                DatabaseFault::Outage | DatabaseFault::Defect => {
                    failures += u32::from(self.is_reachable().await);
                    if failures > FAILURES_MAX {
                        return Some(Err(error));
                    }
                    self.database.fail(error.to_string());
                    tracing::warn!(%error, "the database takes nothing; trying again");
                }
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(OUTAGE_PAUSE_MAX),
                () = self.shutdown.cancelled() => return None,
            }
        }
    }

    async fn wait_for_database(&self) {
        while !self.is_reachable().await {
            self.database.fail("it does not answer");
            tokio::select! {
                () = sleep(OUTAGE_PAUSE_MAX / 4) => {}
                () = self.shutdown.cancelled() => return,
            }
        }
        self.database.pass();
    }

    async fn is_reachable(&self) -> bool {
        let look = sqlx::query("SELECT 1").execute(self.projector.pool());
        tidelog_runtime::database::within(OUTAGE_PAUSE_MAX, look).await.is_ok()
    }
}

fn fault(error: &FoldError) -> DatabaseFault {
    match error {
        FoldError::Database(error) => classify(error),
        FoldError::Damaged { .. } | FoldError::NewerSchema { .. } | FoldError::Outrun(_) => {
            DatabaseFault::Poison
        }
    }
}

/// Settles a space; returns the messages that are settled with it.
fn settle(backlog: &mut Backlog<Acker>, space: &SpaceId, progress: Progress) -> Vec<Acker> {
    match progress {
        Progress::Locked => {
            backlog.locked(space, Instant::now());
            Vec::new()
        }
        // What is rebuilt is caught up when readers switch to it.
        Progress::Folded { caught_up: true, .. } | Progress::NoLog | Progress::Rebuilding => {
            backlog.caught_up(space)
        }
        Progress::Folded { applied, caught_up: false } => backlog.moved(space, applied),
        // It keeps its place, in front of those that were moved on.
        Progress::NoRoom => Vec::new(),
        Progress::Damaged(damage) => stand_aside(backlog, space, &damage),
    }
}

fn stand_aside(
    backlog: &mut Backlog<Acker>,
    space: &SpaceId,
    error: &(dyn std::error::Error + 'static),
) -> Vec<Acker> {
    metrics::counter!("tidelog_projector_failures_total").increment(1);
    let (settled, pause) = backlog.put_aside(space, Instant::now());
    tracing::error!(%space, error, pause_seconds = pause.as_secs(),
        "a space cannot be folded; its read model stays as it is until the next try");
    settled
}

async fn acknowledge_all(messages: Vec<Acker>) {
    for message in messages {
        acknowledge(&message).await;
    }
}
