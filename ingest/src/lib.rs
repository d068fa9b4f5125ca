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
mod round;
mod standing;
mod trim;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tidelog_events::code::Fault;
use tidelog_events::frame::Encoder;
use tidelog_events::schema::Schema;
use tidelog_runtime::broker::{Broker, Feed, FeedFrom, PullMeasure};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::database::{self, DatabaseConfig};
use tidelog_runtime::metrics::Metric;
use tidelog_runtime::readiness::Readiness;
use tidelog_runtime::shutdown::{Drain, with_worker};
use tidelog_store::tables;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use config::{IngestConfig, check};

use crate::announce::Announcer;
use crate::command::Commands;
use crate::commit::Committer;
use crate::gaps::Gaps;
use crate::intake::Intake;
use crate::persistence::Persistence;
use crate::room::Room;
use crate::worker::Worker;

/// The metrics of this service.
pub const METRICS: &[Metric] = &[
    Metric::counter("tidelog_ingest_batches_total", "Batches settled, by outcome").by(&[("outcome", &["appended", "nothing-new", "sequence-gap", "device-forked", "space-erased"])]),
    Metric::counter("tidelog_ingest_commands_total", "Commands carried out, by outcome").by(&[("outcome", &["done", "not-found", "event-not-releasable", "space-erased", "internal"])]),
    Metric::counter("tidelog_ingest_divergences_total", "Devices whose state was found to differ from the read model"),
    Metric::counter("tidelog_ingest_events_total", "Events appended to the log"),
    Metric::histogram("tidelog_ingest_transaction_seconds", "Time of a transaction"),
    Metric::histogram("tidelog_ingest_transaction_batches", "Batches of a transaction"),
    Metric::level("tidelog_ingest_delayed_batches", "Batches that wait for their predecessors"),
    Metric::counter("tidelog_ingest_poison_total", "What the log could not take as a whole, by kind").by(&[("kind", &["batch", "message"])]),
    Metric::histogram(
        "tidelog_ingest_stage_seconds",
        "Time of a stage: queued from a batch's publication to the transaction that settles it, commit that transaction, \
         announced from the commit to LOG's acknowledgement",
    )
    .by(&[("stage", &["queued", "commit", "announced"])]),
    Metric::counter("tidelog_ingest_quarantined_events_total", "Events that went to quarantine, by code")
        .by(&[("code", Fault::TEXTS)]),
    Metric::gauge(
        "tidelog_ingest_quarantine_events",
        "Events in quarantine that nobody has dismissed, among the latest 10,000 there",
    ),
    Metric::gauge(
        "tidelog_ingest_oldest_pending_seconds",
        "Age of the oldest batch in PUSH that is not settled; 0 without one",
    ),
    Metric::counter("tidelog_ingest_log_dropped_total", "Segments that were not announced in LOG"),
    Metric::gauge("tidelog_ingest_push_fill_ratio", "How full PUSH is, from 0 to 1"),
    Metric::counter("tidelog_ingest_push_trimmed_total", "Committed batches that left PUSH early"),
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
    if !database::until_ready(&database, &shutdown, tables::look(&pool)).await {
        return Ok(());
    }
    // With new epochs to give it takes as long as there are spaces: it is not cut off as a look is.
    while let Err(error) = incarnation::check(&pool, synchronous_failover).await {
        database.fail(error.to_string());
        if shutdown.run_until_cancelled(sleep(PAUSE_AT_START)).await.is_none() {
            return Ok(());
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
        clock: clock.clone(),
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
    let (returns, giving_back) = broker.give_back();
    drain.spawn(announce::publish_log(broker.clone(), log_queue));
    let worker = drain.spawn(worker.run(queue));
    drain.spawn(commanded.run(commands_queue));
    drain.spawn(trim::run(broker.clone(), config.trim_interval_ms, shutdown.clone()));
    drain.spawn(readers::run(broker.clone(), pool.clone(), clock.clone(), shutdown.clone()));
    drain.spawn(standing::run(broker.clone(), pool.clone(), clock, shutdown.clone()));
    drain.spawn(database::measure(pool.clone(), shutdown.clone()));
    let every = Duration::from_secs(config.release_interval_seconds);
    drain.spawn(release::run(pool, schema, every, broker.clone(), shutdown.clone()));
    let room = Room::new(config.in_hand_bytes);
    let connection = broker.clone();
    let stop = shutdown.clone();
    let measure = PullMeasure { messages: config.transaction_batches, bytes: config.in_hand_bytes };
    let from = FeedFrom::Ingest;
    let feed = Feed { broker, from, measure, returns, ready: intake, shutdown: stop };
    drain.spawn(Box::pin(feed.run(Intake { room, batches: messages })));
    let ended = with_worker(worker, &drain, &shutdown).await;
    giving_back.finish(&connection).await;
    Ok(ended?)
}
