//! Wires the gateway: configuration, telemetry, database, broker, both ports.

use std::process::ExitCode;

use tidelog_archive::Archive;
use tidelog_gateway::{
    AdminConfig, AuthConfig, Deps, GatewayConfig, Listeners, ServerConfig, TlsError, Verifier,
};
use tidelog_runtime::broker::{self, Broker};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_runtime::schema_watch::SchemaWatch;
use tidelog_runtime::{database, metrics, operations, service, shutdown, telemetry};
use tidelog_store::Tables;
use tokio::runtime::Builder;

/// It takes half the time of the system's, and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    service::run("tidelog-gateway", Builder::new_multi_thread(), serve())
}

async fn serve() -> anyhow::Result<()> {
    let config = Config::load(&Sources::from_process())?;
    tidelog_gateway::check(&config)?;
    let _telemetry = telemetry::init(&config.section("telemetry")?, "tidelog-gateway")?;
    let gateway: GatewayConfig = config.section("gateway")?;
    let admin: AdminConfig = config.section("admin")?;
    let auth: AuthConfig = config.section("auth")?;
    let server: ServerConfig = config.section("server")?;
    let clock = Clock::from_config(&config.section("clock")?)?;
    let shutdown = shutdown::on_signal()?;
    let recorder = metrics::install()?;
    metrics::name_service("gateway");
    metrics::describe(broker::METRICS);
    metrics::describe(&tidelog_gateway::metrics().collect::<Vec<_>>());

    let tables = Tables::of_this_release();
    let pool = database::connect(&config.section("database")?, &tables.application_name("tidelog-gateway"))?;
    let archive = Archive::open(&config.section("archive")?);
    let archive = archive.map_err(|error| config.refused("archive.url", &error))?;
    let broker = Broker::connect(&config.section("broker")?, "tidelog-gateway").await;
    let broker = broker.map_err(|error| config.refused(error.key(), &error))?;
    let schema = SchemaWatch::start(&config.section("schema")?, shutdown.clone());
    let (schema, _watch) = schema.map_err(|error| config.refused("schema.file", &error))?;
    let verifier = Verifier::new(&auth, clock.clone());
    let verifier = verifier.map_err(|error| config.refused(&error.key(), &error))?;
    let readiness = Readiness::new(TOLERANCE);
    let operations =
        operations::listen(&config, "gateway.operations_listen", gateway.operations_listen).await?;
    let _operations = operations::serve(operations, readiness.clone(), recorder, shutdown.clone());
    let listeners = Listeners {
        public: operations::listen(&config, "gateway.listen", gateway.listen).await?,
        admin: match admin.listen {
            Some(address) => Some(operations::listen(&config, "admin.listen", address).await?),
            None => None,
        },
    };
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, address = %gateway.listen, admin = ?admin.listen, operations = %gateway.operations_listen, "started");
    let deps = Deps {
        pool,
        archive,
        broker,
        schema,
        limits: config.section("limits")?,
        config: gateway,
        live: config.section("live")?,
        admin,
        retention: config.section("retention")?,
        server: server.clone(),
        rates: config.section("rates")?,
        cors: config.section("cors")?,
        verifier,
        clock,
        readiness,
    };
    let ended = tidelog_gateway::run(listeners, deps, shutdown).await;
    ended.map_err(|error| match error.downcast::<TlsError>() {
        Ok(error) => config.refused(error.key(&server), &error).into(),
        Err(error) => error,
    })
}
