//! What the log cannot take as a whole. A batch that the database refuses goes to quarantine event by event, so
//! that its device goes on; a message that is no batch is kept whole. Either way nothing behind it waits.

use bytes::Bytes;
use sqlx::PgPool;
use tidelog_events::code::Fault;
use tidelog_events::frame::{PushHeader, QuarantineReason};
use tidelog_store::quarantined_messages;

use crate::batch::{Batch, Contents};

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

/// Keeps a message whole, with the reason.
pub(crate) async fn keep_message(
    pool: &PgPool,
    space: &str,
    header: &str,
    payload: &[u8],
    reason: &str,
) -> sqlx::Result<()> {
    metrics::counter!("tidelog_ingest_poison_total", "kind" => "message").increment(1);
    tracing::error!(space, reason, "a message is kept in quarantine");
    let mut connection = pool.acquire().await?;
    // PostgreSQL's text has no U+0000.
    let header = header.replace('\0', "\u{fffd}");
    quarantined_messages::insert(&mut connection, space, reason, &header, payload).await
}
