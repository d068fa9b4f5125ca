//! The state that a snapshot and the log behind it fold to: entity lines in order of their keys, a chunk at a time.

use sqlx::PgConnection;
use tidelog_events::fold::{Entity, EntityKey};
use tidelog_events::id::SpaceId;
use tidelog_events::schema::Schema;
use tidelog_store::snapshots::Snapshot;
use tokio::task::block_in_place;

use crate::base::Base;
use crate::error::CompactError;
use crate::runs::{MergedRuns, Runs};

/// Bytes of the lines of a chunk, at most, unless one has more: a part of a snapshot.
const CHUNK_BYTES: usize = 256 * 1024;

/// Lines with their keys, in order.
pub(crate) type Lines = Vec<(EntityKey, String)>;

/// A state on its way out.
pub(crate) struct Folded<'s> {
    base: Option<Base>,
    runs: MergedRuns<'s>,
    schema: &'s Schema,
}

impl<'s> Folded<'s> {
    /// What `base` holds, none for an empty state, and behind it what `runs` hold.
    pub(crate) fn new(
        space: &SpaceId,
        base: Option<Snapshot>,
        runs: Runs,
        schema: &'s Schema,
    ) -> Result<Self, CompactError> {
        let base = base.map(|snapshot| Base::new(space, snapshot)).transpose()?;
        Ok(Self { base, runs: runs.merged(schema)?, schema })
    }

    /// The next lines; none at the end.
    pub(crate) async fn next_lines(&mut self, connection: &mut PgConnection) -> Result<Lines, CompactError> {
        let (mut lines, mut bytes) = (Lines::new(), 0);
        loop {
            if let Some(base) = &mut self.base {
                base.fill(&mut *connection).await?;
            }
            let more = block_in_place(|| self.take_lines(&mut lines, &mut bytes))?;
            if !more || bytes >= CHUNK_BYTES {
                return Ok(lines);
            }
        }
    }

    /// Takes lines until the chunk is full or the base must be filled; returns whether there may be more.
    fn take_lines(&mut self, lines: &mut Lines, bytes: &mut usize) -> Result<bool, CompactError> {
        let had_base = self.base.as_ref().is_some_and(|base| base.front().is_some());
        while *bytes < CHUNK_BYTES {
            let stored = self.base.as_ref().and_then(Base::front).map(|(key, _)| key);
            if had_base && stored.is_none() {
                return Ok(true);
            }
            let Some((key, line)) = self.take_line()? else { return Ok(false) };
            *bytes += line.len() + 1;
            lines.push((key, line));
        }
        Ok(true)
    }

    fn take_line(&mut self) -> Result<Option<(EntityKey, String)>, CompactError> {
        let stored = self.base.as_ref().and_then(Base::front).map(|(key, _)| key);
        let (takes_stored, takes_new) = who_is_next(stored, self.runs.next_key());
        let stored = if takes_stored { self.base.as_mut().and_then(Base::pop) } else { None };
        let new = if takes_new { self.runs.next_entity()? } else { None };
        Ok(match (stored, new) {
            (Some((key, line)), Some((_, entity))) => {
                let mut merged = Entity::from_line(&line, self.schema)?.1;
                merged.merge(entity, self.schema.entity(&key.entity_type));
                let line = merged.line(&key);
                Some((key, line))
            }
            (stored, new) => stored.or(new.map(|(key, entity)| {
                let line = entity.line(&key);
                (key, line)
            })),
        })
    }
}

/// Of two sides in order of keys: which of them has the next entity, or both. Neither does at the end.
pub(crate) fn who_is_next(one: Option<&EntityKey>, other: Option<&EntityKey>) -> (bool, bool) {
    match (one, other) {
        (Some(one), Some(other)) => (one <= other, other <= one),
        (one, other) => (one.is_some(), other.is_some()),
    }
}
