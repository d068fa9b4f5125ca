//! What projecting and rebuilding have in common: segments behind the cursors of some spaces are read and folded, and
//! what comes of them is written, all in the caller's transaction and in a constant number of statements.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tidelog_events::fold::{DamagedLine, StateHash};
use tidelog_events::frame::Decoder;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::Schema;
use tidelog_store::segments::{self, Segment};
use tokio::task::block_in_place;
use tokio::time::timeout;

use crate::apply;
use crate::config::Measure;
use crate::delta::{DamagedLog, Delta};

/// Segments that one transaction reads at most, whatever their size.
const SEGMENTS_MAX: i64 = 4096;

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
    /// A rebuild with a newer schema is under way.
    #[error("the space {space} is being rebuilt with schema version {version}, which is newer")]
    NewerSchema {
        /// The space.
        space: SpaceId,
        /// That schema version.
        version: u32,
    },
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
}

/// A generation of a space's entities, and what is to be folded into it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) space: SpaceId,
    pub(crate) generation: i32,
    /// The position through which the log is folded.
    pub(crate) applied: Position,
    pub(crate) state_hash: StateHash,
    pub(crate) delta: Delta,
}

/// The pool and the limits of a transaction, and the contexts that transactions reuse.
pub(crate) struct Folder {
    pub(crate) pool: PgPool,
    measure: Measure,
    deadline: Duration,
    decoder: Decoder,
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
        let cursors: Vec<_> = targets.iter().map(|target| (&target.space, target.applied)).collect();
        let stored_bytes = i64::try_from(self.measure.stored_bytes).unwrap_or(i64::MAX);
        let found = segments::behind_each(connection, &cursors, SEGMENTS_MAX, stored_bytes).await?;
        let mut by_space: BTreeMap<SpaceId, Vec<Segment>> = BTreeMap::new();
        for (space, segment) in found {
            by_space.entry(space).or_default().push(segment);
        }
        let damaged = block_in_place(|| self.fold(&mut targets, &by_space, schema));
        apply::apply(connection, targets, damaged, schema).await
    }

    /// Folds into the targets' deltas; returns the damage of those that cannot be folded, by their index.
    fn fold(
        &mut self,
        targets: &mut [Target],
        segments: &BTreeMap<SpaceId, Vec<Segment>>,
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
                let (header, frame) = (&segment.header, &segment.frame);
                match target.delta.take(header, frame, target.applied, &mut self.decoder, schema) {
                    Ok((applied, bytes)) => {
                        target.applied = applied;
                        decoded_bytes += bytes;
                    }
                    Err(damage) => {
                        damaged.insert(index, damage.into());
                        break;
                    }
                }
            }
        }
        damaged
    }
}

/// Bounds a transaction from our side. Whether one that ran out of time was committed is not known; folding is
/// idempotent, since `applied` moves with the entities.
pub(crate) async fn bounded<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, FoldError>>,
) -> Result<T, FoldError> {
    match timeout(deadline, work).await {
        Ok(result) => result,
        Err(elapsed) => Err(sqlx::Error::Io(std::io::Error::new(ErrorKind::TimedOut, elapsed)).into()),
    }
}
