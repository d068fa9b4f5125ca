//! Folds a stretch of a space's log into runs, as much in memory at once as the measure says.

use sqlx::PgConnection;
use tidelog_events::fold::{DamagedLog, Delta, Span};
use tidelog_events::frame::Decoder;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::Schema;
use tidelog_store::segments;
use tokio::task::block_in_place;

use crate::error::CompactError;
use crate::runs::Runs;
use crate::work::Work;

/// Stored bytes of segments that one statement reads, and their number, at most.
const READ_BYTES: i64 = 1024 * 1024;
const READ_SEGMENTS: i64 = 1024;

/// What a stretch of a log amounts to.
#[derive(Debug)]
pub(crate) struct FoldedLog {
    /// Its entities.
    pub(crate) runs: Runs,
    /// The first event that the fold skips, or takes in without what the schema does not know of it.
    pub(crate) skipped: Option<Position>,
}

/// Folds the events of a space behind `span.applied` and through `span.through`.
pub(crate) async fn fold(
    connection: &mut PgConnection,
    space: &SpaceId,
    span: Span,
    schema: &Schema,
    work: &Work,
) -> Result<FoldedLog, CompactError> {
    let mut decoder = Decoder::new()?;
    let mut folded = FoldedLog { runs: Runs::new(work.folder()), skipped: None };
    let (mut delta, mut bytes) = (Delta::default(), 0);
    let Span { mut applied, through } = span;
    while applied < through {
        let read =
            segments::behind_each(&mut *connection, &[(space, applied)], READ_SEGMENTS, READ_BYTES).await?;
        let before = applied;
        block_in_place(|| {
            for (_, segment) in &read {
                // What is read may go on behind the stretch.
                if applied == through {
                    break;
                }
                let span = Span { applied, through };
                let (header, frame) = (&segment.header, &segment.frame);
                let (through_here, content) = delta.take(header, frame, span, &mut decoder, schema)?;
                (applied, bytes) = (through_here, bytes + content);
                if bytes >= work.fold_bytes {
                    folded.add(std::mem::take(&mut delta), schema)?;
                    bytes = 0;
                }
            }
            Ok::<_, CompactError>(())
        })?;
        if applied == before {
            return Err(DamagedLog::End { applied, head: through }.into());
        }
    }
    block_in_place(|| folded.add(delta, schema))?;
    Ok(folded)
}

impl FoldedLog {
    fn add(&mut self, mut delta: Delta, schema: &Schema) -> Result<(), CompactError> {
        metrics::counter!("tidelog_compactor_folded_events_total").increment(delta.events);
        let skipped = delta.skipped.drain(..).map(|(position, _)| position).next();
        self.skipped = self.skipped.or(skipped.into_iter().chain(delta.first_partial).min());
        Ok(self.runs.add(delta, schema)?)
    }
}
