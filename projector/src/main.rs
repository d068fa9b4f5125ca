//! Wires the projector: configuration, telemetry, database, broker, operations port.

use anyhow::Context;
use tidelog_projector::{Deps, METRICS, ProjectorConfig};
use tidelog_runtime::broker::Broker;
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::database::{self, DatabaseConfig};
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_runtime::schema_watch::SchemaWatch;
use tidelog_runtime::{metrics, operations, shutdown, telemetry};
use tokio::net::TcpListener;

/// It takes half the time of the system's, and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::load(&Sources::from_process())?;
    telemetry::init(&config.section("telemetry")?, "tidelog-projector")?;
    let projector: ProjectorConfig = config.section("projector")?;
    let database: DatabaseConfig = config.section("database")?;
    let shutdown = shutdown::on_signal()?;
    let recorder = metrics::install()?;
    metrics::describe(METRICS);

    let pool = database::connect(&database, "tidelog-projector")?;
    let broker = Broker::connect(&config.section("broker")?, "tidelog-projector").await?;
    let (schema, _watch) = SchemaWatch::start(&config.section("schema")?, shutdown.clone())?;
    let readiness = Readiness::new(TOLERANCE);
    let listener = TcpListener::bind(projector.operations_listen)
        .await
        .with_context(|| format!("cannot listen on {}", projector.operations_listen))?;
    let _operations = operations::serve(listener, readiness.clone(), recorder, shutdown.clone());
    let deadline = database.statement_deadline();
    let deps = Deps { pool, broker, schema, config: projector, deadline, readiness };
    tidelog_projector::run(deps, shutdown).await
}
