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
mod request_id;
mod requests;
mod revocations;
mod router;
mod schema;
mod server;
mod settings;
mod state;
mod token;
mod work;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tidelog_archive::Archive;
use tidelog_events::code::Refusal;
use tidelog_events::schema::Schema;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::{LimitsConfig, RetentionConfig};
use tidelog_runtime::database;
use tidelog_runtime::metrics::Metric;
use tidelog_runtime::readiness::{Check, Readiness};
use tidelog_runtime::shutdown::Drain;
use tidelog_store::tables;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

pub use config::{AdminConfig, AuthConfig, GatewayConfig, LiveConfig};
pub use cors::CorsConfig;
pub use rates::RatesConfig;
pub use router::{admin_openapi, openapi};
pub use server::{ServerConfig, TlsError};
pub use settings::check;
pub use token::{Verifier, VerifierError};

use crate::server::{Server, Stop};

const CHECK_INTERVAL: Duration = Duration::from_secs(1);

const OWN_METRICS: &[Metric] =
    &[Metric::counter("tidelog_gateway_refusals_total", "Requests that were refused, by code")
        .by(&[("code", Refusal::TEXTS)])];

/// The metrics of this service.
pub fn metrics() -> impl Iterator<Item = Metric> {
    [
        OWN_METRICS,
        requests::METRICS,
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

/// Serves until `shutdown`; then for a while still, so that nobody is sent here in vain, and then finishes what is under way.
///
/// # Errors
/// TLS is configured and cannot be had.
pub async fn run(listeners: Listeners, deps: Deps, shutdown: CancellationToken) -> anyhow::Result<()> {
    let stop = Stop { leaving: shutdown.clone(), closing: CancellationToken::new() };
    let server = Server::new(deps.server.clone(), stop.clone())?;
    let (delay, drain) =
        (deps.config.drain_delay(), Drain::new(Duration::from_secs(deps.config.drain_seconds)));
    // What answers draw on goes on until the last of them is given.
    let stopped = CancellationToken::new();
    tokio::spawn(database::measure(deps.pool.clone(), stopped.clone()));
    let look = tables::look(&deps.pool);
    tokio::spawn(database::watch(deps.readiness.check("database"), stopped.clone(), look));
    tokio::spawn(check_broker(deps.readiness.check("broker"), deps.broker.clone(), stopped.clone()));
    let cors = deps.cors.clone();
    let state = assemble::assemble(deps, &stopped, &stop).await;
    let live = state.live.clone();
    let Listeners { public, admin } = listeners;
    let everyone = router::public(state.clone(), admin.is_none(), &cors);
    drain.spawn(server.clone().serve_public(public, everyone));
    if let Some(admin) = admin {
        drain.spawn(server.clone().serve_inside(admin, router::admin(state)));
    }
    shutdown.cancelled().await;
    tracing::info!(
        drain_delay_ms = delay.as_millis() as u64,
        "not ready any more; callers are asked to leave"
    );
    sleep(delay).await;
    tracing::info!(connections = server.open(), "closing");
    stop.closing.cancel();
    drain.spawn(async move { live.ended().await });
    drain.finish().await;
    tracing::info!(cut_off = server.open(), "stopped");
    stopped.cancel();
    Ok(())
}

/// Looks once a second whether the broker is there.
async fn check_broker(connection: Check, broker: Broker, stopped: CancellationToken) {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
        connection.set(broker.is_connected(), "the broker is not connected");
    }
}
