//! Rebuilds a space's entities from its log: the next generation is filled beside the one that is read, chunk by chunk,
//! while that goes on being folded and read; when it has caught up, under the projection's lock, readers switch to it;
//! then the old one is emptied. A rebuild that is cut off anywhere goes on where it was.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tidelog_events::frame::FrameError;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::Schema;
use tidelog_store::projections::{self, Projection};
use tidelog_store::rebuilds::{self, Rebuild};
use tidelog_store::{entities, entity_keys, skipped_events, spaces};
use tokio::time::sleep;

use crate::config::Measure;
use crate::delta::DamagedLog;
use crate::transaction::{Damage, FoldError, Folder, Target, bounded};

/// Rows that one transaction deletes of a generation that nobody reads.
const ROWS: i64 = 5000;
/// How soon a rebuild is looked at again that somebody else works on.
const ELSEWHERE_PAUSE: Duration = Duration::from_millis(50);

/// What a rebuild did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// The position through which the log was folded when readers switched; none if it was another process that let them.
    pub applied: Option<Position>,
}

/// What one transaction did.
enum Step {
    /// More of the log is folded into the next generation.
    Filled,
    /// Less is left of a generation that nobody reads.
    Emptied,
    /// Readers read what was rebuilt through this position; the old rows are still there.
    Switched(Position),
    /// Somebody else works on it.
    Elsewhere,
    /// It must be somebody with this newer schema version who works on it.
    Newer(u32),
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
    /// Readers read what was rebuilt through this position.
    Switched(Position),
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
    /// When the database is away, or the log is damaged: what was read so far goes on being read.
    pub async fn rebuild(&mut self, space: &SpaceId, schema: &Schema) -> Result<Rebuilt, FoldError> {
        loop {
            let begun = self.begin(space, schema).await?;
            match self.finish(space, schema).await? {
                Ended::Switched(applied) => return Ok(Rebuilt { applied: Some(applied) }),
                // Now that what an earlier one left is gone, there is room for this one.
                Ended::Cleared if !begun => {}
                _ => return Ok(Rebuilt { applied: None }),
            }
        }
    }

    /// Works until no rebuild of the space is under way.
    async fn finish(&mut self, space: &SpaceId, schema: &Schema) -> Result<Ended, FoldError> {
        let mut ended = Ended::Nothing;
        loop {
            ended = match (self.step(space, schema).await?, ended) {
                (Step::Done, ended) => return Ok(ended),
                (Step::Newer(version), _) => {
                    return Err(FoldError::NewerSchema { space: space.clone(), version });
                }
                (Step::Switched(applied), _) => Ended::Switched(applied),
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
    /// to others what others work on.
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
        while !matches!(self.step(space, schema).await?, Step::Done | Step::Elsewhere | Step::Newer(_)) {}
        Ok(())
    }

    /// The pool, to look up what must be rebuilt.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.folder.pool
    }

    async fn begin(&self, space: &SpaceId, schema: &Schema) -> Result<bool, FoldError> {
        bounded(self.folder.deadline(), async {
            let mut transaction = self.folder.pool.begin().await?;
            projections::ensure(&mut transaction, &[space.as_str()], &schema.id()).await?;
            refuse_newer(projections::lock(&mut transaction, space).await?.as_ref(), schema)?;
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
                Some(rebuild) if rebuild.retired => empty(&mut transaction, space, &rebuild).await?,
                Some(rebuild) if rebuild.schema.version > schema.version() => {
                    Step::Newer(rebuild.schema.version)
                }
                Some(rebuild) if rebuild.schema != schema.id() => {
                    abandon(&mut transaction, space, rebuild).await?
                }
                Some(rebuild) => self.fill(&mut transaction, space, rebuild, schema).await?,
                None if rebuilds::is_under_way(&mut transaction, space).await? => Step::Elsewhere,
                None => Step::Done,
            };
            transaction.commit().await?;
            Ok(step)
        })
        .await
    }

    /// Folds the next chunk. Where that reaches the log's end it takes the projection's lock, folds what came meanwhile,
    /// and switches: in the same transaction, since a busy log has moved on before the next one.
    async fn fill(
        &mut self,
        connection: &mut PgConnection,
        space: &SpaceId,
        rebuild: Rebuild,
        schema: &Schema,
    ) -> Result<Step, FoldError> {
        let head = spaces::find(&mut *connection, space).await?.map_or(Position::ZERO, |space| space.head);
        let before = rebuild.applied;
        let mut rebuild = self.fold(&mut *connection, space, rebuild, schema).await?;
        if rebuild.applied < head {
            if rebuild.applied == before {
                let source = Damage::Log(DamagedLog::End { applied: before, head });
                return Err(FoldError::Damaged { space: space.clone(), source });
            }
            rebuilds::update(connection, space, &rebuild).await?;
            return Ok(Step::Filled);
        }
        let Some(live) = projections::lock(&mut *connection, space).await? else {
            // Erased meanwhile.
            rebuilds::finish(connection, space).await?;
            return Ok(Step::Done);
        };
        refuse_newer(Some(&live), schema)?;
        if rebuild.applied < live.head {
            rebuild = self.fold(&mut *connection, space, rebuild, schema).await?;
        }
        if rebuild.applied < live.applied {
            rebuilds::update(connection, space, &rebuild).await?;
            return Ok(Step::Filled);
        }
        switch(connection, space, live, rebuild).await
    }

    async fn fold(
        &mut self,
        connection: &mut PgConnection,
        space: &SpaceId,
        rebuild: Rebuild,
        schema: &Schema,
    ) -> Result<Rebuild, FoldError> {
        let hash = rebuild.state_hash.clone();
        let target = Target::new(space.clone(), rebuild.generation, rebuild.applied, hash);
        match self.folder.advance(connection, vec![target], schema).await?.pop() {
            Some(Ok(target)) => {
                target.count();
                Ok(Rebuild { applied: target.applied, state_hash: target.state_hash, ..rebuild })
            }
            Some(Err((space, source))) => Err(FoldError::Damaged { space, source }),
            None => Ok(rebuild),
        }
    }
}

/// What a newer schema has folded may hold what this one would leave out.
fn refuse_newer(live: Option<&Projection>, schema: &Schema) -> Result<(), FoldError> {
    match live {
        Some(live) if live.schema.version > schema.version() => {
            Err(FoldError::NewerSchema { space: live.space.clone(), version: live.schema.version })
        }
        _ => Ok(()),
    }
}

/// Lets readers read the rebuilt generation; the one that they read before is retired.
async fn switch(
    connection: &mut PgConnection,
    space: &SpaceId,
    live: Projection,
    rebuild: Rebuild,
) -> Result<Step, FoldError> {
    let applied = rebuild.applied;
    let retired = Rebuild { generation: live.generation, retired: true, ..rebuild.clone() };
    let switched = Projection {
        generation: rebuild.generation,
        applied,
        state_hash: rebuild.state_hash,
        schema: rebuild.schema.clone(),
        mixed: false,
        ..live
    };
    projections::advance(&mut *connection, &[switched]).await?;
    rebuilds::update(connection, space, &retired).await?;
    metrics::counter!("tidelog_projector_rebuilds_total").increment(1);
    tracing::info!(%space, %applied, schema_version = rebuild.schema.version, "a space was rebuilt");
    Ok(Step::Switched(applied))
}

/// Another schema is in force: what was filled so far is of no use.
async fn abandon(
    connection: &mut PgConnection,
    space: &SpaceId,
    rebuild: Rebuild,
) -> Result<Step, FoldError> {
    rebuilds::update(connection, space, &Rebuild { retired: true, ..rebuild }).await?;
    Ok(Step::Emptied)
}

/// Deletes a chunk of a retired generation; ends the rebuild when nothing is left of it.
async fn empty(connection: &mut PgConnection, space: &SpaceId, retired: &Rebuild) -> Result<Step, FoldError> {
    let generation = retired.generation;
    let entities = entities::delete_generation(&mut *connection, space, generation, ROWS).await?;
    let keys = entity_keys::delete_generation(&mut *connection, space, generation, ROWS).await?;
    if entities + keys > 0 {
        return Ok(Step::Emptied);
    }
    skipped_events::delete_generation(&mut *connection, space, generation).await?;
    rebuilds::finish(connection, space).await?;
    Ok(Step::Emptied)
}
