//! Ingest: takes batches from the broker, puts them into the gapless log of their spaces, and tells who waits.
//! Any number of replicas share one consumer; the row locks of PostgreSQL, not the broker, give order.

mod announce;
mod batch;
mod command;
mod commit;
mod config;
mod decide;
mod gaps;
mod incarnation;
mod incoming;
mod intake;
mod news;
mod persistence;
mod poison;
mod readers;
mod release;
mod room;
mod trim;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tidelog_events::frame::Encoder;
use tidelog_events::schema::Schema;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::database::DatabaseConfig;
use tidelog_runtime::metrics::{Metric, MetricKind};
use tidelog_runtime::readiness::Readiness;
use tidelog_runtime::shutdown::{Drain, feed_worker};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use config::IngestConfig;

use crate::announce::Announcer;
use crate::command::Commands;
use crate::commit::Committer;
use crate::gaps::Gaps;
use crate::persistence::Persistence;
use crate::room::Room;
use crate::worker::Worker;

/// The metrics of this service.
pub const METRICS: &[Metric] = &[
    ("tidelog_ingest_batches_total", MetricKind::Counter, "Batches settled, by outcome"),
    ("tidelog_ingest_commands_total", MetricKind::Counter, "Commands carried out, by outcome"),
    (
        "tidelog_ingest_divergences_total",
        MetricKind::Counter,
        "Devices whose state was found to differ from the read model",
    ),
    ("tidelog_ingest_events_total", MetricKind::Counter, "Events appended to the log"),
    ("tidelog_ingest_transaction_seconds", MetricKind::Histogram, "Time of a transaction"),
    ("tidelog_ingest_transaction_batches", MetricKind::Histogram, "Batches of a transaction"),
    ("tidelog_ingest_delayed_batches", MetricKind::Gauge, "Batches that wait for their predecessors"),
    ("tidelog_ingest_poison_total", MetricKind::Counter, "What the log could not take as a whole, by kind"),
    ("tidelog_ingest_log_dropped_total", MetricKind::Counter, "Segments that were not announced in LOG"),
    ("tidelog_ingest_push_fill_ratio", MetricKind::Gauge, "How full PUSH is, from 0 to 1"),
    ("tidelog_ingest_push_trimmed_total", MetricKind::Counter, "Committed batches that left PUSH early"),
];

const PAUSE_AT_START: Duration = Duration::from_millis(500);

/// What ingest works with.
pub struct Deps {
    /// The log's database.
    pub pool: PgPool,
    /// The broker.
    pub broker: Broker,
    /// The schema in force.
    pub schema: watch::Receiver<Arc<Schema>>,
    /// The section `[ingest]`.
    pub config: IngestConfig,
    /// The section `[database]`.
    pub database: DatabaseConfig,
    /// What time it is.
    pub clock: Clock,
    /// Fed by the service.
    pub readiness: Readiness,
}

/// Runs until `shutdown`, then finishes the transaction in hand.
///
/// # Errors
/// When there is no memory for a compression context, or the worker has a defect and ended.
pub async fn run(deps: Deps, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Deps { pool, broker, schema, config, database: limits, clock, readiness } = deps;
    let synchronous_failover = limits.synchronous_failover;
    let (database, intake) = (readiness.check("database"), readiness.check("broker"));
    while let Err(error) = incarnation::check(&pool, synchronous_failover).await {
        database.fail(error.to_string());
        tracing::warn!(%error, "waiting for the database");
        tokio::select! {
            () = sleep(PAUSE_AT_START) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
    }
    database.pass();

    let drain = Drain::new(Duration::from_secs(config.drain_seconds));
    let (log, log_queue) = mpsc::channel(config.announce_queue);
    let (messages, queue) = mpsc::channel(2 * config.transaction_batches);
    let delayed_max = config.delayed_batches_max(broker.config().max_ack_pending);
    let (commands, commands_queue) = mpsc::channel(command::QUEUE);
    let commanded = Commands {
        pool: pool.clone(),
        broker: broker.clone(),
        schema: schema.clone(),
        deadline: limits.statement_deadline(),
        synchronous_failover,
        shutdown: shutdown.clone(),
    };
    let persistence = Persistence {
        pool: pool.clone(),
        committer: Committer::new(pool.clone(), limits.statement_deadline(), clock.clone())?,
        database,
        synchronous_failover,
        shutdown: shutdown.clone(),
    };
    let worker = Worker {
        persistence,
        announcer: Announcer::new(broker.clone(), Encoder::new()?, log),
        gaps: Gaps::new(config.gap_wait(), delayed_max, config.delayed_bytes_max(), clock.clone()),
        config: config.clone(),
        shutdown: shutdown.clone(),
        commands,
        locked: Vec::new(),
    };
    drain.spawn(announce::publish_log(broker.clone(), log_queue));
    let worker = drain.spawn(worker.run(queue));
    drain.spawn(commanded.run(commands_queue));
    drain.spawn(trim::run(broker.clone(), config.trim_interval_ms, shutdown.clone()));
    drain.spawn(readers::run(broker.clone(), pool.clone(), clock, shutdown.clone()));
    let every = Duration::from_secs(config.release_interval_seconds);
    drain.spawn(release::run(pool, schema, every, broker.clone(), shutdown.clone()));
    let room = Room::new(config.in_hand_bytes);
    let connection = broker.clone();
    let feeding = Box::pin(intake::run(broker, config, room, messages, intake, shutdown.clone()));
    let ended = feed_worker(feeding, worker, &drain, &shutdown).await;
    // The last receipts and acknowledgements must leave before the process does.
    connection.flush().await;
    Ok(ended?)
}
