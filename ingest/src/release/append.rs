//! What every release does, whoever wants it: judge events of one space by a schema, append those that it accepts behind
//! the head, and take them out of quarantine.

use std::str::from_utf8;

use sqlx::PgConnection;
use tidelog_events::code::Fault;
use tidelog_events::event::judge;
use tidelog_events::frame::{BatchHeader, Encoder, FrameError, SegmentBatch, SegmentHeader, write_batch};
use tidelog_events::id::Position;
use tidelog_events::json::Finding;
use tidelog_events::schema::Schema;
use tidelog_store::quarantine::{self, Quarantined};
use tidelog_store::segments::{self, SegmentColumns, SequenceRange};
use tidelog_store::spaces::{self, Space};
use tokio::task::yield_now;

/// Why nothing was released.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReleaseError {
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// zstd failed to write a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// What became of events of a space.
pub(crate) struct Judged<'a> {
    /// The space's head now.
    pub(crate) head: Position,
    /// How many are in the log.
    pub(crate) released: u64,
    /// Those that the schema still does not accept, and why.
    pub(crate) refused: Vec<(&'a Quarantined, Fault, String)>,
}

/// Releases what the schema accepts; the caller holds the space's lock, and commits.
pub(crate) async fn judge_and_append<'a>(
    transaction: &mut PgConnection,
    space: &Space,
    events: &'a [Quarantined],
    schema: &Schema,
) -> Result<Judged<'a>, ReleaseError> {
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for event in events {
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
            columns.push(&space.space, header, Some(range), frame);
        }
        segments::append(transaction, &columns).await?;
        spaces::move_heads(transaction, &[space.space.as_str()], &[head.as_i64()]).await?;
        quarantine::delete(transaction, &accepted).await?;
    }
    if !refused.is_empty() {
        quarantine::judged_again(transaction, &refused, schema.version()).await?;
    }
    Ok(Judged { head, released: appended.len() as u64, refused })
}

/// What the schema still has against the event.
fn still_wrong(event: &Quarantined, schema: &Schema) -> Option<Finding> {
    let unreadable = |why: String| Some(Finding::new(event.event.code, why));
    let Ok(line) = from_utf8(&event.line) else { return unreadable("the line is not UTF-8".to_owned()) };
    match judge(line, schema) {
        Ok(judged) => judged.finding,
        Err(error) => unreadable(error.to_string()),
    }
}

/// A segment for each event, behind the head.
async fn number(
    head: Position,
    events: &[&Quarantined],
) -> Result<Vec<(SegmentHeader, Vec<u8>)>, FrameError> {
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
