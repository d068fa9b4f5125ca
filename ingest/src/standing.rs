//! Shows, every few seconds, how PUSH and quarantine stand. What is not known just now is shown as NaN: an old number would
//! pass for the present one.

use std::time::Duration;

use sqlx::PgPool;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::database::within;
use tidelog_runtime::metrics::sampling;
use tidelog_store::quarantine;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Events of quarantine that are looked at each time.
const EVENTS_MAX: i64 = 10_000;
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks until `shutdown`.
pub(crate) async fn run(broker: Broker, pool: PgPool, clock: Clock, shutdown: CancellationToken) {
    let mut ticks = sampling();
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let look = async {
            let oldest = oldest_pending_seconds(&broker, &clock).await;
            metrics::gauge!("tidelog_ingest_oldest_pending_seconds").set(oldest.unwrap_or(f64::NAN));
            let events = quarantined(&pool).await;
            metrics::gauge!("tidelog_ingest_quarantine_events").set(events.unwrap_or(f64::NAN));
        };
        if shutdown.run_until_cancelled(Box::pin(look)).await.is_none() {
            return;
        }
    }
}

async fn oldest_pending_seconds(broker: &Broker, clock: &Clock) -> Option<f64> {
    let Some(oldest) = broker.show_push().await?.oldest_open() else { return Some(0.0) };
    let pushed_at = timeout(LOOK_TIMEOUT, broker.pushed_at(oldest)).await.ok()?.ok()??;
    Some(clock.now().0.saturating_sub(pushed_at.0).max(0) as f64 / 1000.0)
}

async fn quarantined(pool: &PgPool) -> Option<f64> {
    let count = async { quarantine::count_open(&mut *pool.acquire().await?, EVENTS_MAX).await };
    within(LOOK_TIMEOUT, count).await.ok().map(|events| events as f64)
}
