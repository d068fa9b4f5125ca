//! Stores the corrected stamps of pending events.

use rusqlite::{Connection, params};
use tidelog_events::fold::EntityKey;
use tidelog_events::id::{DeviceId, Sequence, SpaceId};
use tidelog_events::stamp::Stamp;

use super::answers::Taken;
use super::columns::{entity_key, parsed, parsed_or_null};
use super::queues::Queue;
use super::settle::Touched;
use super::spaces::Space;
use super::{Changed, EventStore, StoreError, begin, line, overlay, queues, spaces};
use crate::moment::{BootId, Moment};
use crate::sync::{Correction, RecordedAt, ServerTime, corrections};

/// Corrects the queue's pending events above its watermark. Returns the entities whose overlay must be folded
/// anew.
pub(super) fn correct(
    connection: &Connection,
    queue: &Queue,
    server: &ServerTime,
) -> Result<Touched, StoreError> {
    let pending = pending(connection, queue)?;
    let Some(first) = pending.first() else { return Ok(Touched::new()) };
    let before = stamp_before(connection, queue, first.sequence)?;
    let mut touched = Touched::new();
    for correction in corrections(&pending, before, server) {
        touched.insert(store(connection, queue, &correction)?);
    }
    Ok(touched)
}

/// The greatest stamp received or given to an event that is not confirmed: where the clock goes on after a correction,
/// so that a phone that was in 2099 for a minute is not stuck there.
pub(super) fn greatest(connection: &Connection, space: &Space) -> rusqlite::Result<Stamp> {
    let unconfirmed = connection
        .prepare_cached("SELECT max(stamp) FROM events WHERE space = ?1 AND (state = 0 OR overlay = 1)")?
        .query_row([space.row], |row| parsed_or_null::<Stamp>(row, 0))?;
    Ok(unconfirmed.unwrap_or(Stamp::MIN).max(space.received))
}

fn pending(connection: &Connection, queue: &Queue) -> rusqlite::Result<Vec<RecordedAt>> {
    connection
        .prepare_cached(
            "SELECT sequence, stamp, wall_ms, monotonic_ms, boot_id, seen FROM events \
             WHERE queue = ?1 AND sequence > ?2 AND state = 0 ORDER BY sequence",
        )?
        .query_map(params![queue.row, queue.confirmed.sequence.as_i64()], |row| {
            let boot = BootId(row.get::<_, String>(4)?.into());
            Ok(RecordedAt {
                sequence: Sequence::from_i64(row.get(0)?),
                stamp: parsed(row, 1)?,
                moment: Moment { wall_ms: row.get(2)?, monotonic_ms: row.get(3)?, boot },
                seen: parsed(row, 5)?,
            })
        })?
        .collect()
}

fn stamp_before(connection: &Connection, queue: &Queue, sequence: Sequence) -> rusqlite::Result<Stamp> {
    let before = connection
        .prepare_cached("SELECT max(stamp) FROM events WHERE queue = ?1 AND sequence < ?2 AND state = 1")?
        .query_row(params![queue.row, sequence.as_i64()], |row| parsed_or_null::<Stamp>(row, 0))?;
    Ok(before.unwrap_or(Stamp::MIN))
}

/// The event's wall time becomes the corrected one, so that correcting it again changes nothing.
fn store(connection: &Connection, queue: &Queue, correction: &Correction) -> Result<EntityKey, StoreError> {
    let sequence = correction.sequence.as_i64();
    let (line, key) = connection
        .prepare_cached("SELECT line, entity_type, entity_id FROM events WHERE queue = ?1 AND sequence = ?2")?
        .query_row(params![queue.row, sequence], |row| Ok((row.get::<_, String>(0)?, entity_key(row, 1)?)))?;
    connection
        .prepare_cached(
            "UPDATE events SET stamp = ?3, line = ?4, wall_ms = ?5 WHERE queue = ?1 AND sequence = ?2",
        )?
        .execute(params![
            queue.row,
            sequence,
            correction.stamp.to_string(),
            line::stamped(&line, correction.stamp)?,
            correction.wall_ms,
        ])?;
    Ok(key)
}

impl EventStore {
    /// Corrects the stamps of a device's pending events by the server's time.
    pub(super) fn restamp(
        &mut self,
        space: &SpaceId,
        device: &DeviceId,
        server: &ServerTime,
    ) -> Result<Taken, StoreError> {
        let transaction = begin(&mut self.connection)?;
        let mut space = spaces::load(&transaction, space)?;
        if let Some(queue) = queues::of_device(&transaction, space.row, device)? {
            let touched = correct(&transaction, &queue, server)?;
            overlay::refold(&transaction, &self.schema, space.row, &touched)?;
            space.clock = greatest(&transaction, &space)?;
            spaces::save(&transaction, &space)?;
        }
        transaction.commit()?;
        self.changed.push(Changed::Space { space: space.id });
        Ok(Taken::Restamped)
    }
}
