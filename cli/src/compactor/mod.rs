//! `tidelog compactor`: a sweep by hand, and what is wrong with a space that is not pruned.

mod doctor;
mod findings;
mod sweep;

use std::sync::Arc;

use anyhow::Result;
use sqlx::PgPool;
use tidelog_archive::Archive;
use tidelog_compactor::{Compactor, Deps};
use tidelog_events::schema::Schema;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::Config;
use tidelog_runtime::database::{self, DatabaseConfig};
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tokio::sync::watch;

pub use self::doctor::DoctorOptions;
pub use self::sweep::SweepOptions;

use crate::projector::schema;
use crate::stack_file::configured_or_running;

/// What can be done.
#[derive(Debug, clap::Subcommand)]
pub enum CompactorCommand {
    /// Merge and prune what is due now, as the compactor does every so often
    ///
    /// Works beside compactors that run. Uses the stack that runs here, unless the configuration names a database.
    Run(SweepOptions),
    /// Compare the read model of a space with what its log says, and tell what differs and which event decides
    ///
    /// The compactor prunes no space whose read model differs. Reads only, unless it is told to rebuild. Uses the stack
    /// that runs here, unless the configuration names a database.
    Doctor(DoctorOptions),
}

/// Does it.
pub async fn run(command: CompactorCommand) -> Result<()> {
    let config = Config::load(&configured_or_running()?)?;
    match command {
        CompactorCommand::Run(options) => sweep::run(&config, options).await,
        CompactorCommand::Doctor(options) => doctor::run(&config, options).await,
    }
}

/// A compactor for single runs, with its pool and the schema of the configured file.
fn compactor(config: &Config) -> Result<(Compactor, PgPool, Arc<Schema>)> {
    let database: DatabaseConfig = config.section("database")?;
    let pool = database::connect(&database, "tidelog-compactor-command")?;
    let schema = Arc::new(schema(config)?);
    let deps = Deps {
        pool: pool.clone(),
        archive: Archive::open(&config.section("archive")?)?,
        schema: watch::channel(schema.clone()).1,
        clock: Clock::from_config(&config.section("clock")?)?,
        config: config.section("compactor")?,
        retention: config.section("retention")?,
        readiness: Readiness::new(TOLERANCE),
    };
    Ok((deps.compactor(), pool, schema))
}
