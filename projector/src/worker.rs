//! The loop at the heart of the projector: gathers the spaces that there is news of, folds them together, and settles
//! each. A database that is away is waited for; a round that it refuses is taken apart space by space.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tidelog_events::id::SpaceId;
use tidelog_events::schema::Schema;
use tidelog_runtime::database::{DatabaseFault, classify};
use tidelog_runtime::failpoint::{Failpoint, reach};
use tidelog_runtime::readiness::Check;
use tidelog_runtime::telemetry;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::backlog::Backlog;
use crate::intake::{Folded, LogMessage, News};
use crate::project::{Progress, Projector};
use crate::transaction::FoldError;

const OUTAGE_PAUSE_MIN: Duration = Duration::from_millis(50);
const OUTAGE_PAUSE_MAX: Duration = Duration::from_secs(2);
/// A round that fails so often while the database answers otherwise is taken apart.
const FAILURES_MAX: u32 = 2;

/// The more spaces a round has, the more load there is, and the more there is to gain from a larger next round.
const LINGER_PER_SPACE: Duration = Duration::from_millis(1);

/// When a transaction began, and what it made of each space.
type Decided = (SystemTime, BTreeMap<SpaceId, Progress>);

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
    /// Works until `shutdown`, and then on what there is news of, until nobody can bring any more or the database does not
    /// answer. What is not settled then is given back by being dropped.
    pub(crate) async fn run(mut self, mut news: mpsc::Receiver<News>) {
        let mut backlog = Backlog::new();
        while self.gather(&mut backlog, &mut news).await {
            let started = Instant::now();
            let round = backlog.next_round(self.spaces_max, started);
            let linger = self.linger.min(LINGER_PER_SPACE * round.len() as u32);
            if !round.is_empty() && !self.fold(&mut backlog, round).await {
                break;
            }
            // Under load more events of the same entities come in a moment: each is then written once for all of them.
            if backlog.next_due(Instant::now()).is_none() {
                self.shutdown.run_until_cancelled(sleep_until(started + linger)).await;
            }
        }
        drop(backlog);
        while news.recv().await.is_some() {}
    }

    /// Waits for something to do, then takes all the news there is. False at the end.
    async fn gather(&self, backlog: &mut Backlog<LogMessage>, news: &mut mpsc::Receiver<News>) -> bool {
        let due = backlog.next_due(Instant::now());
        let mut fresh = Vec::new();
        tokio::select! {
            biased;
            _ = news.recv_many(&mut fresh, crate::QUEUE) => if fresh.is_empty() { return false },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
        while let Ok(more) = news.try_recv() {
            fresh.push(more);
        }
        let now = Instant::now();
        for News { space, last, message } in fresh {
            if let Some(settled) = backlog.add(space, last, message, now) {
                settled.settle(None).await;
            }
        }
        true
    }

    /// Folds a round and settles its spaces. A round that the database refuses is folded space by space, so that it
    /// is one space that stands aside, and not all. False: the service stops, and the database decides nothing.
    async fn fold(&mut self, backlog: &mut Backlog<LogMessage>, round: Vec<SpaceId>) -> bool {
        match self.until_decided(&round).await {
            None => return false,
            Some(Ok((begun, progress))) => {
                let folded = Folded { begun, committed: telemetry::now(), spaces: round.len() };
                reach(Failpoint::ProjectorAfterCommit);
                for (space, progress) in progress {
                    let is_damaged = matches!(progress, Progress::Damaged(_));
                    let settled = settle(backlog, &space, progress);
                    settle_all(settled, (!is_damaged).then_some(folded)).await;
                }
            }
            Some(Err(error)) => {
                if let [alone] = round.as_slice() {
                    settle_all(stand_aside(backlog, alone, &error), None).await;
                    return true;
                }
                tracing::warn!(%error, spaces = round.len(), "the database refuses a round; taking it apart");
                for space in round {
                    if !Box::pin(self.fold(backlog, vec![space])).await {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Tries until the database has decided, and says when that try began; `None` on shutdown.
    async fn until_decided(&mut self, round: &[SpaceId]) -> Option<Result<Decided, FoldError>> {
        let mut pause = OUTAGE_PAUSE_MIN;
        let mut failures = 0;
        loop {
            let schema = self.schema.borrow().clone();
            let (begun, started) = (telemetry::now(), Instant::now());
            let error = match self.projector.project(round, &schema).await {
                Ok(progress) => {
                    self.database.pass();
                    metrics::histogram!("tidelog_projector_transaction_seconds")
                        .record(started.elapsed().as_secs_f64());
                    metrics::histogram!("tidelog_projector_transaction_spaces").record(round.len() as f64);
                    return Some(Ok((begun, progress)));
                }
                Err(error) => error,
            };
            match fault(&error) {
                DatabaseFault::Poison => return Some(Err(error)),
                DatabaseFault::Conflict => {
                    tracing::debug!(%error, "a conflict; trying again");
                    // Also when stopping: the next try will do.
                    sleep(pause).await;
                    continue;
                }
                DatabaseFault::Outage | DatabaseFault::Defect => {
                    failures += u32::from(self.is_reachable().await);
                    if failures > FAILURES_MAX {
                        return Some(Err(error));
                    }
                    self.database.fail(error.to_string());
                    tracing::debug!(%error, "the database takes nothing; trying again");
                }
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(OUTAGE_PAUSE_MAX),
                () = self.shutdown.cancelled() => return None,
            }
        }
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
fn settle(backlog: &mut Backlog<LogMessage>, space: &SpaceId, progress: Progress) -> Vec<LogMessage> {
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
    backlog: &mut Backlog<LogMessage>,
    space: &SpaceId,
    error: &(dyn std::error::Error + 'static),
) -> Vec<LogMessage> {
    metrics::counter!("tidelog_projector_failures_total").increment(1);
    let (settled, pause) = backlog.put_aside(space, Instant::now());
    tracing::error!(%space, error, pause_seconds = pause.as_secs(),
        "a space cannot be folded; its read model stays as it is until the next try");
    settled
}

async fn settle_all(messages: Vec<LogMessage>, folded: Option<Folded>) {
    for message in messages {
        message.settle(folded).await;
    }
}
