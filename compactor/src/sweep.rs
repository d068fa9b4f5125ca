//! Finds the spaces that have something to compact, and does it, one after the other. One that fails stops nobody.

use std::sync::Arc;

use sqlx::Connection;
use tidelog_events::id::SpaceId;
use tidelog_events::schema::Schema;
use tidelog_store::compactions;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::CompactError;
use crate::plan::{Plan, WhyNot};
use crate::space::{Outcome, Pruning, Tools};
use crate::verify::Verdict;

/// Spaces that one statement looks at.
const WINDOW: i64 = 20_000;

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Segments that it merged into others.
    pub merged: u64,
    /// Spaces that it pruned.
    pub pruned: u64,
    /// Events that left the log.
    pub events: u64,
    /// Bytes that it wrote to the archive.
    pub archive_bytes: u64,
    /// Spaces that it did not prune, since the read model differs from the log.
    pub refused: u64,
    /// Spaces that it could not work on.
    pub failed: u64,
}

/// A compactor: what the service does every so often, to be done at once.
pub struct Compactor {
    tools: Tools,
    schema: watch::Receiver<Arc<Schema>>,
}

impl Compactor {
    pub(crate) fn new(tools: Tools, schema: watch::Receiver<Arc<Schema>>) -> Self {
        Self { tools, schema }
    }

    /// Compacts every space that has something to compact, until `stop`. `tell` is told of each.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn sweep(
        &self,
        stop: &CancellationToken,
        mut tell: impl FnMut(&SpaceId, &Result<Outcome, CompactError>),
    ) -> Result<Swept, CompactError> {
        let mut swept = Swept::default();
        let mut overdue = 0;
        let mut after = Some(String::new());
        while let Some(from) = after {
            let (spaces, next) = self.due(&from).await?;
            for space in spaces {
                // One look takes in only so much.
                let left = loop {
                    if stop.is_cancelled() {
                        return Ok(swept);
                    }
                    match self.once(&space, &mut swept, &mut tell).await? {
                        Left::More => {}
                        left => break left,
                    }
                };
                overdue += u64::from(left == Left::Overdue);
            }
            after = next;
        }
        metrics::gauge!("tidelog_compactor_overdue_spaces").set(overdue as f64);
        let ended_ms = self.tools.clock.now().0;
        metrics::gauge!("tidelog_compactor_last_sweep_seconds").set(ended_ms as f64 / 1000.0);
        Ok(swept)
    }

    /// Does what is due with a space, as much as one look takes in.
    async fn once(
        &self,
        space: &SpaceId,
        swept: &mut Swept,
        tell: &mut impl FnMut(&SpaceId, &Result<Outcome, CompactError>),
    ) -> Result<Left, CompactError> {
        let outcome = self.compact(space).await;
        swept.note(space, &outcome);
        tell(space, &outcome);
        match outcome {
            Ok(Outcome::Done { merged, pruning }) => Ok(Left::of(merged, &pruning)),
            Err(CompactError::Database(_)) => {
                // It may be the space that the database refuses: the others go on, unless it is away.
                self.tools.pool.acquire().await?.ping().await?;
                Ok(Left::Overdue)
            }
            Err(_) => Ok(Left::Overdue),
            Ok(Outcome::Elsewhere) => Ok(Left::Nothing),
        }
    }

    /// Does what is due with one space.
    ///
    /// # Errors
    /// As its kinds say. What was done before stays.
    pub async fn compact(&self, space: &SpaceId) -> Result<Outcome, CompactError> {
        let schema = self.schema.borrow().clone();
        self.tools.compact(space, &schema).await
    }

    /// What would be done now with each space that has something to compact.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn dry_run(&self, mut tell: impl FnMut(&SpaceId, &Plan)) -> Result<(), CompactError> {
        let mut after = Some(String::new());
        while let Some(from) = after {
            let (spaces, next) = self.due(&from).await?;
            for space in spaces {
                if let Some(plan) = self.tools.plan(&space).await? {
                    tell(&space, &plan);
                }
            }
            after = next;
        }
        Ok(())
    }

    /// What would be done now with one space; `None` where there is no such space.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn plan(&self, space: &SpaceId) -> Result<Option<Plan>, CompactError> {
        self.tools.plan(space).await
    }

    /// Compares a space's read model with its log, and the snapshot before it: as before pruning, and nothing is written.
    ///
    /// # Errors
    /// When the database is away, or log or snapshot are damaged.
    pub async fn examine(&self, space: &SpaceId) -> Result<Verdict, CompactError> {
        let schema = self.schema.borrow().clone();
        self.tools.examine(space, &schema).await
    }

    async fn due(&self, after: &str) -> Result<(Vec<SpaceId>, Option<String>), CompactError> {
        let mut connection = self.tools.pool.acquire().await?;
        let due = self.tools.due_before();
        Ok(compactions::due(&mut connection, after, WINDOW, &due).await?)
    }
}

/// What is left to do with a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// There may be more that can be done at once.
    More,
    /// Events that are past the retention and could not be pruned.
    Overdue,
    /// Nothing, or it is another replica's.
    Nothing,
}

impl Left {
    fn of(merged: u64, pruning: &Pruning) -> Self {
        let is_overdue = match pruning {
            Pruning::Pruned(_) => return Self::More,
            Pruning::Refused(_) | Pruning::TooLarge { .. } | Pruning::Skips(_) => true,
            Pruning::Waits(why) => match why {
                WhyNot::ProjectorBehind { .. } | WhyNot::Rebuilding => true,
                // A device that is behind is waited for on purpose, and not for ever.
                WhyNot::DeviceBehind { .. }
                | WhyNot::Young
                | WhyNot::TooFew { .. }
                | WhyNot::TooLight { .. } => false,
            },
            Pruning::Elsewhere => false,
        };
        match (merged, is_overdue) {
            (0, true) => Self::Overdue,
            (0, false) => Self::Nothing,
            _ => Self::More,
        }
    }
}

impl Swept {
    fn note(&mut self, space: &SpaceId, outcome: &Result<Outcome, CompactError>) {
        match outcome {
            Ok(Outcome::Elsewhere) => {}
            Ok(Outcome::Done { merged, pruning }) => {
                self.merged += merged;
                metrics::counter!("tidelog_compactor_merged_segments_total").increment(*merged);
                self.note_pruning(space, pruning);
            }
            Err(error) => {
                self.failed += 1;
                metrics::counter!("tidelog_compactor_failures_total").increment(1);
                let error = error as &dyn std::error::Error;
                tracing::error!(%space, error, "a space could not be compacted; nothing of it was pruned");
            }
        }
    }

    fn note_pruning(&mut self, space: &SpaceId, pruning: &Pruning) {
        match pruning {
            Pruning::Waits(_) | Pruning::Elsewhere => {}
            Pruning::Pruned(pruned) => {
                self.pruned += 1;
                self.events += pruned.events;
                self.archive_bytes += pruned.archive_bytes;
                metrics::counter!("tidelog_compactor_pruned_events_total").increment(pruned.events);
                metrics::counter!("tidelog_compactor_archived_bytes_total").increment(pruned.archive_bytes);
                tracing::info!(
                    %space, through = %pruned.through, events = pruned.events, entities = pruned.entities,
                    snapshot_bytes = pruned.snapshot_bytes, "a space was pruned"
                );
            }
            Pruning::Refused(Verdict::Different { entities, differences, .. }) => {
                self.refused += 1;
                metrics::counter!("tidelog_compactor_refusals_total", "reason" => "different").increment(1);
                // What the values are is nobody's business who reads logs.
                let first = differences.first();
                tracing::error!(
                    %space,
                    entities,
                    entity_type = first.map(|difference| &*difference.entity_type),
                    entity_id = first.map(|difference| difference.entity_id.as_str()),
                    field = first.and_then(|difference| difference.field.as_deref()),
                    "a read model is not what its log folds to; the space is not pruned (tidelog compactor doctor)"
                );
            }
            Pruning::Refused(verdict) => {
                metrics::counter!("tidelog_compactor_refusals_total", "reason" => "not-comparable")
                    .increment(1);
                tracing::info!(%space, ?verdict, "a space cannot be compared now, and is not pruned");
            }
            Pruning::TooLarge { bytes_max } => {
                metrics::counter!("tidelog_compactor_refusals_total", "reason" => "too-large").increment(1);
                tracing::warn!(%space, bytes_max, "a state is too large for a snapshot; the space is not pruned");
            }
            Pruning::Skips(position) => {
                metrics::counter!("tidelog_compactor_refusals_total", "reason" => "skipped").increment(1);
                tracing::warn!(%space, %position, "the fold skips an event; the space is not pruned");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tidelog_events::id::Position;
    use tidelog_events::protocol::UtcTime;

    use super::*;

    #[test]
    fn a_space_is_overdue_that_was_not_pruned_although_it_could_go() {
        let check = |merged: u64, pruning: Pruning, expect: Left| {
            assert_eq!(Left::of(merged, &pruning), expect, "{merged} {pruning:?}");
        };
        let waits = |why| Pruning::Waits(why);
        let behind = WhyNot::DeviceBehind { cursor: Position(1), until: UtcTime(0) };
        check(0, Pruning::TooLarge { bytes_max: 1 }, Left::Overdue);
        check(0, Pruning::Skips(Position(1)), Left::Overdue);
        check(0, waits(WhyNot::ProjectorBehind { applied: Position(1) }), Left::Overdue);
        check(0, waits(WhyNot::Rebuilding), Left::Overdue);
        check(0, waits(behind), Left::Nothing);
        check(1, Pruning::Skips(Position(1)), Left::More);
        check(0, waits(WhyNot::Young), Left::Nothing);
        check(0, waits(WhyNot::TooFew { events: 1, at_once: 2 }), Left::Nothing);
        check(0, Pruning::Elsewhere, Left::Nothing);
        check(1, waits(WhyNot::Young), Left::More);
    }
}
