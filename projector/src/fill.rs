//! What one transaction of a rebuild does to the generation that it fills.

use sqlx::PgConnection;
use tidelog_events::fold::DamagedLog;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::{Schema, SchemaId};
use tidelog_store::projections;
use tidelog_store::rebuilds::{self, Rebuild};
use tidelog_store::spaces::{self, Space};

use crate::base::DamagedSnapshot;
use crate::generation::{abandon, empty, start_over, switch};
use crate::rebuild::Step;
use crate::transaction::{Damage, FoldError, Folder, Target};

impl Folder {
    /// Fills the generation further, or lets it begin again.
    pub(crate) async fn go_on(
        &mut self,
        connection: &mut PgConnection,
        space: &SpaceId,
        rebuild: Rebuild,
        schema: &Schema,
    ) -> Result<Step, FoldError> {
        refuse_newer(space, &rebuild.schema, schema)?;
        if rebuild.schema != schema.id() {
            abandon(connection, space, rebuild).await?;
            return Ok(Step::Emptied);
        }
        let log = spaces::find(&mut *connection, space).await?;
        let horizon = log.as_ref().map_or(Position::ZERO, |log| log.horizon);
        // What lay between is gone from the log.
        if !rebuild.is_fresh() && rebuild.applied.max(rebuild.snapshot) < horizon {
            start_over(connection, space, rebuild).await?;
            return Ok(Step::Outrun);
        }
        match self.fill(&mut *connection, space, rebuild.clone(), log, schema).await {
            // It looked into the log, or at the snapshot, while they were changed.
            Err(FoldError::Damaged { .. }) if is_moved(&mut *connection, space, horizon).await? => {
                start_over(connection, space, rebuild).await?;
                Ok(Step::Outrun)
            }
            Err(FoldError::Damaged { source, .. })
                if matches!(source, Damage::Snapshot(DamagedSnapshot::StateHash(_))) =>
            {
                start_over(connection, space, rebuild).await?;
                Ok(Step::Refused(source))
            }
            filled => filled,
        }
    }

    /// Takes in the next chunk of the snapshot; behind it, of the log.
    async fn fill(
        &mut self,
        connection: &mut PgConnection,
        space: &SpaceId,
        mut rebuild: Rebuild,
        log: Option<Space>,
        schema: &Schema,
    ) -> Result<Step, FoldError> {
        if rebuild.is_fresh() {
            // Of a rebuild that began again, or of a projection that was lost.
            if !empty(&mut *connection, space, rebuild.generation).await? {
                return Ok(Step::Emptied);
            }
            rebuild.snapshot = log.as_ref().map_or(Position::ZERO, |log| log.horizon);
        }
        if rebuild.applied < rebuild.snapshot {
            let rebuild = self.take_in(&mut *connection, space, rebuild, schema).await?;
            rebuilds::update(connection, space, &rebuild).await?;
            return Ok(Step::Filled);
        }
        self.catch_up(connection, space, rebuild, log, schema).await
    }

    /// Folds the next chunk of the log. Where that reaches the log's end it takes the projection's lock, folds what came
    /// meanwhile, and switches: in the same transaction, since a busy log has moved on before the next one.
    async fn catch_up(
        &mut self,
        connection: &mut PgConnection,
        space: &SpaceId,
        rebuild: Rebuild,
        log: Option<Space>,
        schema: &Schema,
    ) -> Result<Step, FoldError> {
        let head = log.map_or(Position::ZERO, |log| log.head);
        let before = rebuild.applied;
        let mut rebuild = self.fold_behind(&mut *connection, space, rebuild, schema).await?;
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
        refuse_newer(space, &live.schema, schema)?;
        if rebuild.applied < live.head {
            rebuild = self.fold_behind(&mut *connection, space, rebuild, schema).await?;
        }
        if rebuild.applied < live.applied {
            rebuilds::update(connection, space, &rebuild).await?;
            return Ok(Step::Filled);
        }
        Ok(Step::Switched(switch(connection, space, live, rebuild).await?))
    }

    async fn fold_behind(
        &mut self,
        connection: &mut PgConnection,
        space: &SpaceId,
        rebuild: Rebuild,
        schema: &Schema,
    ) -> Result<Rebuild, FoldError> {
        let hash = rebuild.state_hash.clone();
        let target = Target::new(space.clone(), rebuild.generation, rebuild.applied, hash);
        match self.advance(connection, vec![target], schema).await?.pop() {
            Some(Ok(target)) => {
                target.count();
                Ok(Rebuild { applied: target.applied, state_hash: target.state_hash, ..rebuild })
            }
            Some(Err((space, source))) => Err(FoldError::Damaged { space, source }),
            None => Ok(rebuild),
        }
    }
}

/// Whether the log was pruned further since its horizon was there.
async fn is_moved(connection: &mut PgConnection, space: &SpaceId, horizon: Position) -> sqlx::Result<bool> {
    Ok(spaces::find(connection, space).await?.is_some_and(|log| log.horizon > horizon))
}

/// What a newer schema has folded may hold what this one would leave out.
pub(crate) fn refuse_newer(space: &SpaceId, by: &SchemaId, schema: &Schema) -> Result<(), FoldError> {
    if by.version > schema.version() {
        return Err(FoldError::NewerSchema { space: space.clone(), version: by.version });
    }
    Ok(())
}
