//! Looks at the pool every few seconds: how much of it is used, and how long a connection and an answer take.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::within;
use crate::metrics::sampling;

/// A pool that gives no connection and answer by then has failed.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks at the pool until `stopped`.
pub async fn measure(pool: PgPool, stopped: CancellationToken) {
    ::metrics::gauge!("tidelog_database_connections_max")
        .set(f64::from(pool.options().get_max_connections()));
    let mut ticks = sampling();
    while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
        // Before the ping, which uses a connection itself.
        let idle = pool.num_idle();
        let used = (pool.size() as usize).saturating_sub(idle);
        for (state, connections) in [("idle", idle), ("used", used)] {
            ::metrics::gauge!("tidelog_database_connections", "state" => state).set(connections as f64);
        }
        if stopped.run_until_cancelled(ping(&pool)).await.is_none() {
            return;
        }
    }
}

async fn ping(pool: &PgPool) {
    let started = Instant::now();
    match within(PING_TIMEOUT, sqlx::query("SELECT 1").execute(pool)).await {
        Ok(_) => {
            ::metrics::histogram!("tidelog_database_ping_seconds").record(started.elapsed().as_secs_f64());
        }
        Err(error) => {
            ::metrics::counter!("tidelog_database_ping_failures_total").increment(1);
            tracing::debug!(%error, "the database did not answer a ping");
        }
    }
}
