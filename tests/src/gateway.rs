//! A gateway of a world.

use std::net::SocketAddr;

use tidelog_archive::Archive;
use tidelog_gateway::{AdminConfig, AuthConfig, GatewayConfig, Verifier};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::Config;
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_runtime::schema_watch::SchemaWatch;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::{connect, connect_broker, section};

/// Where a gateway listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// Starts one with that configuration and clock; it stops with `shutdown`.
pub(crate) async fn start(config: &Config, clock: Clock, shutdown: CancellationToken) -> Addresses {
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
        readiness: Readiness::new(TOLERANCE),
    };
    let listeners = tidelog_gateway::Listeners { public, admin };
    tokio::spawn(tidelog_gateway::run(listeners, deps, shutdown));
    addresses
}
