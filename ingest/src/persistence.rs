//! Commits a round whatever the database is going through: waits for one that is away, tries again after a
//! conflict, and finds out when the round itself is what fails.

use std::io::ErrorKind;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::PgPool;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::database::{self, DatabaseFault, classify};
use tidelog_runtime::readiness::Check;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::batch::Batch;
use crate::commit::{CommitError, Committer, Disposition};
use crate::incarnation;
use crate::incoming::Incoming;

const OUTAGE_PAUSE_MIN: Duration = Duration::from_millis(50);
const OUTAGE_PAUSE_MAX: Duration = Duration::from_secs(2);
/// A round that fails so often while the database answers otherwise is too much for it, and is halved.
const FAILURES_MAX: u32 = 3;
/// A batch alone that so often ends its connection, while the database answers otherwise, is poison.
const BROKEN_CONNECTIONS_MAX: u32 = 8;

/// The way to the log.
pub(crate) struct Persistence {
    pub(crate) pool: PgPool,
    pub(crate) committer: Committer,
    pub(crate) database: Check,
    pub(crate) clock: Clock,
    pub(crate) synchronous_failover: bool,
    pub(crate) shutdown: CancellationToken,
}

impl Persistence {
    /// Tries until the database has decided; `None` on shutdown.
    pub(crate) async fn commit(
        &mut self,
        round: &[Incoming],
    ) -> Option<Result<Vec<Disposition>, CommitError>> {
        let batches: Vec<&Batch> = round.iter().map(|incoming| &incoming.batch).collect();
        let mut pause = OUTAGE_PAUSE_MIN;
        let mut back_from_outage = false;
        let mut failures = 0;
        loop {
            let (started, taken_at) = (Instant::now(), self.clock.now());
            let error = match self.attempt(&batches, back_from_outage).await {
                Ok(dispositions) => {
                    self.database.pass();
                    count(started.elapsed(), round, &dispositions, taken_at);
                    return Some(Ok(dispositions));
                }
                Err(error) => error,
            };
            let fault = match &error {
                CommitError::Database(error) => classify(error),
                CommitError::Unreadable { .. } | CommitError::Frame(_) => DatabaseFault::Poison,
            };
            match fault {
                DatabaseFault::Poison => return Some(Err(error)),
                DatabaseFault::Conflict => {
                    tracing::debug!(%error, "a conflict; trying again");
                    // Also when stopping: the next try will do.
                    sleep(pause).await;
                    continue;
                }
                DatabaseFault::Outage | DatabaseFault::Defect => {
                    // Only failures of the round itself count: not those of a database that is away.
                    let alone = round.len() == 1;
                    let its_own = !alone || breaks_connection(&error);
                    failures += u32::from(its_own && self.is_reachable().await);
                    if failures > if alone { BROKEN_CONNECTIONS_MAX } else { FAILURES_MAX } {
                        return Some(Err(error));
                    }
                    back_from_outage = true;
                    self.database.fail(error.to_string());
                    tracing::debug!(%error, "the database takes nothing; trying again");
                    join_all(round.iter().map(|incoming| incoming.message().in_progress())).await;
                }
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(OUTAGE_PAUSE_MAX),
                () = self.shutdown.cancelled() => return None,
            }
        }
    }

    async fn is_reachable(&self) -> bool {
        database::within(OUTAGE_PAUSE_MAX, sqlx::query("SELECT 1").execute(&self.pool)).await.is_ok()
    }

    /// One transaction; after an outage the database is first looked at: it may be a restored one.
    async fn attempt(
        &mut self,
        batches: &[&Batch],
        back_from_outage: bool,
    ) -> Result<Vec<Disposition>, CommitError> {
        if back_from_outage {
            incarnation::check(&self.pool, self.synchronous_failover).await?;
        }
        self.committer.commit(batches).await
    }
}

/// Counts a transaction and the way that its batches had to it. Those that it did not settle are counted with the one that
/// does.
fn count(took: Duration, round: &[Incoming], dispositions: &[Disposition], taken_at: UtcTime) {
    let seconds = took.as_secs_f64();
    metrics::histogram!("tidelog_ingest_transaction_seconds").record(seconds);
    metrics::histogram!("tidelog_ingest_transaction_batches").record(round.len() as f64);
    metrics::histogram!("tidelog_ingest_stage_seconds", "stage" => "commit").record(seconds);
    let queued = metrics::histogram!("tidelog_ingest_stage_seconds", "stage" => "queued");
    for (incoming, disposition) in round.iter().zip(dispositions) {
        if let Disposition::Settled { .. } = disposition {
            queued.record(incoming.age(taken_at).as_secs_f64());
        }
    }
}

/// Whether the connection broke in the middle of the transaction, and not for lack of time: the server closed it,
/// or ended its process (SQLSTATE 57P01, 57P02).
fn breaks_connection(error: &CommitError) -> bool {
    match error {
        CommitError::Database(sqlx::Error::Io(io)) => io.kind() != ErrorKind::TimedOut,
        CommitError::Database(sqlx::Error::Database(error)) => {
            matches!(error.code().as_deref(), Some("57P01" | "57P02"))
        }
        _ => false,
    }
}
