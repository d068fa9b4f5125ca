//! Rebuilds a space's entities from the snapshot at its horizon and the log behind it: the next generation is filled
//! beside the one that is read, chunk by chunk, while that goes on being folded and read; when it has caught up, under the
//! projection's lock, readers switch to it; then the old one is emptied. A rebuild that is cut off anywhere goes on where
//! it was; one that the horizon has overtaken begins again.

use std::time::Duration;

use sqlx::PgPool;
use tidelog_events::frame::FrameError;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::Schema;
use tidelog_store::{projections, rebuilds};
use tokio::time::sleep;

use crate::claim;
use crate::config::Measure;
use crate::fill::refuse_newer;
use crate::generation::empty;
use crate::transaction::{Damage, FoldError, Folder, bounded};

/// A rebuild that begins again more often is put off.
const RESTARTS_MAX: u32 = 5;
/// How soon a rebuild is looked at again that somebody else works on.
const ELSEWHERE_PAUSE: Duration = Duration::from_millis(50);

/// What a rebuild did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// The position through which the log was folded when readers switched; none if it was another process that let them.
    pub applied: Option<Position>,
    /// The position of the snapshot that it started from; 0 where it started from nothing.
    pub snapshot: Position,
}

impl Rebuilt {
    const ELSEWHERE: Self = Self { applied: None, snapshot: Position::ZERO };
}

/// What one transaction did.
pub(crate) enum Step {
    /// More of the snapshot or of the log is in the next generation.
    Filled,
    /// Less is left of a generation that nobody reads.
    Emptied,
    /// The log was pruned beyond what is in the next generation, which begins again.
    Outrun,
    /// The snapshot was taken in, and is not what was written. The next try begins again, from what is there then.
    Refused(Damage),
    /// Readers read what was rebuilt; the old rows are still there.
    Switched(Rebuilt),
    /// Somebody else works on it.
    Elsewhere,
    /// Nothing is under way.
    Done,
}

/// What became of a rebuild.
enum Ended {
    /// There was nothing to do.
    Nothing,
    /// What an earlier one had left is gone; nothing was rebuilt.
    Cleared,
    /// It was another process that let readers switch.
    Shared,
    /// Readers read what was rebuilt.
    Switched(Rebuilt),
}

/// Rebuilds spaces.
pub struct Rebuilder {
    folder: Folder,
}

impl Rebuilder {
    /// With transactions of that measure, each bounded by `deadline`.
    ///
    /// # Errors
    /// When there is no memory for a decompression context.
    pub fn new(pool: PgPool, measure: Measure, deadline: Duration) -> Result<Self, FrameError> {
        Ok(Self { folder: Folder::new(pool, measure, deadline)? })
    }

    /// Rebuilds one space with `schema`, or goes on with a rebuild of it that is under way.
    ///
    /// # Errors
    /// When the database is away, the log or its snapshot is damaged, or a newer schema has folded it: what was read so
    /// far goes on being read.
    pub async fn rebuild(&mut self, space: &SpaceId, schema: &Schema) -> Result<Rebuilt, FoldError> {
        loop {
            let begun = self.begin(space, schema).await?;
            match self.finish(space, schema).await? {
                Ended::Switched(rebuilt) => return Ok(rebuilt),
                // Now that what an earlier one left is gone, there is room for this one.
                Ended::Cleared if !begun => {}
                _ => return Ok(Rebuilt::ELSEWHERE),
            }
        }
    }

    /// Works until no rebuild of the space is under way.
    async fn finish(&mut self, space: &SpaceId, schema: &Schema) -> Result<Ended, FoldError> {
        let (mut ended, mut restarts) = (Ended::Nothing, 0);
        loop {
            ended = match (self.step(space, schema).await?, ended) {
                (Step::Done, ended) => return Ok(ended),
                (Step::Refused(source), _) => {
                    return Err(FoldError::Damaged { space: space.clone(), source });
                }
                (Step::Outrun, _) if restarts == RESTARTS_MAX => {
                    return Err(FoldError::Outrun(space.clone()));
                }
                (Step::Outrun, _) => {
                    restarts += 1;
                    Ended::Shared
                }
                (Step::Switched(rebuilt), _) => Ended::Switched(rebuilt),
                (Step::Filled, _) => Ended::Shared,
                (Step::Emptied, Ended::Nothing) => Ended::Cleared,
                (Step::Emptied, ended) => ended,
                (Step::Elsewhere, _) => {
                    sleep(ELSEWHERE_PAUSE).await;
                    Ended::Shared
                }
            };
        }
    }

    /// As [`Self::rebuild`], if a rebuild is under way or the space was not folded by this schema version alone. Leaves
    /// to others what others work on, and to the next time what the horizon has overtaken.
    pub(crate) async fn rebuild_outdated(
        &mut self,
        space: &SpaceId,
        schema: &Schema,
    ) -> Result<(), FoldError> {
        bounded(self.folder.deadline(), async {
            let mut connection = self.folder.pool.acquire().await?;
            Ok(rebuilds::begin_outdated(&mut connection, space, &schema.id()).await?)
        })
        .await?;
        loop {
            match self.step(space, schema).await {
                Ok(Step::Filled | Step::Emptied | Step::Switched(_)) => {}
                Ok(Step::Done | Step::Elsewhere | Step::Outrun) | Err(FoldError::NewerSchema { .. }) => {
                    return Ok(());
                }
                Ok(Step::Refused(source)) => return Err(FoldError::Damaged { space: space.clone(), source }),
                Err(error) => return Err(error),
            }
        }
    }

    /// The pool, to look up what must be rebuilt.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.folder.pool
    }

    async fn begin(&self, space: &SpaceId, schema: &Schema) -> Result<bool, FoldError> {
        bounded(self.folder.deadline(), async {
            let mut transaction = self.folder.pool.begin().await?;
            claim::ensure(&mut transaction, &[space.as_str()], schema).await?;
            if let Some(live) = projections::lock(&mut transaction, space).await? {
                refuse_newer(space, &live.schema, schema)?;
            }
            let begun = rebuilds::begin(&mut transaction, space, &schema.id()).await?;
            transaction.commit().await?;
            Ok(begun)
        })
        .await
    }

    async fn step(&mut self, space: &SpaceId, schema: &Schema) -> Result<Step, FoldError> {
        bounded(self.folder.deadline(), async {
            let mut transaction = self.folder.pool.begin().await?;
            let step = match rebuilds::lock_free(&mut transaction, space).await? {
                Some(retired) if retired.retired => {
                    if empty(&mut transaction, space, retired.generation).await? {
                        rebuilds::finish(&mut transaction, space).await?;
                    }
                    Step::Emptied
                }
                Some(rebuild) => self.folder.go_on(&mut transaction, space, rebuild, schema).await?,
                None if rebuilds::is_under_way(&mut transaction, space).await? => Step::Elsewhere,
                None => Step::Done,
            };
            transaction.commit().await?;
            Ok(step)
        })
        .await
    }
}
