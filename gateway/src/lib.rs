//! The gateway: REST in front of the log. It authenticates, checks limits, judges each event once, hands batches
//! to the broker and answers when they are committed; it serves pulls from PostgreSQL, which it only reads, but for the audit.

mod admin;
mod assemble;
mod auth;
mod budget;
mod client_version;
mod codecs;
mod command;
mod config;
mod cors;
mod description;
mod device_facts;
mod devices;
mod docs;
mod entities;
mod gate;
mod json_body;
mod live;
mod news;
mod own_devices;
mod problem;
mod pull;
mod push;
mod rates;
mod revocations;
mod router;
mod schema;
mod server;
mod state;
mod token;
mod work;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tidelog_archive::Archive;
use tidelog_events::schema::Schema;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::{LimitsConfig, RetentionConfig};
use tidelog_runtime::metrics::{Metric, MetricKind};
use tidelog_runtime::readiness::Readiness;
use tidelog_runtime::shutdown::Drain;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use config::{AdminConfig, AuthConfig, GatewayConfig, LiveConfig};
pub use cors::CorsConfig;
pub use rates::RatesConfig;
pub use router::{admin_openapi, openapi};
pub use server::{ServerConfig, TlsError};
pub use token::{Verifier, VerifierError};

use crate::server::Server;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);

const OWN_METRICS: &[Metric] =
    &[("tidelog_gateway_refusals_total", MetricKind::Counter, "Requests that were refused, by code")];

/// The metrics of this service.
pub fn metrics() -> impl Iterator<Item = Metric> {
    [
        OWN_METRICS,
        server::METRICS,
        push::METRICS,
        pull::METRICS,
        entities::METRICS,
        live::METRICS,
        news::METRICS,
        token::METRICS,
        admin::METRICS,
        device_facts::METRICS,
    ]
    .concat()
    .into_iter()
}

/// What the gateway works with.
pub struct Deps {
    /// The log's database; only read, but for the audit.
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
    /// The section `[live]`.
    pub live: LiveConfig,
    /// The section `[admin]`.
    pub admin: AdminConfig,
    /// The section `[retention]`.
    pub retention: RetentionConfig,
    /// The section `[server]`.
    pub server: ServerConfig,
    /// The section `[rates]`.
    pub rates: RatesConfig,
    /// The section `[cors]`.
    pub cors: CorsConfig,
    /// Verifies tokens.
    pub verifier: Verifier,
    /// What time it is.
    pub clock: Clock,
    /// Fed by the service.
    pub readiness: Readiness,
}

/// Where callers come in.
pub struct Listeners {
    /// The public API.
    pub public: TcpListener,
    /// The admin API; without it that is served on the public one, too.
    pub admin: Option<TcpListener>,
}

/// Serves until `shutdown`, then finishes what is under way.
///
/// # Errors
/// TLS is configured and cannot be had.
pub async fn run(listeners: Listeners, deps: Deps, shutdown: CancellationToken) -> anyhow::Result<()> {
    let server = Server::new(deps.server.clone(), shutdown.clone())?;
    let drain = Drain::new(Duration::from_secs(deps.config.drain_seconds));
    // What answers draw on goes on until the last of them is given.
    let stopped = CancellationToken::new();
    tokio::spawn(check(deps.readiness.clone(), deps.pool.clone(), deps.broker.clone(), stopped.clone()));
    let cors = deps.cors.clone();
    let state = assemble::assemble(deps, &stopped, &shutdown).await;
    let live = state.live.clone();
    let Listeners { public, admin } = listeners;
    let everyone = router::public(state.clone(), admin.is_none(), &cors);
    drain.spawn(server.clone().serve_public(public, everyone));
    if let Some(admin) = admin {
        drain.spawn(server.serve_inside(admin, router::admin(state)));
    }
    shutdown.cancelled().await;
    drain.spawn(async move { live.ended().await });
    drain.finish().await;
    stopped.cancel();
    Ok(())
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
