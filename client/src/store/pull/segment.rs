//! A segment in a pull: its events are folded, and our own among them leave the overlay.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use tidelog_events::fold::Change;
use tidelog_events::frame::SegmentHeader;
use tidelog_events::id::{DeviceId, Position, Sequence, UserId};
use tidelog_events::stamp::Stamp;

use super::Pull;
use crate::defect::{Defect, is_planted};
use crate::store::settle::{self, Logged};
use crate::store::{StoreError, line};

impl Pull<'_> {
    pub(super) fn segment(
        &mut self,
        header: &SegmentHeader,
        events: &[(Position, &str)],
    ) -> Result<(), StoreError> {
        let mut device: Option<Arc<DeviceId>> = None;
        for &(position, line) in events {
            if position <= self.space.cursor {
                continue;
            }
            let Some(batch) = header.batch_at(position) else { continue };
            let device = match &device {
                Some(device) if **device == batch.device_id => device.clone(),
                _ => device.insert(Arc::new(batch.device_id.clone())).clone(),
            };
            self.event(position, &device, &batch.user_id, line)?;
        }
        if let Some((position, line)) = events.last().filter(|(position, _)| *position > self.space.cursor) {
            self.space.cursor = *position;
            self.space.last_seen = line::read(line).map(|event| event.event_id).ok().or(self.space.last_seen);
        }
        self.space.cursor = self.space.cursor.max(header.last);
        Ok(())
    }

    fn event(
        &mut self,
        position: Position,
        device: &Arc<DeviceId>,
        author: &UserId,
        line: &str,
    ) -> Result<(), StoreError> {
        let own = self.queues.iter().find(|queue| queue.device == *device).map(|queue| queue.row);
        let remembered = if let Some(queue) = own {
            self.echo(queue, position, line)?
        } else {
            self.echo_of_twin(position, author, line)?;
            None
        };
        let line = remembered.as_deref().unwrap_or(line);
        // What the schema cannot fold is skipped, by everyone who folds with the same schema.
        if let Ok(change) = Change::read(line, device, self.schema) {
            self.received(change.at.stamp);
            let key = change.entity.clone();
            self.folded.entry(key).or_default().apply(change);
        }
        Ok(())
    }

    /// One of our own events comes back. Returns what to fold instead of it: nothing, unless a defect is planted.
    fn echo(&mut self, queue: i64, position: Position, line: &str) -> Result<Option<String>, StoreError> {
        let event = line::read(line)?;
        let Some(sequence) = event.device_sequence else { return Ok(None) };
        let identity = (sequence, event.event_id);
        let local = defective_copy(self.connection, queue, sequence, event.timestamp)?;
        let line = local.as_deref().unwrap_or(line);
        let (logged, at) = (Logged { position, line, stamp: event.timestamp }, self.server_time);
        settle::echo(self.connection, queue, identity, logged, at, &mut self.touched)?;
        Ok(local)
    }

    /// An event of another device, which may be another life of this one.
    fn echo_of_twin(&mut self, position: Position, author: &UserId, line: &str) -> Result<(), StoreError> {
        if self.has_overlay && author == self.user {
            let event = line::read(line)?;
            let logged = Logged { position, line, stamp: event.timestamp };
            let space = self.space.row;
            settle::echo_of_twin(self.connection, space, event.event_id, logged, &mut self.touched)?;
        }
        Ok(())
    }
}

/// Our own copy, where a defect is planted that folds it instead of the log's.
fn defective_copy(
    connection: &Connection,
    queue: i64,
    sequence: Sequence,
    logged: Stamp,
) -> Result<Option<String>, StoreError> {
    let always = is_planted(Defect::ConfirmedFromLocalCopy);
    if !always && !is_planted(Defect::RestampedCopyKept) {
        return Ok(None);
    }
    let statement = "SELECT line FROM events WHERE queue = ?1 AND sequence = ?2";
    let local: Option<String> =
        connection.query_row(statement, params![queue, sequence.as_i64()], |row| row.get(0)).optional()?;
    let Some(local) = local else { return Ok(None) };
    let restamped = line::read(&local)?.timestamp != logged;
    Ok((always || restamped).then_some(local))
}
