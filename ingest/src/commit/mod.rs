//! One transaction for many batches: lock the spaces that are free, read what is known of the devices, decide,
//! write. A constant number of statements, whatever the number of batches.

mod facts;
mod place;
mod plan;
mod receipts;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tidelog_events::frame::{Decoder, Encoder, FrameError};
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::database::out_of_time;
use tidelog_runtime::failpoint::{self, Failpoint};
use tidelog_store::{devices, erasures, quarantine, segments, spaces};
use tokio::time::timeout;

use crate::batch::{Batch, Contents, Unreadable};
use plan::Plan;

pub(crate) use plan::{Appended, Disposition};

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The batch with this index cannot be read: it must leave the transaction.
    #[error("batch {index} cannot be read")]
    Unreadable {
        index: usize,
        #[source]
        source: Unreadable,
    },
    /// zstd failed to write a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Owns the zstd contexts that transactions reuse.
pub(crate) struct Committer {
    pool: PgPool,
    deadline: Duration,
    clock: Clock,
    decoder: Decoder,
    encoder: Encoder,
}

impl Committer {
    /// A transaction that takes longer than `deadline` counts as failed; whether it was committed is then not
    /// known, and the watermarks make trying again harmless.
    pub(crate) fn new(pool: PgPool, deadline: Duration, clock: Clock) -> Result<Self, FrameError> {
        Ok(Self { pool, deadline, clock, decoder: Decoder::new()?, encoder: Encoder::new()? })
    }

    /// Commits what can be committed now, and says of each batch what became of it, in the same order.
    pub(crate) async fn commit(&mut self, batches: &[&Batch]) -> Result<Vec<Disposition>, CommitError> {
        let committed = timeout(self.deadline, self.transact(batches)).await;
        committed.unwrap_or_else(|elapsed| Err(out_of_time(elapsed).into()))
    }

    async fn transact(&mut self, batches: &[&Batch]) -> Result<Vec<Disposition>, CommitError> {
        let mut transaction = self.pool.begin().await?;
        let mut names: Vec<&str> = batches.iter().map(|batch| batch.header.space.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let Claimed { free, erased } = claim(&mut transaction, &names).await?;
        let nothing_free = free.is_empty();
        let mut plan = Plan::new(batches, free, &erased);
        if nothing_free {
            return Ok(plan.into_dispositions());
        }
        let mut facts = facts::marks(&mut transaction, &plan, &mut self.decoder).await?;
        facts.look_up_overlaps(&mut transaction, &plan, &mut self.decoder).await?;
        plan.place(&mut facts, &mut self.encoder)?;
        write(&mut transaction, &plan, &facts, self.clock.now()).await?;
        failpoint::reach(Failpoint::IngestBeforeCommit);
        transaction.commit().await?;
        failpoint::reach(Failpoint::IngestAfterCommit);
        count_quarantined(&plan);
        Ok(plan.into_dispositions())
    }

    /// Decodes a batch whose events must be known one by one.
    pub(crate) fn contents(&mut self, batch: &Batch) -> Result<Contents, Unreadable> {
        batch.contents(&mut self.decoder)
    }
}

/// The spaces of a transaction.
struct Claimed {
    /// Locked, with their heads.
    free: BTreeMap<SpaceId, Position>,
    /// Erased: they take nothing any more.
    erased: BTreeSet<SpaceId>,
}

/// Locks the spaces that nobody else has locked. Most of them exist: only where some are missing is it asked whether
/// they were erased, and rows are made for new ones. That waits for another replica which just makes the same row, for
/// the rest of its transaction at most; two never wait for each other, since all make rows in one order.
async fn claim(connection: &mut PgConnection, names: &[&str]) -> sqlx::Result<Claimed> {
    let mut free = spaces::lock_free(connection, names).await?;
    let mut erased = BTreeSet::new();
    if free.len() < names.len() {
        let locked: BTreeSet<&str> = free.iter().map(|space| space.space.as_str()).collect();
        let missing: Vec<&str> = names.iter().filter(|name| !locked.contains(**name)).copied().collect();
        erased.extend(erasures::among(connection, &missing).await?);
        spaces::ensure(connection, &missing).await?;
        let new = spaces::lock_free(connection, &missing).await?;
        free.extend(new);
    }
    Ok(Claimed { free: free.into_iter().map(|space| (space.space, space.head)).collect(), erased })
}

fn count_quarantined(plan: &Plan<'_>) {
    for quarantined in &plan.quarantined {
        let code = quarantined.event.code.as_str();
        metrics::counter!("tidelog_ingest_quarantined_events_total", "code" => code).increment(1);
    }
}

async fn write(
    connection: &mut PgConnection,
    plan: &Plan<'_>,
    facts: &facts::Facts,
    now: UtcTime,
) -> Result<(), CommitError> {
    let appended = plan.segment_columns();
    if !appended.is_empty() {
        segments::append(connection, &appended).await?;
        let (names, heads) = plan.moved_heads();
        spaces::move_heads(connection, &names, &heads).await?;
    }
    let marks = facts.moved_marks();
    if !marks.is_empty() {
        devices::set_marks(connection, &marks, now).await?;
    }
    if !plan.quarantined.is_empty() {
        quarantine::insert(connection, &plan.quarantined).await?;
    }
    Ok(())
}
