//! Releases from quarantine what a newer schema version accepts: the event is appended unchanged, with its
//! stamp, device and sequence, at head + 1; its row leaves quarantine in the same transaction; its device's
//! watermark, long past it, stays.

mod append;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::Schema;
use tidelog_runtime::broker::Broker;
use tidelog_store::{quarantine, spaces};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::announce::hint_head;

pub(crate) use append::{ReleaseError, judge_and_append};

/// Spaces of one look, and events of one transaction.
const SPACES: i64 = 100;
const EVENTS: i64 = 500;

/// Releases whenever the schema changes, and every `every`: another replica's gateway may have judged by an
/// older version meanwhile.
pub(crate) async fn run(
    pool: PgPool,
    mut schema: watch::Receiver<Arc<Schema>>,
    every: Duration,
    broker: Broker,
    shutdown: CancellationToken,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = schema.changed() => if changed.is_err() { return },
            () = shutdown.cancelled() => return,
        }
        let current = schema.borrow_and_update().clone();
        match release_all(&pool, &current, &broker).await {
            Ok(0) => {}
            Ok(released) => tracing::info!(released, version = current.version(), "released from quarantine"),
            Err(error) => tracing::warn!(%error, "quarantine could not be searched; it will be again"),
        }
    }
}

async fn release_all(pool: &PgPool, schema: &Schema, broker: &Broker) -> Result<u64, ReleaseError> {
    let mut released = 0;
    loop {
        let mut connection = pool.acquire().await?;
        let spaces = quarantine::releasable_spaces(&mut connection, schema.version(), SPACES).await?;
        drop(connection);
        let mut judged = 0;
        for space in spaces {
            let round = release_some(pool, &space, schema).await?;
            judged += round.judged;
            released += round.released;
            if round.released > 0 {
                hint_head(broker, &space, round.head).await;
            }
        }
        // Spaces that are locked by a push are left for the next look.
        if judged == 0 {
            return Ok(released);
        }
    }
}

#[derive(Default)]
struct Round {
    judged: usize,
    released: u64,
    head: Position,
}

async fn release_some(pool: &PgPool, id: &SpaceId, schema: &Schema) -> Result<Round, ReleaseError> {
    let mut transaction = pool.begin().await?;
    let Some(space) = spaces::lock_free(&mut transaction, &[id.as_str()]).await?.pop() else {
        return Ok(Round::default());
    };
    let events = quarantine::releasable(&mut transaction, id, schema.version(), EVENTS).await?;
    let judged = judge_and_append(&mut transaction, &space, &events, schema).await?;
    transaction.commit().await?;
    Ok(Round { judged: events.len(), released: judged.released, head: judged.head })
}
