//! Forks: another device has used this one's numbers, because a phone was cloned or its files were restored from a
//! backup. Which of our events the server has is asked first; the rest gets a device id and numbers that are its own.

use rusqlite::{Connection, OptionalExtension, params};
use tidelog_events::fold::EntityKey;
use tidelog_events::id::{DeviceId, Sequence, SpaceId};
use tidelog_events::protocol::{DeviceEvent, UtcTime};
use uuid::Uuid;

use super::columns::entity_key;
use super::queues::Queue;
use super::settle::{self, Touched};
use super::spaces::Space;
use super::{Changed, EventStore, Notice, StoreError, begin, line, overlay, queues, random_device, spaces};
use crate::defect::{Defect, is_planted};

/// Names the device ids that forks lead to.
const FORKS: Uuid = Uuid::from_u128(0x7469_6465_6c6f_4720_666f_726b_7320_6f66);

/// Which of its own events a forked device must ask the server for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRange {
    /// The device id that is forked.
    pub device: DeviceId,
    /// Its first pending event.
    pub from: Sequence,
    /// Its last pending event.
    pub to: Sequence,
}

impl EventStore {
    /// Settles what the server has of a forked device's pending events, and gives the rest a device id and numbers of its
    /// own, all in one transaction. What was recorded while the server was asked was never sent, and belongs to the
    /// rest.
    pub(crate) fn settle_fork(
        &mut self,
        space: &SpaceId,
        device: &DeviceId,
        known: &[DeviceEvent],
        at: UtcTime,
    ) -> Result<(), StoreError> {
        let transaction = begin(&mut self.connection)?;
        let mut space = spaces::load(&transaction, space)?;
        let Some(mut queue) = queues::of_device(&transaction, space.row, device)? else { return Ok(()) };
        let Some(told) = queue.forked.take() else { return Ok(()) };
        let mut touched = Touched::new();
        let mut notices = Vec::new();
        for event in known {
            notices.extend(settle(&transaction, &space, &queue, event, at, &mut touched)?);
        }
        let to = next_device(&transaction, &space, &queue, &mut self.random)?;
        let renumbered = renumber(&transaction, &mut space, &mut queue, &to, &mut touched)?;
        queue.confirmed = told;
        queues::save(&transaction, &queue)?;
        spaces::save(&transaction, &space)?;
        overlay::refold(&transaction, &self.schema, space.row, &touched)?;
        transaction.commit()?;
        if let Some(renumbered) = renumbered {
            notices.push(Notice::Forked { space: space.id.clone(), from: device.clone(), to, renumbered });
        }
        self.changed.push(Changed::Space { space: space.id });
        self.changed.extend(notices.into_iter().map(Changed::Notice));
        Ok(())
    }
}

/// What a forked queue must ask for.
pub(super) fn own_range(connection: &Connection, queue: &Queue) -> rusqlite::Result<Option<OwnRange>> {
    let range = range(connection, queue)?.filter(|_| !is_planted(Defect::RenumberedWithoutAsking));
    Ok(range.map(|(from, to)| OwnRange { device: queue.device.as_ref().clone(), from, to }))
}

fn range(connection: &Connection, queue: &Queue) -> rusqlite::Result<Option<(Sequence, Sequence)>> {
    let ends: (Option<i64>, Option<i64>) = connection
        .prepare_cached("SELECT min(sequence), max(sequence) FROM events WHERE queue = ?1 AND state = 0")?
        .query_row([queue.row], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(ends.0.zip(ends.1).map(|(first, last)| (Sequence::from_i64(first), Sequence::from_i64(last))))
}

/// One of the numbers is taken by this event: if it is ours, that is what became of it.
fn settle(
    connection: &Connection,
    space: &Space,
    queue: &Queue,
    event: &DeviceEvent,
    at: UtcTime,
    touched: &mut Touched,
) -> Result<Option<Notice>, StoreError> {
    let identity = (event.device_sequence, event.event_id);
    if let Some(code) = event.quarantined {
        let reason = (Some(code), "");
        let is_new = settle::reject(connection, queue.row, identity, reason, at, touched)?;
        let (space, detail) = (space.id.clone(), String::new());
        let notice = Notice::Rejected { space, event_id: event.event_id, code: Some(code), detail };
        return Ok(is_new.then_some(notice));
    }
    // Through the cursor, the confirmed state has every event of the log: no echo will come.
    let confirmed = event.position.is_some_and(|position| position <= space.cursor) && !space.refetch;
    let mut statement = connection.prepare_cached(
        "UPDATE events SET state = 1, settled_at_ms = ?4, overlay = overlay AND NOT ?5, \
         line = coalesce(logged, line), stamp = coalesce(logged_stamp, stamp) \
         WHERE queue = ?1 AND sequence = ?2 AND event_id = ?3 AND state = 0 \
         RETURNING entity_type, entity_id",
    )?;
    let values = params![queue.row, identity.0.as_i64(), identity.1.to_string(), at.0, confirmed];
    settle::touch(&mut statement, values, touched)?;
    Ok(None)
}

/// The device id that the rest goes on under. It follows from the id that is forked and the first event that the
/// server does not have: where several lives of a device share that event (a backup that was restored twice, three
/// phones from one), they all send it as event 1 of the same device, and it enters the log once.
fn next_device(
    connection: &Connection,
    space: &Space,
    queue: &Queue,
    random: &mut fastrand::Rng,
) -> Result<DeviceId, StoreError> {
    let first: Option<String> = connection
        .query_row(
            "SELECT event_id FROM events WHERE queue = ?1 AND state = 0 ORDER BY sequence LIMIT 1",
            [queue.row],
            |row| row.get(0),
        )
        .optional()?;
    let Some(first) = first else { return random_device(random) };
    let name = format!("{}\n{first}", queue.device);
    let derived = DeviceId::new(Uuid::new_v5(&FORKS, name.as_bytes()).to_string())
        .map_err(|error| StoreError::Damaged(error.to_string()))?;
    match queues::of_device(connection, space.row, &derived)? {
        Some(_) => random_device(random),
        None => Ok(derived),
    }
}

/// Moves what is pending to a new queue, numbered from 1. If this was the queue of what is recorded from now on, that
/// moves too. Returns how many moved, or nothing where nothing had to.
fn renumber(
    connection: &Connection,
    space: &mut Space,
    from: &mut Queue,
    to: &DeviceId,
    touched: &mut Touched,
) -> Result<Option<u64>, StoreError> {
    let rest = pending(connection, from)?;
    let is_recording = space.recording_queue == from.row;
    if rest.is_empty() && !is_recording {
        return Ok(None);
    }
    let queue = queues::insert(connection, space.row, to)?;
    let first_moved = rest.first().map(|(first, ..)| *first);
    let mut next = Sequence(1);
    for (sequence, line, key) in rest {
        connection
            .prepare_cached(
                "UPDATE events SET queue = ?3, sequence = ?4, line = ?5 WHERE queue = ?1 AND sequence = ?2",
            )?
            .execute(params![
                from.row,
                sequence.as_i64(),
                queue,
                next.as_i64(),
                line::numbered(&line, next)?
            ])?;
        touched.insert(key);
        next = next.next();
    }
    connection
        .execute("UPDATE queues SET next_sequence = ?2 WHERE queue = ?1", params![queue, next.as_i64()])?;
    if let Some(first) = first_moved {
        from.next = queues::last(connection, from.row)?.map_or(first, |last| first.max(last.next()));
    }
    if is_recording {
        space.recording_queue = queue;
    }
    Ok(Some(next.0 - 1))
}

fn pending(connection: &Connection, queue: &Queue) -> rusqlite::Result<Vec<(Sequence, String, EntityKey)>> {
    connection
        .prepare_cached(
            "SELECT sequence, line, entity_type, entity_id FROM events WHERE queue = ?1 AND state = 0 \
             ORDER BY sequence",
        )?
        .query_map([queue.row], |row| {
            Ok((Sequence::from_i64(row.get(0)?), row.get(1)?, entity_key(row, 2)?))
        })?
        .collect()
}
