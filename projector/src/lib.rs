//! The projector: folds the log of each space into entities. It is told of news by LOG and finds what it was not told
//! of by sweeping; what it folds it reads from the log itself. Any number of replicas share one consumer; the row locks
//! of PostgreSQL, not the broker, give order.

mod apply;
mod aside;
mod backlog;
mod base;
mod claim;
mod config;
mod fill;
mod generation;
mod intake;
mod outdated;
mod project;
mod rebuild;
mod sweep;
mod transaction;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tidelog_events::schema::Schema;
use tidelog_runtime::broker::{Broker, Feed, FeedFrom};
use tidelog_runtime::database;
use tidelog_runtime::metrics::Metric;
use tidelog_runtime::readiness::Readiness;
use tidelog_runtime::shutdown::{Drain, with_worker};
use tidelog_store::tables;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use base::{DamagedPart, DamagedSnapshot};
pub use config::{Measure, ProjectorConfig, check};
pub use rebuild::{Rebuilder, Rebuilt};
pub use transaction::{Damage, FoldError};

use crate::aside::Aside;
use crate::intake::Intake;
use crate::outdated::Outdated;
use crate::project::Projector;
use crate::worker::Worker;

/// The metrics of this service.
pub const METRICS: &[Metric] = &[
    Metric::counter("tidelog_projector_events_total", "Events folded into entities"),
    Metric::counter("tidelog_projector_skipped_events_total", "Events that the fold skipped"),
    Metric::histogram("tidelog_projector_transaction_seconds", "Time of a transaction"),
    Metric::histogram("tidelog_projector_transaction_spaces", "Spaces of a transaction"),
    Metric::histogram(
        "tidelog_projector_lag_seconds",
        "From an event's arrival at a gateway until it is folded: of each transaction, the oldest event",
    ),
    Metric::gauge("tidelog_projector_behind_spaces", "Spaces that a sweep found behind their log"),
    Metric::gauge("tidelog_projector_behind_events", "Events by which these are behind, together"),
    Metric::counter("tidelog_projector_failures_total", "Times that a space could not be folded"),
    Metric::counter("tidelog_projector_rebuilds_total", "Rebuilds that were finished"),
];

/// News on their way to the worker.
const QUEUE: usize = 1024;

/// What the projector works with.
pub struct Deps {
    /// The database.
    pub pool: PgPool,
    /// The broker.
    pub broker: Broker,
    /// The schema in force.
    pub schema: watch::Receiver<Arc<Schema>>,
    /// The section `[projector]`.
    pub config: ProjectorConfig,
    /// A transaction that takes longer counts as failed.
    pub deadline: Duration,
    /// Fed by the service.
    pub readiness: Readiness,
}

/// Runs until `shutdown`, then finishes the transaction in hand.
///
/// # Errors
/// When there is no memory for a compression context, or the worker has a defect and ended.
pub async fn run(deps: Deps, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Deps { pool, broker, schema, config, deadline, readiness } = deps;
    let (database, intake) = (readiness.check("database"), readiness.check("broker"));
    if !database::until_ready(&database, &shutdown, tables::look(&pool)).await {
        return Ok(());
    }
    let drain = Drain::new(Duration::from_secs(config.drain_seconds));
    let (news, queue) = mpsc::channel(QUEUE);
    let worker = Worker {
        projector: Projector::new(pool.clone(), config.measure(), deadline)?,
        schema: schema.clone(),
        spaces_max: config.transaction_spaces.max(1),
        linger: config.linger(),
        database,
        shutdown: shutdown.clone(),
    };
    let worker = drain.spawn(worker.run(queue));
    let rebuilder = Rebuilder::new(pool.clone(), config.measure(), deadline)?;
    let outdated = Outdated { rebuilder, schema, aside: Aside::default() };
    drain.spawn(outdated.run(config.sweep_interval(), shutdown.clone()));
    drain.spawn(database::measure(pool.clone(), shutdown.clone()));
    drain.spawn(broker.clone().watch_log(shutdown.clone()));
    drain.spawn(sweep::run(pool, config.sweep_interval(), news.clone(), shutdown.clone()));
    let (connection, stop) = (broker.clone(), shutdown.clone());
    let (returns, giving_back) = broker.give_back();
    let (from, measure) = (FeedFrom::Projector, intake::MEASURE);
    let feed = Feed { broker, from, measure, returns, ready: intake, shutdown: stop };
    drain.spawn(Box::pin(feed.run(Intake(news))));
    let ended = with_worker(worker, &drain, &shutdown).await;
    giving_back.finish(&connection).await;
    Ok(ended?)
}
