//! A snapshot in a pull: it replaces the confirmed state.

use tidelog_events::fold::{Entity, EntityKey, LineDigest, StateHash};
use tidelog_events::frame::SnapshotHeader;
use tidelog_events::stamp::Stamp;

use super::Pull;
use crate::store::{StoreError, entities, queues, settle, spaces};

/// An entity of a snapshot.
pub(super) struct SnapshotEntity<'l> {
    key: EntityKey,
    /// The greatest stamp in it.
    written: Option<Stamp>,
    line: &'l str,
}

impl Pull<'_> {
    /// The snapshot's entities with their lines, if they are what its hash says. A filtered one has no hash.
    pub(super) fn undamaged<'l>(
        &self,
        header: &SnapshotHeader,
        lines: &[&'l str],
    ) -> Option<Vec<SnapshotEntity<'l>>> {
        let mut hash = StateHash::default();
        let mut entities = Vec::with_capacity(lines.len());
        for &line in lines {
            let (key, entity) = Entity::from_line(line, self.schema).ok()?;
            hash.replace(&key.entity_type, None, LineDigest::of(line.as_bytes()));
            entities.push(SnapshotEntity { key, written: entity.latest_stamp(), line });
        }
        (self.space.filter.types.is_some() || hash == header.state_hash).then_some(entities)
    }

    /// Whether it is known which of our pending events the snapshot holds. If not, they would be shown twice: the
    /// snapshot is left for the pull behind the hello, or the answer about a fork, that says.
    pub(super) fn is_told_apart(&self, header: &SnapshotHeader) -> rusqlite::Result<bool> {
        for queue in &self.queues {
            let held = header.devices.get(queue.device.as_ref()).copied().unwrap_or_default();
            let through = if queue.forked.is_some() { queue.next } else { held };
            if queues::pending_through(self.connection, queue.row, through)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Replaces the confirmed state. What the snapshot has of our own events leaves the overlay, as far as the
    /// watermark says that they are ours.
    pub(super) fn snapshot(
        &mut self,
        header: &SnapshotHeader,
        entities: Vec<SnapshotEntity<'_>>,
    ) -> Result<(), StoreError> {
        if header.through <= self.space.cursor {
            return Ok(());
        }
        self.folded.clear();
        entities::clear_confirmed(self.connection, self.space.row)?;
        for SnapshotEntity { key, written, line } in entities {
            if let Some(stamp) = written {
                self.received(stamp);
            }
            entities::write_confirmed(self.connection, self.space.row, &key, line)?;
        }
        for queue in &mut self.queues {
            if let Some(through) = header.devices.get(queue.device.as_ref()) {
                queue.covered = *through;
                queues::save(self.connection, queue)?;
                settle::cover(self.connection, queue.row, *through, &mut self.touched)?;
            }
        }
        spaces::note_snapshot(self.connection, &self.space, &header.devices)?;
        self.space.cursor = header.through;
        self.replaced = true;
        Ok(())
    }
}
