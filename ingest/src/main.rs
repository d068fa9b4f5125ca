//! Wires ingest: configuration, telemetry, database, broker, operations port.

use anyhow::Context;
use tidelog_ingest::{Deps, IngestConfig, METRICS};
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::database::{self, DatabaseConfig};
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_runtime::schema_watch::SchemaWatch;
use tidelog_runtime::{metrics, operations, shutdown, telemetry};
use tokio::net::TcpListener;

/// It takes half the time of the system's, and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// One transaction follows the other; more threads would only wake each other. More load is for more replicas.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::load(&Sources::from_process())?;
    telemetry::init(&config.section("telemetry")?, "tidelog-ingest")?;
    let ingest: IngestConfig = config.section("ingest")?;
    let database: DatabaseConfig = config.section("database")?;
    let clock = Clock::from_config(&config.section("clock")?)?;
    let shutdown = shutdown::on_signal()?;
    let recorder = metrics::install()?;
    metrics::describe(METRICS);

    let pool = database::connect(&database, "tidelog-ingest")?;
    let broker = Broker::connect(&config.section("broker")?, "tidelog-ingest").await?;
    let (schema, _watch) = SchemaWatch::start(&config.section("schema")?, shutdown.clone())?;
    let readiness = Readiness::new(TOLERANCE);
    let listener = TcpListener::bind(ingest.operations_listen)
        .await
        .with_context(|| format!("cannot listen on {}", ingest.operations_listen))?;
    let _operations = operations::serve(listener, readiness.clone(), recorder, shutdown.clone());
    let deps = Deps { pool, broker, schema, config: ingest, database, clock, readiness };
    tidelog_ingest::run(deps, shutdown).await
}
