//! The lines of a stored snapshot, part by part; in the end, whether they were what its hash says.

use std::collections::VecDeque;

use serde::Deserialize;
use sqlx::PgConnection;
use tidelog_events::fold::{EntityKey, LineDigest, StateHash};
use tidelog_events::frame::{DamagedPart, Decoder, FrameError, PartLines};
use tidelog_events::id::{EntityId, SpaceId};
use tidelog_store::snapshot_parts::{self, Part};
use tidelog_store::snapshots::Snapshot;

use crate::error::CompactError;

/// Stored bytes of parts that one statement reads; at least one part.
const READ_BYTES: i64 = 256 * 1024;

/// A stored snapshot that is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum DamagedSnapshot {
    /// A part.
    #[error("a part of it is damaged")]
    Part(#[from] DamagedPart),
    /// A line of a part.
    #[error("a line of it cannot be read")]
    Line(#[from] serde_json::Error),
    /// There is no part of that number.
    #[error("part {0} of it is missing")]
    Missing(u32),
    /// It reads well, and is something else.
    #[error("its lines have another hash than it says")]
    Hash,
}

/// A snapshot that is being read.
pub(crate) struct Base {
    space: SpaceId,
    snapshot: Snapshot,
    decoder: Decoder,
    next_part: u32,
    lines: VecDeque<(EntityKey, String)>,
    hash: StateHash,
}

impl Base {
    pub(crate) fn new(space: &SpaceId, snapshot: Snapshot) -> Result<Self, FrameError> {
        Ok(Self {
            space: space.clone(),
            snapshot,
            decoder: Decoder::new()?,
            next_part: 0,
            lines: VecDeque::new(),
            hash: StateHash::default(),
        })
    }

    /// The next line, if one is at hand.
    pub(crate) fn front(&self) -> Option<&(EntityKey, String)> {
        self.lines.front()
    }

    /// Takes the line that is at hand.
    pub(crate) fn pop(&mut self) -> Option<(EntityKey, String)> {
        self.lines.pop_front()
    }

    /// Brings lines to hand where there are none, as long as there are any.
    pub(crate) async fn fill(&mut self, connection: &mut PgConnection) -> Result<(), CompactError> {
        if !self.lines.is_empty() || self.next_part == self.snapshot.parts {
            return Ok(());
        }
        let through = self.snapshot.through;
        let parts =
            snapshot_parts::from(connection, &self.space, through, self.next_part, READ_BYTES).await?;
        if parts.is_empty() {
            return Err(self.damaged(DamagedSnapshot::Missing(self.next_part)));
        }
        for part in parts {
            self.take(&part).map_err(|damage| self.damaged(damage))?;
        }
        if self.next_part == self.snapshot.parts && self.hash != self.snapshot.state_hash {
            return Err(self.damaged(DamagedSnapshot::Hash));
        }
        Ok(())
    }

    fn take(&mut self, part: &Part) -> Result<(), DamagedSnapshot> {
        if part.part != self.next_part {
            return Err(DamagedSnapshot::Missing(self.next_part));
        }
        let lines = PartLines::read(&part.frame, part.entities, &mut self.decoder)?;
        for line in lines.iter() {
            let Keyed { entity_type, entity_id } = serde_json::from_str(line)?;
            self.hash.replace(&entity_type, None, LineDigest::of(line.as_bytes()));
            self.lines.push_back((EntityKey { entity_type, entity_id }, line.to_owned()));
        }
        self.next_part += 1;
        Ok(())
    }

    fn damaged(&self, damage: DamagedSnapshot) -> CompactError {
        CompactError::Snapshot { through: self.snapshot.through, damage }
    }
}

/// Whose line it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keyed {
    entity_id: EntityId,
    #[serde(rename = "type")]
    entity_type: Box<str>,
}
