//! `tidelog migrate`: brings the tables and the broker's streams to this release.

use anyhow::{Context, Result};
use sqlx::PgPool;
use tidelog_runtime::broker::{Broker, BrokerConfig};
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::database::{self, DatabaseConfig};
use tidelog_store::tables::{Tables, TablesError};

const ADVICE: &str = "cannot migrate the database (database.url, TIDELOG__DATABASE__URL)";

/// Options of `tidelog migrate`.
#[derive(Debug, clap::Args)]
pub struct MigrateOptions {
    /// Take away from the tables what only services of older releases need; refused while some of them run
    #[arg(long)]
    contract: bool,
}

/// Does what the options say, and prints what was done.
pub async fn command(options: MigrateOptions) -> Result<()> {
    let sources = Sources::from_process();
    if options.contract {
        let pool = connect(&Config::load(&sources)?)?;
        let applied = Tables::of_this_release().contract(&pool).await.context(ADVICE)?;
        pool.close().await;
        match applied.as_slice() {
            [] => println!("there is nothing to take away"),
            applied => println!("what only older releases need is gone (migrations {applied:?})"),
        }
        return Ok(());
    }
    run(&sources).await?;
    println!("tables and streams are at this version");
    Ok(())
}

/// Migrates what the configuration names, while services of the release before may run. Safe to run again, and several at
/// once.
pub async fn run(sources: &Sources) -> Result<()> {
    let config = Config::load(sources)?;
    let pool = connect(&config)?;
    expand(&pool).await.context(ADVICE)?;
    pool.close().await;
    streams(&config).await
}

fn connect(config: &Config) -> Result<PgPool> {
    let database: DatabaseConfig = config.section("database")?;
    let pool = database::connect(&database, "tidelog-migrate");
    Ok(pool.map_err(|error| config.refused("database.url", &error))?)
}

async fn expand(pool: &PgPool) -> Result<(), TablesError> {
    Tables::of_this_release().expand(pool).await?;
    Ok(())
}

async fn streams(config: &Config) -> Result<()> {
    let broker: BrokerConfig = config.section("broker")?;
    let broker = Broker::connect(&broker, "tidelog-migrate").await;
    let broker = broker.map_err(|error| config.refused(error.key(), &error))?;
    broker
        .ensure_streams()
        .await
        .context("cannot create the streams: check broker.url (TIDELOG__BROKER__URL), that it is running, and JetStream")
}
