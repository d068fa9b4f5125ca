//! All that is done with one space, in order: clean, merge, and where the plan says so snapshot, verify, archive, prune.
//! Whoever is cut off between any two of these has lost nothing; the next run begins again.

use std::time::Duration;

use sqlx::{PgPool, Postgres, Transaction};
use tidelog_archive::Archive;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::Schema;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::failpoint::{Failpoint, reach};
use tidelog_store::compactions::{self, Compaction, DueBefore};
use tidelog_store::snapshots::Snapshot;
use tidelog_store::spaces::Space;
use tidelog_store::{snapshot_parts, snapshots, spaces};

use crate::config::{CompactorConfig, RetentionConfig};
use crate::error::CompactError;
use crate::look::look;
use crate::merge;
use crate::plan::{Decision, Plan, Policy, SEGMENTS_MIN, WhyNot, milliseconds, plan};
use crate::snapshot::{self, Written};
use crate::verify::{Against, Verdict, verify};
use crate::work::Work;
use crate::{archive, prune};

/// Parts that one statement deletes.
const PARTS: i64 = 100;

/// What came of a space.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Another replica is at it, or there is no such space.
    Elsewhere,
    /// This is done.
    Done {
        /// Segments that were merged into others.
        merged: u64,
        /// Whether it was pruned.
        pruning: Pruning,
    },
}

/// Whether a space was pruned.
#[derive(Debug, Clone, PartialEq)]
pub enum Pruning {
    /// It was.
    Pruned(Pruned),
    /// There is nothing to prune yet.
    Waits(WhyNot),
    /// Another replica has taken the space meanwhile.
    Elsewhere,
    /// It was not, since the snapshot could not be proven.
    Refused(Verdict),
    /// It was not: its snapshot would have more decoded bytes, and devices take no larger answers.
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// It was not, since the fold skips the event at that position, or a part of it: a later schema may not.
    Skips(Position),
}

/// A space that was pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Its horizon.
    pub through: Position,
    /// Events that left the log.
    pub events: u64,
    /// Entities of the snapshot, invisible ones included.
    pub entities: u64,
    /// Stored bytes of the snapshot.
    pub snapshot_bytes: u64,
    /// Bytes of the objects of the archive.
    pub archive_bytes: u64,
}

/// What work on a space needs.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) pool: PgPool,
    pub(crate) archive: Archive,
    pub(crate) clock: Clock,
    pub(crate) policy: Policy,
    pub(crate) config: CompactorConfig,
    pub(crate) work: Work,
}

impl Tools {
    pub(crate) fn new(
        pool: PgPool,
        archive: Archive,
        clock: Clock,
        config: CompactorConfig,
        retention: &RetentionConfig,
    ) -> Self {
        let policy = Policy::new(&config, retention, &clock);
        let work = Work::new(&config);
        Self { pool, archive, clock, policy, config, work }
    }

    /// The time before which superseded snapshots may go.
    pub(crate) fn grace_ends(&self) -> UtcTime {
        UtcTime(self.clock.now().0 - milliseconds(Duration::from_secs(self.config.snapshot_grace_seconds)))
    }

    /// The times before which something of a space is due.
    pub(crate) fn due_before(&self) -> DueBefore {
        let now = self.clock.now();
        DueBefore {
            pruned: UtcTime(now.0 - self.policy.retention_ms),
            keep_events: self.policy.keep_events,
            prune_events: self.policy.prune_events,
            merged: UtcTime(now.0 - self.policy.merge_after_ms),
            merge_segments: SEGMENTS_MIN as i64,
            superseded: self.grace_ends(),
        }
    }

    /// Compares a space's read model with its log and the snapshot before it.
    pub(crate) async fn examine(&self, space: &SpaceId, schema: &Schema) -> Result<Verdict, CompactError> {
        verify(&self.pool, space, Against::AtHorizon, schema, &self.work).await
    }

    /// What would be done with a space now; `None` where there is no such space.
    pub(crate) async fn plan(&self, space: &SpaceId) -> Result<Option<Plan>, CompactError> {
        let facts = look(&self.pool, space, &self.policy, &self.clock).await?;
        Ok(facts.map(|facts| plan(&facts, &self.policy, self.clock.now())))
    }

    /// Does what is due with a space.
    pub(crate) async fn compact(&self, space: &SpaceId, schema: &Schema) -> Result<Outcome, CompactError> {
        let Some(mut claim) = Claim::take(&self.pool, space).await? else { return Ok(Outcome::Elsewhere) };
        self.clear(&mut claim, space).await?;
        // What is cleared is gone before a snapshot is written, and the merges stay whatever comes of that.
        let Some(merged) = self.merge(claim, space).await? else { return Ok(Outcome::Elsewhere) };
        let Some(mut claim) = Claim::take(&self.pool, space).await? else {
            return Ok(Outcome::Done { merged, pruning: Pruning::Elsewhere });
        };
        // The log is another one now: its segments are where they will be archived.
        let facts = look(&self.pool, space, &self.policy, &self.clock).await?;
        let Some(facts) = facts else { return Ok(Outcome::Elsewhere) };
        let pruning = match plan(&facts, &self.policy, self.clock.now()).prune {
            Decision::Wait(why) => {
                self.look_at_refusal(&mut claim, space, schema).await?;
                Pruning::Waits(why)
            }
            Decision::Through(through) => self.prune(&mut claim, &facts.space, through, schema).await?,
        };
        claim.transaction.commit().await?;
        if let Pruning::Pruned(_) = pruning {
            reach(Failpoint::CompactorAfterPrune);
        }
        Ok(Outcome::Done { merged, pruning })
    }

    /// Merges, and gives the claim back; returns how many segments went, `None` where there is no space.
    async fn merge(&self, mut claim: Claim, space: &SpaceId) -> Result<Option<u64>, CompactError> {
        let facts = look(&self.pool, space, &self.policy, &self.clock).await?;
        let Some(facts) = facts else { return Ok(None) };
        let plan = plan(&facts, &self.policy, self.clock.now());
        let mut merged = 0;
        for span in &plan.merges {
            merged += merge::merge(&self.pool, space, *span).await?;
        }
        if plan.merged_through > claim.known.merged_through {
            compactions::note_merged(&mut claim.transaction, space, plan.merged_through).await?;
        }
        claim.transaction.commit().await?;
        Ok(Some(merged))
    }

    /// Deletes snapshots that nobody reads any more, and those that were never proven: on the claim's own connection, or
    /// whoever has lost it would take them from whoever has it now.
    async fn clear(&self, claim: &mut Claim, space: &SpaceId) -> Result<(), CompactError> {
        let connection = &mut *claim.transaction;
        let Some(Space { horizon, .. }) = spaces::find(connection, space).await? else { return Ok(()) };
        snapshots::delete_unread(connection, space, horizon, self.grace_ends()).await?;
        while snapshot_parts::delete_orphans(connection, space, PARTS).await? > 0 {}
        Ok(())
    }

    async fn prune(
        &self,
        claim: &mut Claim,
        space: &Space,
        through: Position,
        schema: &Schema,
    ) -> Result<Pruning, CompactError> {
        let (pool, id) = (&self.pool, &space.space);
        let written = snapshot::write(pool, space, through, schema, &self.work, self.clock.now()).await?;
        let snapshot = match written {
            Written::Snapshot(snapshot) => snapshot,
            Written::TooLarge => {
                return Ok(Pruning::TooLarge { bytes_max: self.work.snapshot_bytes });
            }
            Written::Skips(position) => return Ok(Pruning::Skips(position)),
        };
        let verdict = verify(pool, id, Against::Snapshot(&snapshot), schema, &self.work).await?;
        let Verdict::Equal { .. } = verdict else {
            self.refuse(claim, id, &verdict).await?;
            return Ok(Pruning::Refused(verdict));
        };
        reach(Failpoint::CompactorAfterVerify);
        let archived = archive::write(pool, &self.archive, space, through, self.config.archive_bytes).await?;
        let now = self.clock.now();
        let events = prune::prune(&mut claim.transaction, space, through, &archived, now).await?;
        if claim.known.refusal.is_some() {
            compactions::note_refusal(&mut claim.transaction, id, None, now).await?;
        }
        reach(Failpoint::CompactorBeforePrune);
        Ok(Pruning::Pruned(pruned(&snapshot, events, archived.iter().map(|object| object.bytes).sum())))
    }

    /// Withdraws a refusal when what it has found is repaired, although nothing can be pruned now.
    async fn look_at_refusal(
        &self,
        claim: &mut Claim,
        space: &SpaceId,
        schema: &Schema,
    ) -> Result<(), CompactError> {
        if claim.known.refusal.is_some()
            && let Verdict::Equal { .. } = self.examine(space, schema).await?
        {
            let now = self.clock.now();
            compactions::note_refusal(&mut claim.transaction, space, None, now).await?;
        }
        Ok(())
    }

    /// Notes what differs, so that people can see it.
    async fn refuse(
        &self,
        claim: &mut Claim,
        space: &SpaceId,
        verdict: &Verdict,
    ) -> Result<(), CompactError> {
        if let Verdict::Different { .. } = verdict {
            let refusal = serde_json::to_value(verdict).map_err(|error| sqlx::Error::Encode(error.into()))?;
            let now = self.clock.now();
            compactions::note_refusal(&mut claim.transaction, space, Some(&refusal), now).await?;
        }
        Ok(())
    }
}

fn pruned(snapshot: &Snapshot, events: u64, archive_bytes: u64) -> Pruned {
    Pruned {
        through: snapshot.through,
        events,
        entities: snapshot.entities.values().sum(),
        snapshot_bytes: snapshot.bytes,
        archive_bytes,
    }
}

/// A space that nobody else compacts meanwhile: a transaction that holds its row for as long as the work takes. What it
/// says of the space is committed with it.
struct Claim {
    transaction: Transaction<'static, Postgres>,
    known: Compaction,
}

impl Claim {
    async fn take(pool: &PgPool, space: &SpaceId) -> Result<Option<Self>, CompactError> {
        compactions::ensure(&mut *pool.acquire().await?, space).await?;
        let mut transaction = pool.begin().await?;
        let known = compactions::lock_free(&mut transaction, space).await?;
        Ok(known.map(|known| Self { transaction, known }))
    }
}
