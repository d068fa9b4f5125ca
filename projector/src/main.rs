//! Wires the projector: configuration, telemetry, database, broker, operations port.

use std::process::ExitCode;

use tidelog_projector::{Deps, METRICS, ProjectorConfig};
use tidelog_runtime::broker::{self, Broker};
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

fn main() -> ExitCode {
    service::run("tidelog-projector", Builder::new_multi_thread(), serve())
}

async fn serve() -> anyhow::Result<()> {
    let config = Config::load(&Sources::from_process())?;
    tidelog_projector::check(&config)?;
    let _telemetry = telemetry::init(&config.section("telemetry")?, "tidelog-projector")?;
    let projector: ProjectorConfig = config.section("projector")?;
    let database: DatabaseConfig = config.section("database")?;
    let shutdown = shutdown::on_signal()?;
    let recorder = metrics::install()?;
    metrics::name_service("projector");
    for table in [METRICS, broker::METRICS, broker::STREAM_METRICS] {
        metrics::describe(table);
    }

    let tables = Tables::of_this_release();
    let pool = database::connect(&database, &tables.application_name("tidelog-projector"))?;
    let broker = Broker::connect(&config.section("broker")?, "tidelog-projector").await;
    let broker = broker.map_err(|error| config.refused(error.key(), &error))?;
    let schema = SchemaWatch::start(&config.section("schema")?, shutdown.clone());
    let (schema, _watch) = schema.map_err(|error| config.refused("schema.file", &error))?;
    let readiness = Readiness::new(TOLERANCE);
    let listener =
        operations::listen(&config, "projector.operations_listen", projector.operations_listen).await?;
    let _operations = operations::serve(listener, readiness.clone(), recorder, shutdown.clone());
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, operations = %projector.operations_listen, "started");
    let deadline = database.statement_deadline();
    let deps = Deps { pool, broker, schema, config: projector, deadline, readiness };
    tidelog_projector::run(deps, shutdown).await
}
