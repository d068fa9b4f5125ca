//! Lets a service of the stack sleep for a while (SIGSTOP), and wakes it however the bench ends.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::PgPool;
use tokio::time::sleep;

const SETTLED_AFTER: Duration = Duration::from_millis(10);
const TRIES: u32 = 100;

/// A process that sleeps until this is dropped.
#[derive(Debug)]
pub(super) struct Paused {
    pid: Pid,
}

impl Paused {
    /// Lets process `pid`, a projector, sleep between two of its transactions: one that slept in the middle would hold
    /// up PostgreSQL's clearing of old rows, which no stopped projector does.
    pub(super) async fn new(pid: u32, pool: &PgPool) -> Result<Self> {
        let paused = Self { pid: Pid::from_raw(pid.cast_signed()).context("that is no process id")? };
        for _ in 0..TRIES {
            kill_process(paused.pid, Signal::STOP).context("cannot pause the projector")?;
            // What it sent before, PostgreSQL may just be working on.
            sleep(SETTLED_AFTER).await;
            if !is_in_transaction(pool).await? {
                return Ok(paused);
            }
            wake(pid);
            sleep(SETTLED_AFTER).await;
        }
        bail!("the projector was found in a transaction {TRIES} times: pause it while there is less to fold")
    }
}

async fn is_in_transaction(pool: &PgPool) -> sqlx::Result<bool> {
    let statement = "SELECT EXISTS (SELECT FROM pg_stat_activity
                     WHERE application_name LIKE 'tidelog-projector%' AND xact_start IS NOT NULL
                       AND datname = current_database())";
    sqlx::query_scalar(statement).fetch_one(pool).await
}

impl Drop for Paused {
    fn drop(&mut self) {
        wake(self.pid.as_raw_nonzero().get().cast_unsigned());
    }
}

/// Wakes process `pid`, if it sleeps; one that is gone needs no waking.
pub(super) fn wake(pid: u32) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = kill_process(pid, Signal::CONT);
    }
}
