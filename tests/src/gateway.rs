//! A gateway of a world.

use std::net::SocketAddr;

use tidelog_archive::Archive;
use tidelog_gateway::{AdminConfig, AuthConfig, GatewayConfig, Verifier};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::Config;
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_runtime::schema_watch::SchemaWatch;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::poll::PATIENCE;
use crate::world::{World, connect, connect_broker, section};

/// Where a gateway listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// A gateway that a test stops.
pub struct Gateway {
    /// Where its public API is.
    pub address: SocketAddr,
    /// What it says at `/readyz`.
    pub readiness: Readiness,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Gateway {
    /// Tells it to stop, as SIGTERM does.
    pub fn stop(&self) {
        self.shutdown.cancel();
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end, or with an error.
    pub async fn ended(mut self) {
        let ended = timeout(PATIENCE, &mut self.task).await;
        ended.expect("it ends in time").expect("no panic").expect("no error");
    }
}

impl World {
    /// Starts another gateway, which the test stops.
    pub async fn gateway_to_stop(&self) -> Gateway {
        let shutdown = self.shutdown.child_token();
        let readiness = Readiness::new(TOLERANCE);
        let (addresses, task) =
            spawn(&self.config, self.clock.clone(), readiness.clone(), shutdown.clone()).await;
        Gateway { address: addresses.public, readiness, shutdown, task }
    }
}

/// Starts one with that configuration and clock; it stops with `shutdown`.
pub(crate) async fn start(config: &Config, clock: Clock, shutdown: CancellationToken) -> Addresses {
    spawn(config, clock, Readiness::new(TOLERANCE), shutdown).await.0
}

async fn spawn(
    config: &Config,
    clock: Clock,
    readiness: Readiness,
    shutdown: CancellationToken,
) -> (Addresses, JoinHandle<anyhow::Result<()>>) {
    let bind = async || TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let admin_config: AdminConfig = section(config, "admin");
    let public = bind().await;
    let admin = if admin_config.listen.is_some() { Some(bind().await) } else { None };
    let address = |listener: &TcpListener| listener.local_addr().expect("an address");
    let addresses = Addresses { public: address(&public), admin: address(admin.as_ref().unwrap_or(&public)) };
    let (schema, _watch) =
        SchemaWatch::start(&section(config, "schema"), shutdown.clone()).expect("a schema");
    let verifier = Verifier::new(&section::<AuthConfig>(config, "auth"), clock.clone()).expect("keys");
    let gateway: GatewayConfig = section(config, "gateway");
    let deps = tidelog_gateway::Deps {
        pool: connect(config),
        archive: Archive::open(&section(config, "archive")).expect("an archive"),
        broker: connect_broker(config, "gateway").await,
        schema,
        limits: section(config, "limits"),
        config: gateway,
        live: section(config, "live"),
        admin: admin_config,
        retention: section(config, "retention"),
        server: section(config, "server"),
        rates: section(config, "rates"),
        cors: section(config, "cors"),
        verifier,
        clock,
        readiness,
    };
    let listeners = tidelog_gateway::Listeners { public, admin };
    (addresses, tokio::spawn(tidelog_gateway::run(listeners, deps, shutdown)))
}
