//! Folds a space through a position: from the snapshot at the horizon, or from the archive where that is later. Within a
//! bound of memory, without a database connection while anything is folded.

use std::collections::BTreeMap;
use std::ops::Bound;

use sqlx::PgPool;
use tidelog_events::fold::{DamagedLine, DamagedLog, Delta, Entity, EntityKey, LineDigest, Span, StateHash};
use tidelog_events::frame::{DamagedPart, PartLines};
use tidelog_events::id::Position;
use tidelog_events::schema::Schema;
use tidelog_runtime::database::within;
use tidelog_store::segments::Segment;
use tidelog_store::snapshot_parts::{self, Part};
use tidelog_store::snapshots::{self, Snapshot};
use tidelog_store::spaces::Space;

use super::super::HistoryReads;
use super::super::reads::next_chunk;
use super::super::space::too_large;
use crate::codecs::Codecs;
use crate::config::AdminConfig;
use crate::problem::Problem;
use crate::pull::{DECODED_PER_STORED, READ_TIMEOUT};
use crate::work;

/// Stored bytes of parts of a snapshot that are read at once.
const READ_BYTES: i64 = 1024 * 1024;

/// What a state is folded from and by.
pub(super) struct Folding<'a> {
    pub(super) pool: PgPool,
    pub(super) reads: &'a HistoryReads,
    pub(super) codecs: Codecs,
    pub(super) config: &'a AdminConfig,
    pub(super) schema: &'a Schema,
    pub(super) space: Space,
}

/// A folded state.
#[derive(Debug, Default)]
pub(super) struct Folded {
    /// Each entity with the position of the last event about it, unless that is the snapshot's.
    entities: BTreeMap<EntityKey, (Entity, Option<Position>)>,
    /// The position of the snapshot that it began with.
    pub(super) from: Position,
    /// Events behind it that were skipped.
    pub(super) skipped: u64,
    /// Bytes of its lines when they were last measured, and what may have been added since.
    measured: u64,
    added: u64,
}

/// A snapshot that does not hold what was written.
#[derive(Debug, thiserror::Error)]
enum DamagedSnapshot {
    #[error("a part of the snapshot at the horizon is damaged")]
    Part(#[from] DamagedPart),
    #[error("an entity line of the snapshot at the horizon is damaged")]
    Line(#[from] DamagedLine),
    #[error("the snapshot at the horizon {0} is not there, or not all of it")]
    Missing(Position),
}

impl Folding<'_> {
    /// The state through a position, of all entities or of one type.
    pub(super) async fn fold(&self, at: Position, entity_type: Option<&str>) -> Result<Folded, Problem> {
        let mut folded = Folded::default();
        if self.space.horizon > Position::ZERO && self.space.horizon <= at {
            self.take_snapshot(&mut folded, entity_type).await?;
        }
        let events = at.0 - folded.from.0;
        let most = self.config.history_events;
        if events > most {
            return Err(too_large(format!(
                "the state through position {at} is folded from {events} events, more than the limit \
                 `admin.history_events`: {most}"
            )));
        }
        let mut reader = self.reads.history().behind(&self.space.space, folded.from);
        let mut applied = folded.from;
        while applied < at
            && let Some(chunk) = next_chunk(&mut reader).await?
        {
            for segment in chunk.segments.iter().filter(|segment| segment.header.first <= at) {
                applied =
                    self.take_segment(&mut folded, segment, Span { applied, through: at }, entity_type)?;
                folded.keep_within(self.config.state_bytes)?;
            }
        }
        if applied < at {
            // The log was as long a moment ago.
            return Err(Problem::internal(&DamagedLog::End { applied, head: at }));
        }
        Ok(folded)
    }

    async fn take_snapshot(&self, folded: &mut Folded, entity_type: Option<&str>) -> Result<(), Problem> {
        let (space, through) = (&self.space.space, self.space.horizon);
        let found = within(READ_TIMEOUT, async {
            snapshots::at(&mut *self.pool.acquire().await?, space, through).await
        });
        let missing = || Problem::internal(&DamagedSnapshot::Missing(through));
        let snapshot = found.await?.ok_or_else(missing)?;
        let (mut next, mut taken) = (0, 0);
        let wanted = wanted(&snapshot, entity_type);
        while taken < wanted {
            let types = entity_type.map(|name| [name]);
            let parts = within(READ_TIMEOUT, async {
                let mut connection = self.pool.acquire().await?;
                match &types {
                    Some(types) => {
                        snapshot_parts::of_types(&mut connection, space, through, next, READ_BYTES, types)
                            .await
                    }
                    None => snapshot_parts::from(&mut connection, space, through, next, READ_BYTES).await,
                }
            });
            let parts = parts.await?;
            next = parts.last().ok_or_else(missing)?.part + 1;
            for part in &parts {
                taken += self.take_part(folded, part, entity_type)?;
                folded.keep_within(self.config.state_bytes)?;
            }
        }
        folded.from = through;
        Ok(())
    }

    /// Takes a part's entities in; returns how many were wanted.
    fn take_part(&self, folded: &mut Folded, part: &Part, entity_type: Option<&str>) -> Result<u64, Problem> {
        let mut take = || -> Result<u64, DamagedSnapshot> {
            let lines = self
                .codecs
                .with(|codec| PartLines::read(&part.frame, part.entities, &mut codec.decoder))
                .map_err(DamagedPart::from)??;
            let mut taken = 0;
            for line in lines.iter() {
                let (key, entity) = Entity::from_line(line, self.schema)?;
                if entity_type.is_none_or(|name| *key.entity_type == *name) {
                    folded.added += line.len() as u64;
                    folded.entities.insert(key, (entity, None));
                    taken += 1;
                }
            }
            Ok(taken)
        };
        work::run(part.frame.len() as u64 * DECODED_PER_STORED, &mut take)
            .map_err(|error| Problem::internal(&error))
    }

    /// Takes a segment's events in, as far as they lie in the span.
    fn take_segment(
        &self,
        folded: &mut Folded,
        segment: &Segment,
        span: Span,
        entity_type: Option<&str>,
    ) -> Result<Position, Problem> {
        let internal = |error: &(dyn std::error::Error + 'static)| Problem::internal(error);
        work::run(segment.frame.len() as u64 * DECODED_PER_STORED, || {
            let mut delta = Delta::default();
            let taken = self.codecs.with(|codec| {
                delta.take(&segment.header, &segment.frame, span, &mut codec.decoder, self.schema)
            });
            let (applied, bytes) =
                taken.map_err(|error| internal(&error))?.map_err(|error| internal(&error))?;
            folded.added += bytes;
            folded.skipped += delta.skipped.len() as u64;
            for (key, touched) in delta.entities {
                if entity_type.is_none_or(|name| *key.entity_type == *name) {
                    let known = self.schema.entity(&key.entity_type);
                    let (entity, updated) = folded.entities.entry(key).or_default();
                    entity.merge(touched.entity, known);
                    *updated = Some(touched.last);
                }
            }
            Ok(applied)
        })
    }
}

/// How many entities of the snapshot are wanted.
fn wanted(snapshot: &Snapshot, entity_type: Option<&str>) -> u64 {
    match entity_type {
        Some(name) => snapshot.entities.get(name).copied().unwrap_or(0),
        None => snapshot.entities.values().sum(),
    }
}

impl Folded {
    /// The entities behind that one, or all.
    pub(super) fn behind(
        &self,
        after: Option<&EntityKey>,
    ) -> impl Iterator<Item = (&EntityKey, &(Entity, Option<Position>))> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.entities.range::<EntityKey, _>((after, Bound::Unbounded))
    }

    /// The state hash, and whether the state is as small as it must be.
    pub(super) fn hash(&self, limit_bytes: u64) -> Result<StateHash, Problem> {
        let (mut hash, mut bytes) = (StateHash::default(), 0);
        for (key, (entity, _)) in &self.entities {
            let line = entity.line(key);
            bytes += line.len() as u64;
            hash.replace(&key.entity_type, None, LineDigest::of(line.as_bytes()));
        }
        if bytes > limit_bytes { Err(too_many_bytes(limit_bytes)) } else { Ok(hash) }
    }

    /// Refuses a state that has grown beyond the limit. It is measured as often as it may have grown by as much again:
    /// that is cheap, and it never takes more than twice as much.
    fn keep_within(&mut self, limit_bytes: u64) -> Result<(), Problem> {
        if self.measured + self.added <= 2 * limit_bytes {
            return Ok(());
        }
        let lines = self.entities.iter().map(|(key, (entity, _))| entity.line(key).len() as u64);
        (self.measured, self.added) = (tokio::task::block_in_place(|| lines.sum()), 0);
        if self.measured > limit_bytes { Err(too_many_bytes(limit_bytes)) } else { Ok(()) }
    }
}

fn too_many_bytes(limit_bytes: u64) -> Problem {
    too_large(format!(
        "the state has more than {limit_bytes} bytes, the limit `admin.state_bytes`; ask for one entity `type`, or have \
         one entity explained"
    ))
}
