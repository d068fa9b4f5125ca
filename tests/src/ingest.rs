//! An ingest of a world.

use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::Config;
use tidelog_runtime::database::{self, DatabaseConfig};
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_runtime::schema_watch::SchemaWatch;
use tokio_util::sync::CancellationToken;

use crate::replica::Replica;
use crate::world::section;

/// Starts one with that configuration and clock; it also stops with `shutdown`.
pub(crate) fn start(config: &Config, clock: Clock, shutdown: CancellationToken) -> Replica {
    let config = config.clone();
    Replica::start(shutdown, |shutdown| run(config, clock, shutdown))
}

async fn run(config: Config, clock: Clock, shutdown: CancellationToken) -> anyhow::Result<()> {
    let database: DatabaseConfig = section(&config, "database");
    let (schema, _watch) = SchemaWatch::start(&section(&config, "schema"), shutdown.clone())?;
    let deps = tidelog_ingest::Deps {
        pool: database::connect(&database, "ingest")?,
        broker: Broker::connect(&section(&config, "broker"), "ingest").await?,
        schema,
        config: section(&config, "ingest"),
        database,
        clock,
        readiness: Readiness::new(TOLERANCE),
    };
    tidelog_ingest::run(deps, shutdown).await
}
