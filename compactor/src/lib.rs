//! The compactor: keeps a space's history from growing for ever. It merges old segments, and what is past the retention
//! it folds into a snapshot, proves, archives and prunes. Any number of replicas; a row lock says who is at a space.

mod archive;
mod base;
mod config;
mod difference;
mod error;
mod folded;
mod log;
mod look;
mod merge;
mod plan;
mod prune;
mod runs;
mod snapshot;
mod space;
mod sweep;
mod verify;
mod work;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tidelog_archive::Archive;
use tidelog_events::schema::Schema;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::database;
use tidelog_runtime::metrics::Metric;
use tidelog_runtime::readiness::Readiness;
use tidelog_runtime::shutdown::{Drain, with_worker};
use tidelog_store::tables;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use base::DamagedSnapshot;
pub use config::{CompactorConfig, RetentionConfig, check};
pub use difference::{Deciding, Difference};
pub use error::CompactError;
pub use plan::{Decision, Plan, WhyNot};
pub use runs::RunError;
pub use space::{Outcome, Pruned, Pruning};
pub use sweep::{Compactor, Swept};
pub use verify::Verdict;

use crate::space::Tools;

/// The metrics of this service.
pub const METRICS: &[Metric] = &[
    Metric::counter("tidelog_compactor_folded_events_total", "Events folded, to write and to verify"),
    Metric::counter("tidelog_compactor_merged_segments_total", "Segments merged into others"),
    Metric::counter("tidelog_compactor_pruned_events_total", "Events pruned from the log"),
    Metric::counter("tidelog_compactor_archived_bytes_total", "Bytes written to the archive"),
    Metric::counter("tidelog_compactor_refusals_total", "Spaces not pruned, by reason")
        .by(&[("reason", &["different", "not-comparable", "skipped", "too-large"])]),
    Metric::counter("tidelog_compactor_failures_total", "Times that a space could not be compacted"),
    Metric::gauge(
        "tidelog_compactor_last_sweep_seconds",
        "Unix time at which the last whole sweep over all spaces ended",
    ),
    Metric::gauge(
        "tidelog_compactor_overdue_spaces",
        "Spaces that the last whole sweep could not prune although they were due: refused, failed, or waiting for the projector",
    ),
    Metric::histogram("tidelog_compactor_sweep_seconds", "Time of a sweep over all spaces"),
];

/// What the compactor works with.
pub struct Deps {
    /// The database.
    pub pool: PgPool,
    /// The archive store.
    pub archive: Archive,
    /// The schema in force.
    pub schema: watch::Receiver<Arc<Schema>>,
    /// What time it is, and how long a day of retention.
    pub clock: Clock,
    /// The section `[compactor]`.
    pub config: CompactorConfig,
    /// The section `[retention]`.
    pub retention: RetentionConfig,
    /// Fed by the service.
    pub readiness: Readiness,
}

impl Deps {
    /// A compactor for single runs.
    pub fn compactor(self) -> Compactor {
        let tools = Tools::new(self.pool, self.archive, self.clock, self.config, &self.retention);
        Compactor::new(tools, self.schema)
    }
}

/// After a sweep that failed the next one comes after so long, and twice as long each time.
const RETRY_MIN: Duration = Duration::from_secs(1);

/// Sweeps every so often until `shutdown`, then finishes the space in hand. One that takes longer is left as it is.
///
/// # Errors
/// When the loop has a defect and ended.
pub async fn run(deps: Deps, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (database, look) = (deps.readiness.check("database"), tables::look(&deps.pool));
    if !database::until_ready(&database, &shutdown, &look).await {
        return Ok(());
    }
    // Sweeps come seldom and may take long: they do not tell whether the database is there.
    let watching = AbortOnDropHandle::new(tokio::spawn(database::watch(database, shutdown.clone(), look)));
    let measuring =
        AbortOnDropHandle::new(tokio::spawn(database::measure(deps.pool.clone(), shutdown.clone())));
    let drain = Drain::new(Duration::from_secs(deps.config.drain_seconds));
    let sweeping = drain.spawn(sweep(deps, shutdown.clone()));
    let ended = with_worker(sweeping, &drain, &shutdown).await;
    drop((watching, measuring));
    tracing::info!("stopped");
    Ok(ended?)
}

/// Never above the interval, so that no number of failures makes it too long for a clock.
fn next_retry(retry: Duration, interval: Duration) -> Duration {
    retry.saturating_mul(2).min(interval)
}

async fn sweep(deps: Deps, shutdown: CancellationToken) {
    let interval = deps.config.interval();
    let compactor = deps.compactor();
    let mut retry = RETRY_MIN;
    while !shutdown.is_cancelled() {
        let started = Instant::now();
        let pause = match compactor.sweep(&shutdown, |_, _| {}).await {
            Ok(swept) => {
                if swept != Swept::default() {
                    tracing::info!(?swept, "swept all spaces");
                }
                retry = RETRY_MIN;
                interval
            }
            Err(error) => {
                tracing::warn!(%error, "the spaces could not be swept; they will be again");
                let pause = retry.min(interval);
                retry = next_retry(retry, interval);
                pause
            }
        };
        metrics::histogram!("tidelog_compactor_sweep_seconds").record(started.elapsed().as_secs_f64());
        shutdown.run_until_cancelled(sleep(pause)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_become_seldom_but_not_more_so_than_sweeps() {
        let interval = Duration::from_mins(1);
        let mut retry = RETRY_MIN;
        let pauses = std::iter::repeat_with(|| {
            retry = next_retry(retry, interval);
            retry.as_secs()
        });
        let pauses: Vec<u64> = pauses.take(100).collect();
        assert_eq!(pauses[..6], [2, 4, 8, 16, 32, 60]);
        assert!(pauses[6..].iter().all(|pause| *pause == 60), "{pauses:?}");
        assert_eq!(next_retry(RETRY_MIN, Duration::MAX), 2 * RETRY_MIN);
        assert_eq!(next_retry(Duration::MAX, Duration::MAX), Duration::MAX);
    }
}
