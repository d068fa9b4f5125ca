//! One transaction of the projector: locks the projections that are free, folds what their logs hold behind them, and
//! moves them on with their entities.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgPool;
use tidelog_events::fold::DamagedLog;
use tidelog_events::frame::FrameError;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::Schema;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::failpoint::{Failpoint, reach};
use tidelog_store::projections::{self, Projection};

use crate::claim;
use crate::config::Measure;
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
    /// Its log was pruned beyond what is folded: it is rebuilt from its snapshot.
    Rebuilding,
    /// There is no such log: nothing was ever committed to the space, or it was erased.
    NoLog,
    /// It cannot be folded.
    Damaged(Damage),
}

/// Folds spaces into what is read.
pub(crate) struct Projector {
    folder: Folder,
    /// Of the lag that is measured, and nothing else.
    clock: Clock,
}

impl Projector {
    pub(crate) fn new(pool: PgPool, measure: Measure, deadline: Duration) -> Result<Self, FrameError> {
        Ok(Self { folder: Folder::new(pool, measure, deadline)?, clock: Clock::system() })
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
        let mut locked = claim::lock(&mut transaction, &names, schema).await?;
        let mut progress = claim::left_out(&mut transaction, spaces, &locked).await?;
        progress.extend(claim::rebuild_pruned(&mut transaction, &mut locked, schema).await?);
        // In the caller's order: it is whose turn it is.
        let targets = spaces.iter().filter_map(|space| locked.get(space)).map(target).collect();
        let mut moves = Moves::default();
        for result in self.folder.advance(&mut transaction, targets, schema).await? {
            let (space, what) = moves.note(result, &mut locked, schema);
            progress.insert(space, what);
        }
        progress.extend(moves.left_behind());
        projections::advance(&mut transaction, &moves.moved).await?;
        reach(Failpoint::ProjectorBeforeCommit);
        transaction.commit().await?;
        moves.count(self.clock.now());
        Ok(progress)
    }
}

/// What a transaction made of the projections that it had locked.
#[derive(Default)]
struct Moves {
    /// As they are now.
    moved: Vec<Projection>,
    /// What was folded for it.
    targets: Vec<Target>,
    /// Behind, and not moved on.
    left: Vec<Projection>,
    /// Whether any space could not be folded.
    any_damaged: bool,
}

impl Moves {
    fn note(
        &mut self,
        result: Result<Target, (SpaceId, Damage)>,
        locked: &mut BTreeMap<SpaceId, Projection>,
        schema: &Schema,
    ) -> (SpaceId, Progress) {
        let target = match result {
            Ok(target) => target,
            Err((space, damage)) => {
                self.any_damaged = true;
                return (space, Progress::Damaged(damage));
            }
        };
        let (space, applied) = (target.space.clone(), target.applied);
        // Each target was made of a locked projection.
        let Some(projection) = locked.remove(&space) else { return (space, Progress::Locked) };
        let caught_up = applied >= projection.head;
        if applied > projection.applied {
            self.moved.push(follow(projection, &target, schema));
            self.targets.push(target);
        } else if !caught_up {
            self.left.push(projection);
        }
        (space, Progress::Folded { applied, caught_up })
    }

    /// Counts what is committed, and how late it is.
    fn count(&self, now: UtcTime) {
        self.targets.iter().for_each(Target::count);
        if let Some(oldest) = self.targets.iter().filter_map(|target| target.oldest).min() {
            let lag_ms = now.0.saturating_sub(oldest.0).max(0);
            metrics::histogram!("tidelog_projector_lag_seconds").record(lag_ms as f64 / 1000.0);
        }
    }

    fn left_behind(&mut self) -> impl Iterator<Item = (SpaceId, Progress)> {
        let nothing_read = self.moved.is_empty() && !self.any_damaged;
        std::mem::take(&mut self.left).into_iter().map(move |behind| not_moved(behind, nothing_read))
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
    let Projection { space, generation, applied, state_hash, .. } = projection;
    Target::new(space.clone(), *generation, *applied, state_hash.clone())
}

/// The projection once the target's events are in. One that another schema has folded so far is mixed from now on: it
/// goes on being read, until it is rebuilt.
fn follow(before: Projection, target: &Target, schema: &Schema) -> Projection {
    let (fresh, own) = (before.applied == Position::ZERO, schema.id());
    Projection {
        applied: target.applied,
        state_hash: target.state_hash.clone(),
        mixed: !fresh && (before.mixed || before.schema != own),
        schema: if fresh || own.version >= before.schema.version { own } else { before.schema },
        ..before
    }
}

#[cfg(test)]
mod tests {
    use tidelog_events::fold::StateHash;

    use super::*;

    fn schema(version: u32, field: &str) -> Schema {
        let text = format!(
            "{{name: app, version: {version}, entities: {{note: {{fields: {{{field}: {{type: string}}}}}}}}, events: {{}}}}"
        );
        Schema::parse(&text).unwrap()
    }

    #[test]
    fn a_projection_that_two_schemas_folded_is_mixed_and_has_the_newer_one() {
        let check = |(applied, by, mixed): (u64, &Schema, bool), own: &Schema, expect: (&Schema, bool)| {
            let before = Projection {
                space: SpaceId::new("ann").unwrap(),
                generation: 1,
                applied: Position(applied),
                state_hash: StateHash::default(),
                schema: by.id(),
                mixed,
                head: Position(9),
                horizon: Position::ZERO,
            };
            let mut target = target(&before);
            target.applied = Position(9);
            let after = follow(before, &target, own);
            assert_eq!((after.applied, after.schema, after.mixed), (Position(9), expect.0.id(), expect.1));
        };
        let (three, four, edited) = (schema(3, "text"), schema(4, "text"), schema(4, "body"));
        check((0, &three, false), &four, (&four, false));
        check((5, &three, false), &three, (&three, false));
        check((5, &three, false), &four, (&four, true));
        check((5, &four, false), &three, (&four, true));
        check((5, &four, true), &four, (&four, true));
        check((5, &four, false), &edited, (&edited, true));
    }
}
