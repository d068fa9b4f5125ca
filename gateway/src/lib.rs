//! The gateway: REST in front of the log. It authenticates, checks limits, judges each event once, hands batches
//! to the broker and answers when they are committed; it serves pulls from PostgreSQL, which it only reads.

mod auth;
mod codecs;
mod config;
mod devices;
mod entities;
mod problem;
mod pull;
mod push;
mod router;
mod schema;
mod state;
mod token;
mod work;

use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use sqlx::PgPool;
use tidelog_archive::{Archive, History};
use tidelog_events::schema::Schema;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::LimitsConfig;
use tidelog_runtime::metrics::{Metric, MetricKind};
use tidelog_runtime::readiness::Readiness;
use tidelog_runtime::shutdown::Drain;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use config::{AuthConfig, GatewayConfig};
pub use router::openapi;
pub use token::{Verifier, WeakSecret};

use crate::codecs::Codecs;
use crate::schema::CurrentSchema;
use crate::state::AppState;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);

const OWN_METRICS: &[Metric] =
    &[("tidelog_gateway_refusals_total", MetricKind::Counter, "Requests that were refused, by code")];

/// The metrics of this service.
pub fn metrics() -> impl Iterator<Item = Metric> {
    [OWN_METRICS, push::METRICS, pull::METRICS, entities::METRICS].concat().into_iter()
}

/// What the gateway works with.
pub struct Deps {
    /// The log's database; only read.
    pub pool: PgPool,
    /// Where pruned events are; only read.
    pub archive: Archive,
    /// The broker.
    pub broker: Broker,
    /// The schema in force.
    pub schema: watch::Receiver<Arc<Schema>>,
    /// The section `[limits]`.
    pub limits: LimitsConfig,
    /// The section `[gateway]`.
    pub config: GatewayConfig,
    /// Verifies tokens.
    pub verifier: Verifier,
    /// What time it is.
    pub clock: Clock,
    /// Fed by the service.
    pub readiness: Readiness,
}

/// Serves until `shutdown`, then finishes what is under way.
///
/// # Errors
/// When the listener fails.
pub async fn run(listener: TcpListener, deps: Deps, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Deps { pool, archive, broker, schema, limits, config, verifier, clock, readiness } = deps;
    let drain = Drain::new(Duration::from_secs(config.drain_seconds));
    // Receipts are listened for until the last push is answered.
    let stopped = CancellationToken::new();
    let pushes = push::Pushes::new(&broker, config.in_flight_bytes);
    pushes.listen(&broker, stopped.clone()).await;
    tokio::spawn(check(readiness, pool.clone(), broker.clone(), stopped.clone()));
    let state = AppState {
        waiting: pull::Waiting::new(broker.clone(), pool.clone(), config.waiting_pulls, shutdown.clone()),
        waiting_reads: entities::WaitingReads::new(pool.clone(), &config, shutdown.clone()),
        archive: devices::ArchiveReads::new(History::new(pool.clone(), archive), config.archive_reads),
        pool,
        broker,
        verifier,
        clock,
        schema: CurrentSchema(schema),
        limits: Arc::new(limits),
        config: Arc::new(config),
        codecs: Codecs::default(),
        pushes,
    };
    let listener = listener.tap_io(|socket| {
        // Answers are written whole; waiting for more to send would only delay them.
        let _ = socket.set_nodelay(true);
    });
    let serving = axum::serve(listener, router::router(state))
        .with_graceful_shutdown(shutdown.clone().cancelled_owned())
        .into_future();
    let served = drain.spawn(serving);
    shutdown.cancelled().await;
    drain.finish().await;
    stopped.cancel();
    if served.is_finished() { Ok(served.await??) } else { Ok(()) }
}

/// Looks once a second whether database and broker are there.
async fn check(readiness: Readiness, pool: PgPool, broker: Broker, stopped: CancellationToken) {
    let (database, connection) = (readiness.check("database"), readiness.check("broker"));
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
        connection.set(broker.is_connected(), "the broker is not connected");
        match sqlx::query("SELECT 1").execute(&pool).await {
            Ok(_) => database.pass(),
            Err(error) => database.fail(error.to_string()),
        }
    }
}
