//! What the log cannot take as a whole. A batch that the database refuses goes to quarantine event by event, so
//! that its device goes on; a message that is no batch is kept whole. Either way nothing behind it waits.

use std::error::Error;

use bytes::Bytes;
use sqlx::PgPool;
use tidelog_events::code::Fault;
use tidelog_events::frame::{PushHeader, QuarantineReason};
use tidelog_runtime::broker::Delivery;
use tidelog_store::quarantined_messages;

use crate::batch::{Batch, Contents};
use crate::incoming;

/// The same batch with every event in quarantine.
pub(crate) fn quarantine_all(batch: &Batch, contents: Contents, reason: &str) -> Batch {
    let mut earlier = batch.quarantined.iter().cloned();
    let quarantined: Vec<_> = contents
        .events
        .into_iter()
        .filter_map(|event| match event.line {
            None => earlier.next(),
            Some(line) => {
                let reason = QuarantineReason {
                    device_sequence: event.sequence,
                    event_id: event.event_id,
                    code: Fault::Poison,
                    detail: reason.to_owned(),
                };
                Some((reason, line.into_bytes()))
            }
        })
        .collect();
    let header =
        PushHeader { accepted_bytes: 0, quarantined: quarantined.len() as u64, ..batch.header.clone() };
    Batch { header, frame: Bytes::new(), quarantined }
}

/// Keeps a message whole, with the reason, and acknowledges it. While the database is away it is given back, to come
/// again.
pub(crate) async fn keep(pool: &PgPool, message: &Delivery, reason: &(dyn Error + Sync)) {
    let header = incoming::told(message).unwrap_or_default();
    let told: serde_json::Value = serde_json::from_str(header).unwrap_or_default();
    let space = told["space"].as_str().or(told["command"]["space"].as_str()).unwrap_or_default();
    let reason = reason.to_string();
    match insert(pool, space, header, &message.payload, &reason).await {
        Ok(()) => {
            metrics::counter!("tidelog_ingest_poison_total", "kind" => "message").increment(1);
            tracing::error!(space, reason, "a message is kept in quarantine");
            message.acknowledge().await;
        }
        Err(error) => tracing::warn!(%error, "a message could not be kept; it will come again"),
    }
}

async fn insert(pool: &PgPool, space: &str, header: &str, payload: &[u8], reason: &str) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    // PostgreSQL's text has no U+0000.
    let [space, header] = [space, header].map(|text| text.replace('\0', "\u{fffd}"));
    quarantined_messages::insert(&mut connection, &space, reason, &header, payload).await
}
