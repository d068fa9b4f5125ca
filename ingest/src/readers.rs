//! Facts about readers: gateways hint at who pulled with which cursor, and this notes it, a bounded number at a
//! time. Losing any of it costs an operator's view some seconds of freshness and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use sqlx::PgPool;
use tidelog_events::id::{DeviceId, Position, SpaceId};
use tidelog_events::protocol::{ReaderHint, UtcTime};
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_store::devices;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_secs(1);
/// Readers that are remembered between two writes; the rest wait for their next pull.
const READERS_MAX: usize = 10_000;

/// Collects hints and writes them once a second, until `shutdown`.
pub(crate) async fn run(broker: Broker, pool: PgPool, clock: Clock, shutdown: CancellationToken) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shutdown.is_cancelled() {
        let subject = broker.subjects().readers();
        let Ok(mut hints) = broker.client().queue_subscribe(subject, "ingest".to_owned()).await else {
            ticks.tick().await;
            continue;
        };
        let mut seen: BTreeMap<(SpaceId, DeviceId), Position> = BTreeMap::new();
        loop {
            tokio::select! {
                hint = hints.next() => {
                    let Some(message) = hint else { break };
                    if let Ok(hint) = serde_json::from_slice::<ReaderHint>(&message.payload)
                        && seen.len() < READERS_MAX
                    {
                        seen.insert((hint.space, hint.device_id), hint.cursor);
                    }
                }
                _ = ticks.tick(), if !seen.is_empty() => {
                    write(&pool, &std::mem::take(&mut seen), clock.now()).await;
                }
                () = shutdown.cancelled() => return,
            }
        }
    }
}

async fn write(pool: &PgPool, seen: &BTreeMap<(SpaceId, DeviceId), Position>, now: UtcTime) {
    let spaces: Vec<&str> = seen.keys().map(|(space, _)| space.as_str()).collect();
    let names: Vec<&str> = seen.keys().map(|(_, device)| device.as_str()).collect();
    let cursors: Vec<i64> = seen.values().map(|cursor| cursor.as_i64()).collect();
    let written = async {
        let mut connection = pool.acquire().await?;
        devices::note_readers(&mut connection, &spaces, &names, &cursors, now).await
    };
    if let Err(error) = written.await {
        tracing::debug!(%error, "what readers have was not noted");
    }
}
