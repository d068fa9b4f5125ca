//! Releases from quarantine what a newer schema version accepts: the event is appended unchanged, with its
//! stamp, device and sequence, at head + 1; its row leaves quarantine in the same transaction; its device's
//! watermark, long past it, stays.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tidelog_events::event::judge;
use tidelog_events::frame::{BatchHeader, Encoder, SegmentBatch, SegmentHeader, write_batch};
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::json::Finding;
use tidelog_events::schema::Schema;
use tidelog_runtime::broker::Broker;
use tidelog_store::quarantine::{self, Quarantined};
use tidelog_store::segments::{self, SegmentColumns, SequenceRange};
use tidelog_store::spaces;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::announce::hint_head;

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

async fn release_all(pool: &PgPool, schema: &Schema, broker: &Broker) -> anyhow::Result<u64> {
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

async fn release_some(pool: &PgPool, id: &SpaceId, schema: &Schema) -> anyhow::Result<Round> {
    let mut transaction = pool.begin().await?;
    let Some(space) = spaces::lock_free(&mut transaction, &[id.as_str()]).await?.pop() else {
        return Ok(Round::default());
    };
    let events = quarantine::releasable(&mut transaction, id, schema.version(), EVENTS).await?;
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for event in &events {
        match still_wrong(event, schema) {
            None => accepted.push(event),
            Some(finding) => refused.push((event, finding.fault, finding.detail)),
        }
        // Receipts and acknowledgements go out between.
        yield_now().await;
    }
    let appended = number(space.head, &accepted).await?;
    let head = Position(space.head.0 + appended.len() as u64);
    if !appended.is_empty() {
        let mut columns = SegmentColumns::default();
        for (event, (header, frame)) in accepted.iter().zip(&appended) {
            let sequence = event.event.device_sequence;
            let range = SequenceRange { first: sequence, last: sequence };
            columns.push(id, header, Some(range), frame);
        }
        segments::append(&mut transaction, &columns).await?;
        spaces::move_heads(&mut transaction, &[id.as_str()], &[head.as_i64()]).await?;
        quarantine::delete(&mut transaction, &accepted).await?;
    }
    if !refused.is_empty() {
        quarantine::judged_again(&mut transaction, &refused, schema.version()).await?;
    }
    transaction.commit().await?;
    Ok(Round { judged: events.len(), released: appended.len() as u64, head })
}

/// What the schema still has against the event.
fn still_wrong(event: &Quarantined, schema: &Schema) -> Option<Finding> {
    let line = String::from_utf8_lossy(&event.line);
    match judge(&line, schema) {
        Ok(judged) => judged.finding,
        Err(unreadable) => Some(Finding::new(event.event.code, unreadable.to_string())),
    }
}

/// A segment for each event, behind the head.
async fn number(head: Position, events: &[&Quarantined]) -> anyhow::Result<Vec<(SegmentHeader, Vec<u8>)>> {
    let mut encoder = Encoder::new()?;
    let mut segments = Vec::with_capacity(events.len());
    for (event, position) in events.iter().zip((head.0 + 1..).map(Position)) {
        let device = event.device.clone();
        let batch = BatchHeader { device_id: Some(device.clone()), user_id: None, after: None };
        let frame = encoder.encode(&write_batch(&batch, [&event.line]))?;
        let batch = SegmentBatch {
            first: position,
            device_id: device,
            user_id: event.user.clone(),
            received_at: event.received_at,
            released: true,
        };
        let header = SegmentHeader {
            first: position,
            last: position,
            lines: 2,
            batches: vec![batch],
            positions: None,
        };
        segments.push((header, frame));
        yield_now().await;
    }
    Ok(segments)
}
