//! `tidelog migrate`: brings the tables and the broker's streams to this version.

use anyhow::{Context, Result};
use tidelog_runtime::broker::{Broker, BrokerConfig};
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::database::{self, DatabaseConfig};

/// Migrates what the configuration names. Safe to run again, and several at once.
pub async fn run(sources: &Sources) -> Result<()> {
    let config = Config::load(sources)?;
    tables(&config).await?;
    streams(&config).await
}

async fn tables(config: &Config) -> Result<()> {
    let database: DatabaseConfig = config.section("database")?;
    let pool = database::connect(&database, "tidelog-migrate")?;
    tidelog_store::migrate(&pool).await.context(
        "cannot migrate the database: check database.url (TIDELOG__DATABASE__URL) and that it is running",
    )?;
    pool.close().await;
    Ok(())
}

async fn streams(config: &Config) -> Result<()> {
    let broker: BrokerConfig = config.section("broker")?;
    let broker = Broker::connect(&broker, "tidelog-migrate").await?;
    broker
        .ensure_streams()
        .await
        .context("cannot create the streams: check broker.url (TIDELOG__BROKER__URL), that it is running, and JetStream")
}
