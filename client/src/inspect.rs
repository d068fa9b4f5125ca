//! Looking into a device's store from outside, as a person wants to see it: what was recorded and what became of it,
//! and where the clock, the cursor and the queue stand. Nothing is written, and the app may have the store open.

mod follow;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tidelog_events::id::SpaceId;

pub use crate::store::{Bound, NextBatch, OpenError, QueueStanding, Standing};
use crate::store::{OwnEvent, Reader, StoreError};
pub use follow::Follow;
pub use text::printable;

const PORTION: usize = 1000;

/// Follows a store's file.
#[derive(Debug)]
pub struct Inspector {
    path: PathBuf,
    /// Only this space.
    only: Option<SpaceId>,
    /// Events that were never seen, of which one look takes in so many at most, of each space.
    portion: usize,
    seen: BTreeMap<SpaceId, Seen>,
}

/// Why nothing can be seen.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// There is no such file.
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    /// It is no store, or one of a later version.
    #[error("cannot look into {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The store has no such space.
    #[error("the store has no space `{space}`: it has {has}")]
    NoSuchSpace {
        /// The space that was asked for.
        space: SpaceId,
        /// Those that it has.
        has: String,
    },
    /// Reading failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The runtime that looks were taken on has ended.
    #[error("the runtime has ended")]
    Ended,
}

/// What a look has found.
#[derive(Debug)]
pub struct Look {
    /// Whose store it is.
    pub bound: Bound,
    /// What is new since the last look, or has changed.
    pub sights: Vec<Sight>,
    /// Whether that is everything; if not, look again.
    pub complete: bool,
}

/// Something to see. As a text it is a line for people; in the alternate form (`{:#}`) a space has a few.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Sight {
    /// An event that is new, or of which something else has become.
    Event(Box<SeenEvent>),
    /// How a space stands now.
    Space(Box<Standing>),
}

/// An event, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenEvent {
    /// Its space.
    pub space: SpaceId,
    /// It.
    pub event: OwnEvent,
}

/// What was seen of a space.
#[derive(Debug, Default)]
struct Seen {
    /// The last row.
    through: u64,
    /// Events through that row that were not synced, each with its state.
    unsynced: BTreeMap<u64, i64>,
    standing: Option<Standing>,
}

impl Inspector {
    /// Looks at all spaces of a store, or at one.
    pub fn new(path: impl Into<PathBuf>, only: Option<SpaceId>) -> Self {
        Self { path: path.into(), only, portion: PORTION, seen: BTreeMap::new() }
    }

    /// What is new, as it comes, looked for `every` so long.
    pub fn follow(self, every: Duration) -> Follow {
        Follow::new(self, every)
    }

    /// What is new since the last look; with the first one, everything. Blocks for as long as the disk takes.
    pub fn look(&mut self) -> Result<Look, InspectError> {
        loop {
            let reader = open(&self.path)?;
            let (look, seen) = self.read(&reader)?;
            if reader.is_of_one_moment() {
                self.seen = seen;
                return Ok(look);
            }
        }
    }

    fn read(&self, reader: &Reader) -> Result<(Look, BTreeMap<SpaceId, Seen>), InspectError> {
        let mut spaces = reader.spaces()?;
        if let Some(only) = &self.only {
            let has: Vec<_> = spaces.iter().map(|standing| format!("`{}`", standing.space)).collect();
            spaces.retain(|standing| standing.space == *only);
            if spaces.is_empty() {
                return Err(InspectError::NoSuchSpace { space: only.clone(), has: has.join(", ") });
            }
        }
        let mut look = Look { bound: reader.bound().clone(), sights: Vec::new(), complete: true };
        let mut seen = BTreeMap::new();
        for standing in spaces {
            let before = self.seen.get(&standing.space);
            seen.insert(standing.space.clone(), self.see(reader, before, &standing, &mut look)?);
        }
        Ok((look, seen))
    }

    /// Adds to `look` what is to be seen of a space: events that have changed, new ones, and how it stands behind them.
    fn see(
        &self,
        reader: &Reader,
        before: Option<&Seen>,
        standing: &Standing,
        look: &mut Look,
    ) -> Result<Seen, StoreError> {
        let nothing = Seen::default();
        // A space that was erased and joined again begins anew.
        let before = before.filter(|seen| seen.through <= standing.recorded).unwrap_or(&nothing);
        let space = &standing.space;
        let mut events = Vec::new();
        for row in differing(&before.unsynced, &reader.unsynced(space, before.through)?) {
            events.extend(reader.event(space, row)?);
        }
        let new = reader.events_behind(space, before.through, self.portion)?;
        look.complete &= new.len() < self.portion;
        let stands = if new.len() < self.portion { Some(standing.clone()) } else { before.standing.clone() };
        let through = new.last().map_or(before.through, |event| event.row);
        let sight = |event| Sight::Event(Box::new(SeenEvent { space: space.clone(), event }));
        look.sights.extend(events.into_iter().chain(new).map(sight));
        if stands != before.standing {
            look.sights.extend(stands.clone().map(|stands| Sight::Space(Box::new(stands))));
        }
        Ok(Seen { through, unsynced: reader.unsynced(space, through)?, standing: stands })
    }
}

fn open(path: &Path) -> Result<Reader, InspectError> {
    if !path.is_file() {
        return Err(InspectError::Missing(path.to_owned()));
    }
    Reader::open(path).map_err(|source| InspectError::Unreadable { path: path.to_owned(), source })
}

/// Rows whose state is not the same in both.
fn differing(before: &BTreeMap<u64, i64>, now: &BTreeMap<u64, i64>) -> Vec<u64> {
    let mut rows: Vec<u64> = before.keys().chain(now.keys()).copied().collect();
    rows.retain(|row| before.get(row) != now.get(row));
    rows.sort_unstable();
    rows.dedup();
    rows
}

#[cfg(test)]
mod tests;
