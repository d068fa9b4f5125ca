//! What projecting and rebuilding have in common: segments behind the cursors of some spaces are read and folded, and
//! what comes of them is written, all in the caller's transaction and in a constant number of statements.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tidelog_events::fold::{DamagedLine, DamagedLog, Delta, Span, StateHash};
use tidelog_events::frame::Decoder;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::Schema;
use tidelog_runtime::database::out_of_time;
use tidelog_store::segments::{self, Segment};
use tokio::task::block_in_place;
use tokio::time::timeout;

use crate::apply::{self, StoredLines};
use crate::base::DamagedSnapshot;
use crate::config::Measure;

/// Segments that one transaction reads at most, whatever their size.
const SEGMENTS_MAX: i64 = 4096;

/// As far as there is anything.
const END: Position = Position(u64::MAX);

/// What was read of each space, in order.
type Segments = BTreeMap<SpaceId, Vec<Segment>>;

/// Why nothing was folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A space's log or read model is damaged.
    #[error("the space {space} cannot be folded")]
    Damaged {
        /// The space.
        space: SpaceId,
        /// What is wrong.
        source: Damage,
    },
    /// A newer schema has folded the space, or is at it.
    #[error(
        "the space {space} is folded with schema version {version}, which is newer: rebuild with that one"
    )]
    NewerSchema {
        /// The space.
        space: SpaceId,
        /// That schema version.
        version: u32,
    },
    /// The log is pruned again and again beyond what a rebuild has folded.
    #[error("the space {0} is pruned faster than it can be rebuilt")]
    Outrun(SpaceId),
}

/// What makes a space impossible to fold.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The log.
    #[error(transparent)]
    Log(#[from] DamagedLog),
    /// A stored entity.
    #[error("a stored entity is damaged")]
    Entity(#[from] DamagedLine),
    /// The snapshot that stands for what was pruned.
    #[error(transparent)]
    Snapshot(#[from] DamagedSnapshot),
}

/// A generation of a space's entities, and what is to be folded into it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) space: SpaceId,
    pub(crate) generation: i32,
    /// The position through which the log was folded before this transaction.
    before: Position,
    /// And the one through which it is now.
    pub(crate) applied: Position,
    pub(crate) state_hash: StateHash,
    pub(crate) delta: Delta,
    /// Events that were folded, and those among them that the fold skipped.
    pub(crate) events: u64,
    pub(crate) skipped: u64,
    /// When the oldest of them came. What lay in quarantine before does not count.
    pub(crate) oldest: Option<UtcTime>,
}

impl Target {
    pub(crate) fn new(space: SpaceId, generation: i32, applied: Position, state_hash: StateHash) -> Self {
        let delta = Delta::default();
        Self {
            space,
            generation,
            before: applied,
            applied,
            state_hash,
            delta,
            events: 0,
            skipped: 0,
            oldest: None,
        }
    }

    /// Counts what is committed.
    pub(crate) fn count(&self) {
        metrics::counter!("tidelog_projector_events_total").increment(self.events);
        metrics::counter!("tidelog_projector_skipped_events_total").increment(self.skipped);
    }
}

/// The pool and the limits of a transaction, and the contexts that transactions reuse.
pub(crate) struct Folder {
    pub(crate) pool: PgPool,
    pub(crate) measure: Measure,
    deadline: Duration,
    pub(crate) decoder: Decoder,
}

impl Folder {
    pub(crate) fn new(
        pool: PgPool,
        measure: Measure,
        deadline: Duration,
    ) -> Result<Self, tidelog_events::frame::FrameError> {
        Ok(Self { pool, measure, deadline, decoder: Decoder::new()? })
    }

    /// How long a transaction may take.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Folds what lies behind the targets' cursors, as much as the measure allows, and writes it. A target comes back
    /// with its `applied` and `state_hash` moved; or it is damaged, then nothing of it was written.
    pub(crate) async fn advance(
        &mut self,
        connection: &mut PgConnection,
        mut targets: Vec<Target>,
        schema: &Schema,
    ) -> sqlx::Result<Vec<Result<Target, (SpaceId, Damage)>>> {
        let segments = self.read(connection, &targets).await?;
        let mut damaged = block_in_place(|| self.fold(&mut targets, &segments, schema));
        let stored = StoredLines::read(connection, &targets, self.measure.entity_bytes).await?;
        block_in_place(|| {
            for (index, target) in targets.iter_mut().enumerate() {
                if let Some(through) = stored.room_for(target)
                    && let Err(damage) = self.fold_through(target, through, &segments, schema)
                {
                    damaged.insert(index, damage.into());
                }
            }
        });
        apply::apply(connection, targets, &stored, damaged, schema).await
    }

    async fn read(&self, connection: &mut PgConnection, targets: &[Target]) -> sqlx::Result<Segments> {
        let cursors: Vec<_> = targets.iter().map(|target| (&target.space, target.applied)).collect();
        let stored_bytes = i64::try_from(self.measure.stored_bytes).unwrap_or(i64::MAX);
        let mut segments = Segments::new();
        for (space, segment) in
            segments::behind_each(connection, &cursors, SEGMENTS_MAX, stored_bytes).await?
        {
            segments.entry(space).or_default().push(segment);
        }
        Ok(segments)
    }

    /// Folds into the targets' deltas; returns the damage of those that cannot be folded, by their index.
    fn fold(
        &mut self,
        targets: &mut [Target],
        segments: &Segments,
        schema: &Schema,
    ) -> BTreeMap<usize, Damage> {
        let mut damaged = BTreeMap::new();
        let mut decoded_bytes = 0;
        for (index, target) in targets.iter_mut().enumerate() {
            for segment in segments.get(&target.space).into_iter().flatten() {
                // The first segment is taken in any case.
                if decoded_bytes > 0 && decoded_bytes >= self.measure.decoded_bytes {
                    return damaged;
                }
                match self.take(target, segment, END, schema) {
                    Ok(bytes) => decoded_bytes += bytes,
                    Err(damage) => {
                        damaged.insert(index, damage.into());
                        break;
                    }
                }
            }
        }
        damaged
    }

    /// Folds a target anew, through that position and no further.
    fn fold_through(
        &mut self,
        target: &mut Target,
        through: Position,
        segments: &Segments,
        schema: &Schema,
    ) -> Result<(), DamagedLog> {
        (target.applied, target.delta, target.oldest) = (target.before, Delta::default(), None);
        for segment in segments.get(&target.space).into_iter().flatten() {
            if target.applied < through {
                self.take(target, segment, through, schema)?;
            }
        }
        Ok(())
    }

    /// Takes a segment in; returns its decoded bytes.
    fn take(
        &mut self,
        target: &mut Target,
        segment: &Segment,
        through: Position,
        schema: &Schema,
    ) -> Result<u64, DamagedLog> {
        let span = Span { applied: target.applied, through };
        let (applied, bytes) =
            target.delta.take(&segment.header, &segment.frame, span, &mut self.decoder, schema)?;
        target.applied = applied;
        let arrived = segment.header.batches.iter().filter(|batch| !batch.released);
        let oldest = arrived.map(|batch| batch.received_at);
        target.oldest = target.oldest.into_iter().chain(oldest).min();
        Ok(bytes)
    }
}

/// Bounds a transaction from our side. Whether one that ran out of time was committed is not known; folding is
/// idempotent, since `applied` moves with the entities.
pub(crate) async fn bounded<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, FoldError>>,
) -> Result<T, FoldError> {
    timeout(deadline, work).await.unwrap_or_else(|elapsed| Err(out_of_time(elapsed).into()))
}
