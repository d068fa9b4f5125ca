//! Makes a server the standby of another one, until that has every commit wait for it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use super::runs;
use crate::local::{Deadline, Postgres, Replication};
use crate::terminal::say;

/// A standby that the primary has not heard of for so long cannot go on from where it is.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long it may take to catch up.
const PATIENCE: Duration = Duration::from_mins(10);
/// Commits are made to wait for a standby that is so little behind.
const BEHIND_BYTES_MAX: i64 = 4 << 20;

/// The primary, for whoever is to follow it.
pub(super) struct PrimaryAddress {
    port: u16,
    url: String,
    replication: Replication,
}

impl PrimaryAddress {
    pub(super) fn of(primary: &Postgres) -> Self {
        Self { port: primary.port(), url: primary.url("postgres"), replication: primary.replication() }
    }
}

/// When it returns, every commit that was acknowledged before is on the standby's disk, and each new one waits for it.
pub(super) async fn attach(standby: &mut Postgres, primary: &PrimaryAddress) -> Result<()> {
    standby.start_as_standby(primary.port).await?;
    let mut connection = PgConnection::connect(&primary.url).await.context("the primary is not there")?;
    if !catches_up(standby, &mut connection).await? {
        say(standby.name(), "cannot go on from where it was; copying the primary");
        standby.copy_from(primary.port).await?;
        standby.start_as_standby(primary.port).await?;
        ensure!(catches_up(standby, &mut connection).await?, "the primary does not hear of it");
    }
    primary.replication.require_standby(Some(standby.name()))?;
    sqlx::query("SELECT pg_reload_conf()").execute(&mut connection).await?;
    let deadline = Deadline::after(PATIENCE, "every commit waiting for the standby");
    while !is_required(&mut connection, standby.name()).await? {
        ensure!(runs(standby), "it ended");
        deadline.next_look().await?;
    }
    // The process that makes checkpoints is the one that has commits wait: when it has made one, it has read the setting.
    // Commits that did not wait came before.
    sqlx::query("CHECKPOINT").execute(&mut connection).await?;
    let through: String =
        sqlx::query_scalar("SELECT pg_current_wal_insert_lsn()::text").fetch_one(&mut connection).await?;
    while !has_flushed(&mut connection, standby.name(), &through).await? {
        ensure!(runs(standby), "it ended");
        deadline.next_look().await?;
    }
    Ok(())
}

/// Waits until the standby is little behind; false if the primary does not hear of it.
async fn catches_up(standby: &mut Postgres, connection: &mut PgConnection) -> Result<bool> {
    let deadline = Deadline::after(PATIENCE, "the standby catching up");
    let mut heard = Instant::now();
    loop {
        if !runs(standby) {
            bail!("it ended: {}", standby.process().map(|process| process.last_words()).unwrap_or_default());
        }
        match behind_bytes(connection, standby.name()).await? {
            Some(bytes) if bytes <= BEHIND_BYTES_MAX => return Ok(true),
            Some(_) => heard = Instant::now(),
            None if heard.elapsed() > SILENCE_MAX => return Ok(false),
            None => {}
        }
        deadline.next_look().await?;
    }
}

/// `None` while the primary does not hear of it.
async fn behind_bytes(connection: &mut PgConnection, standby: &str) -> sqlx::Result<Option<i64>> {
    let statement = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn)::bigint FROM pg_stat_replication
                     WHERE application_name = $1 AND flush_lsn IS NOT NULL";
    sqlx::query_scalar(statement).bind(standby).fetch_optional(connection).await
}

async fn is_required(connection: &mut PgConnection, standby: &str) -> sqlx::Result<bool> {
    let statement = "SELECT EXISTS (SELECT FROM pg_stat_replication
                     WHERE application_name = $1 AND state = 'streaming' AND sync_state = 'sync')";
    sqlx::query_scalar(statement).bind(standby).fetch_one(connection).await
}

async fn has_flushed(connection: &mut PgConnection, standby: &str, through: &str) -> sqlx::Result<bool> {
    let statement = "SELECT EXISTS (SELECT FROM pg_stat_replication
                     WHERE application_name = $1 AND flush_lsn >= $2::pg_lsn)";
    sqlx::query_scalar(statement).bind(standby).bind(through).fetch_one(connection).await
}
