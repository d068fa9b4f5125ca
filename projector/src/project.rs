//! One transaction of the projector: locks the projections that are free, folds what their logs hold behind them, and
//! moves them on with their entities.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgPool;
use tidelog_events::frame::FrameError;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::Schema;
use tidelog_runtime::failpoint::{Failpoint, reach};
use tidelog_store::projections::{self, Projection};

use crate::config::Measure;
use crate::delta::{DamagedLog, Delta};
use crate::transaction::{Damage, FoldError, Folder, Target, bounded};

/// What became of a space.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Somebody else folds it just now.
    Locked,
    /// It is folded through this position.
    Folded {
        applied: Position,
        /// Whether that is all there was when the transaction began.
        caught_up: bool,
    },
    /// It is behind, and the transaction had no room left for it.
    NoRoom,
    /// There is no such log: nothing was ever committed to the space, or it was erased.
    NoLog,
    /// It cannot be folded.
    Damaged(Damage),
}

/// Folds spaces into what is read.
pub(crate) struct Projector {
    folder: Folder,
}

impl Projector {
    pub(crate) fn new(pool: PgPool, measure: Measure, deadline: Duration) -> Result<Self, FrameError> {
        Ok(Self { folder: Folder::new(pool, measure, deadline)? })
    }

    /// The pool, to ask whether the database is there.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.folder.pool
    }

    /// Folds what the spaces' logs hold behind what is folded, as much as one transaction may, and says of each
    /// space what became of it.
    pub(crate) async fn project(
        &mut self,
        spaces: &[SpaceId],
        schema: &Schema,
    ) -> Result<BTreeMap<SpaceId, Progress>, FoldError> {
        bounded(self.folder.deadline(), self.transact(spaces, schema)).await
    }

    async fn transact(
        &mut self,
        spaces: &[SpaceId],
        schema: &Schema,
    ) -> Result<BTreeMap<SpaceId, Progress>, FoldError> {
        let mut transaction = self.folder.pool.begin().await?;
        let names: Vec<&str> = spaces.iter().map(SpaceId::as_str).collect();
        projections::ensure(&mut transaction, &names, schema.version()).await?;
        let present = projections::present(&mut transaction, &names).await?;
        let mut locked: BTreeMap<SpaceId, Projection> = projections::lock_free(&mut transaction, &names)
            .await?
            .into_iter()
            .map(|projection| (projection.space.clone(), projection))
            .collect();
        let mut progress: BTreeMap<_, _> = spaces
            .iter()
            .map(|space| {
                let none = if present.contains(space) { Progress::Locked } else { Progress::NoLog };
                (space.clone(), none)
            })
            .collect();
        // In the caller's order: it is whose turn it is.
        let targets = spaces.iter().filter_map(|space| locked.get(space)).map(target).collect();
        let (mut moved, mut left, mut damaged) = (Vec::new(), Vec::new(), false);
        for result in self.folder.advance(&mut transaction, targets, schema).await? {
            match result {
                Ok(target) => {
                    let Some(projection) = locked.remove(&target.space) else { continue };
                    let applied = target.applied;
                    let caught_up = applied >= projection.head;
                    progress.insert(target.space.clone(), Progress::Folded { applied, caught_up });
                    if applied > projection.applied {
                        moved.push(follow(projection, target, schema.version()));
                    } else if !caught_up {
                        left.push(projection);
                    }
                }
                Err((space, damage)) => {
                    damaged = true;
                    progress.insert(space, Progress::Damaged(damage));
                }
            }
        }
        let nothing_read = moved.is_empty() && !damaged;
        progress.extend(left.into_iter().map(|behind| not_moved(behind, nothing_read)));
        projections::advance(&mut transaction, &moved).await?;
        reach(Failpoint::ProjectorBeforeCommit);
        transaction.commit().await?;
        Ok(progress)
    }
}

/// What became of a space that is behind and was not moved on. One segment is read in any case: where nothing was read
/// of any space, there was nothing to read.
fn not_moved(behind: Projection, nothing_read: bool) -> (SpaceId, Progress) {
    let Projection { space, applied, head, .. } = behind;
    let damage = DamagedLog::End { applied, head };
    (space, if nothing_read { Progress::Damaged(damage.into()) } else { Progress::NoRoom })
}

fn target(projection: &Projection) -> Target {
    Target {
        space: projection.space.clone(),
        generation: projection.generation,
        applied: projection.applied,
        state_hash: projection.state_hash.clone(),
        delta: Delta::default(),
    }
}

/// The projection once the target's events are in. One that another version has folded so far is mixed from now on:
/// it goes on being read, until it is rebuilt.
fn follow(before: Projection, target: Target, version: u32) -> Projection {
    let fresh = before.applied == Position::ZERO;
    Projection {
        applied: target.applied,
        state_hash: target.state_hash,
        schema_version: if fresh { version } else { before.schema_version.max(version) },
        mixed: !fresh && (before.mixed || before.schema_version != version),
        ..before
    }
}

#[cfg(test)]
mod tests {
    use tidelog_events::fold::StateHash;

    use super::*;

    #[test]
    fn a_projection_that_two_schema_versions_folded_is_mixed_and_has_the_greater_one() {
        let check = |(applied, version, mixed), by, expect| {
            let before = Projection {
                space: SpaceId::new("ann").unwrap(),
                generation: 1,
                applied: Position(applied),
                state_hash: StateHash::default(),
                schema_version: version,
                mixed,
                head: Position(9),
            };
            let mut target = target(&before);
            target.applied = Position(9);
            let after = follow(before, target, by);
            assert_eq!((after.applied, (after.schema_version, after.mixed)), (Position(9), expect));
        };
        check((0, 3, false), 4, (4, false));
        check((5, 3, false), 3, (3, false));
        check((5, 3, false), 4, (4, true));
        check((5, 4, false), 3, (4, true));
        check((5, 4, true), 4, (4, true));
    }
}
