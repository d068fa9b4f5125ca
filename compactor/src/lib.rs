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
use tidelog_runtime::metrics::{Metric, MetricKind};
use tidelog_runtime::readiness::Readiness;
use tidelog_runtime::shutdown::Drain;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub use base::DamagedSnapshot;
pub use config::{CompactorConfig, RetentionConfig};
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
    ("tidelog_compactor_folded_events_total", MetricKind::Counter, "Events folded, to write and to verify"),
    ("tidelog_compactor_merged_segments_total", MetricKind::Counter, "Segments merged into others"),
    ("tidelog_compactor_pruned_events_total", MetricKind::Counter, "Events pruned from the log"),
    ("tidelog_compactor_archived_bytes_total", MetricKind::Counter, "Bytes written to the archive"),
    ("tidelog_compactor_refusals_total", MetricKind::Counter, "Spaces not pruned, by reason"),
    ("tidelog_compactor_failures_total", MetricKind::Counter, "Times that a space could not be compacted"),
    ("tidelog_compactor_sweep_seconds", MetricKind::Histogram, "Time of a sweep over all spaces"),
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

/// Sweeps every so often until `shutdown`, then finishes the space in hand, or leaves it as it is when that takes long.
///
/// # Errors
/// When the loop has a defect and ended.
pub async fn run(deps: Deps, shutdown: CancellationToken) -> anyhow::Result<()> {
    let database = deps.readiness.check("database");
    let (interval, drain) = (deps.config.interval(), Duration::from_secs(deps.config.drain_seconds));
    let drain = Drain::new(drain);
    let compactor = deps.compactor();
    let stop = shutdown.clone();
    let sweeping = drain.spawn(async move {
        while !stop.is_cancelled() {
            let started = Instant::now();
            match compactor.sweep(&stop, |_, _| {}).await {
                Ok(swept) => {
                    database.pass();
                    if swept != Swept::default() {
                        tracing::info!(?swept, "swept all spaces");
                    }
                }
                Err(error) => {
                    database.fail(error.to_string());
                    tracing::warn!(%error, "the spaces could not be swept; they will be again");
                }
            }
            metrics::histogram!("tidelog_compactor_sweep_seconds").record(started.elapsed().as_secs_f64());
            stop.run_until_cancelled(sleep(interval)).await;
        }
    });
    tokio::select! {
        ended = sweeping => ended?,
        () = shutdown.cancelled() => {}
    }
    drain.finish().await;
    Ok(())
}
