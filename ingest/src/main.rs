//! Wires ingest: configuration, telemetry, database, broker, operations port.

use std::process::ExitCode;

use tidelog_ingest::{Deps, IngestConfig, METRICS};
use tidelog_runtime::broker::{self, Broker};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::database::{self, DatabaseConfig};
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_runtime::schema_watch::SchemaWatch;
use tidelog_runtime::{metrics, operations, service, shutdown, telemetry};
use tidelog_store::Tables;
use tokio::runtime::Builder;

/// It takes half the time of the system's, and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// One transaction follows the other; more threads would only wake each other. More load is for more replicas.
fn main() -> ExitCode {
    service::run("tidelog-ingest", Builder::new_current_thread(), serve())
}

async fn serve() -> anyhow::Result<()> {
    let config = Config::load(&Sources::from_process())?;
    tidelog_ingest::check(&config)?;
    let _telemetry = telemetry::init(&config.section("telemetry")?, "tidelog-ingest")?;
    let ingest: IngestConfig = config.section("ingest")?;
    let database: DatabaseConfig = config.section("database")?;
    let clock = Clock::from_config(&config.section("clock")?)?;
    let shutdown = shutdown::on_signal()?;
    let recorder = metrics::install()?;
    metrics::name_service("ingest");
    for table in [METRICS, broker::METRICS, broker::STREAM_METRICS] {
        metrics::describe(table);
    }

    let tables = Tables::of_this_release();
    let pool = database::connect(&database, &tables.application_name("tidelog-ingest"))?;
    let broker = Broker::connect(&config.section("broker")?, "tidelog-ingest").await;
    let broker = broker.map_err(|error| config.refused(error.key(), &error))?;
    let schema = SchemaWatch::start(&config.section("schema")?, shutdown.clone());
    let (schema, _watch) = schema.map_err(|error| config.refused("schema.file", &error))?;
    let readiness = Readiness::new(TOLERANCE);
    let listener = operations::listen(&config, "ingest.operations_listen", ingest.operations_listen).await?;
    let _operations = operations::serve(listener, readiness.clone(), recorder, shutdown.clone());
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, operations = %ingest.operations_listen, "started");
    let deps = Deps { pool, broker, schema, config: ingest, database, clock, readiness };
    tidelog_ingest::run(deps, shutdown).await
}
