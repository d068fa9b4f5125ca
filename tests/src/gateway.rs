//! A gateway of a world.

use std::net::SocketAddr;

use tidelog_archive::Archive;
use tidelog_gateway::{AuthConfig, GatewayConfig, Verifier};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::Config;
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_runtime::schema_watch::SchemaWatch;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::{connect, connect_broker, section};

/// Starts one with that configuration and clock, and returns its address; it stops with `shutdown`.
pub(crate) async fn start(config: &Config, clock: Clock, shutdown: CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (schema, _watch) =
        SchemaWatch::start(&section(config, "schema"), shutdown.clone()).expect("a schema");
    let auth: AuthConfig = section(config, "auth");
    let gateway: GatewayConfig = section(config, "gateway");
    let deps = tidelog_gateway::Deps {
        pool: connect(config),
        archive: Archive::open(&section(config, "archive")).expect("an archive"),
        broker: connect_broker(config, "gateway").await,
        schema,
        limits: section(config, "limits"),
        config: gateway,
        verifier: Verifier::new(&auth, clock.clone()).expect("a secret"),
        clock,
        readiness: Readiness::new(TOLERANCE),
    };
    tokio::spawn(tidelog_gateway::run(listener, deps, shutdown));
    address
}
