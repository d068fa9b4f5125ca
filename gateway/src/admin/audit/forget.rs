//! Deletes calls that are older than they are kept, once an hour, a bounded number at a time.

use std::time::Duration;

use sqlx::PgPool;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::database::within;
use tidelog_store::admin_audit;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::pull::READ_TIMEOUT;

/// How often the time is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two rounds.
const HOUR_MS: i64 = 3_600_000;
/// Calls that one statement deletes.
const CALLS: i64 = 1000;

/// Deletes calls that are older than so many days, until `stopped`.
pub(crate) async fn forget(pool: PgPool, clock: Clock, days: u64, stopped: CancellationToken) {
    let kept_ms = i64::try_from(clock.days(days).as_millis()).unwrap_or(i64::MAX);
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_at = clock.now();
    while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = clock.now();
        if now < next_at {
            continue;
        }
        next_at = UtcTime(now.0 + HOUR_MS);
        let oldest = UtcTime(now.0.saturating_sub(kept_ms).max(0));
        let round = Box::pin(round(&pool, oldest));
        if let Some(Err(error)) = stopped.run_until_cancelled(round).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "old admin calls were not deleted");
        }
    }
}

async fn round(pool: &PgPool, oldest: UtcTime) -> sqlx::Result<()> {
    let mut deleted = 0;
    loop {
        let some = async { admin_audit::forget(&mut *pool.acquire().await?, oldest, CALLS).await };
        let some = within(READ_TIMEOUT, some).await?;
        deleted += some;
        if some < CALLS.cast_unsigned() {
            break;
        }
    }
    if deleted > 0 {
        tracing::info!(deleted, before = %oldest, "old admin calls were deleted from the audit");
    }
    Ok(())
}
