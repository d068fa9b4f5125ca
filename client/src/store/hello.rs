//! What a told watermark and the list of quarantined events mean for the device's own events.

use rusqlite::{Connection, OptionalExtension, params};
use tidelog_events::id::{DeviceId, EventId, Sequence, SpaceId};
use tidelog_events::protocol::{DeviceState, Hello, QuarantinedEvent, UtcTime};

use super::answers::Taken;
use super::columns::parsed;
use super::overlay;
use super::queues::Queue;
use super::settle::{self, Touched};
use super::spaces::Space;
use super::{Changed, EventStore, Notice, StoreError, begin, queues, spaces};
use crate::sync::{Held, Judgement, Told, judge};

/// The id of the queue's event of that number, if it is still here.
pub(super) fn event_id(
    connection: &Connection,
    queue: i64,
    sequence: Sequence,
) -> rusqlite::Result<Option<EventId>> {
    connection
        .prepare_cached("SELECT event_id FROM events WHERE queue = ?1 AND sequence = ?2")?
        .query_row(params![queue, sequence.as_i64()], |row| parsed(row, 0).map(EventId))
        .optional()
}

/// Whether all events of the queue behind `sequence` are still here.
fn has_all_behind(connection: &Connection, queue: &Queue, sequence: Sequence) -> rusqlite::Result<bool> {
    let held: i64 = connection
        .prepare_cached("SELECT count(*) FROM events WHERE queue = ?1 AND sequence > ?2")?
        .query_row(params![queue.row, sequence.as_i64()], |row| row.get(0))?;
    Ok(Sequence::from_i64(held + 1).0 + sequence.0 == queue.next.0)
}

/// Judges a told watermark, and notes what it says of the queue. What becomes of the events is the caller's.
pub(super) fn hear(
    connection: &Connection,
    space: &Space,
    queue: &mut Queue,
    told: Told,
    touched: &mut Touched,
) -> rusqlite::Result<Judgement> {
    let held = Held {
        confirmed: queue.confirmed,
        same_epoch: queue.confirmed_epoch == space.epoch,
        at_told: event_id(connection, queue.row, told.sequence)?,
        all_behind: has_all_behind(connection, queue, told.sequence)?,
    };
    let judgement = judge(told, held);
    match judgement {
        Judgement::Nothing => {}
        Judgement::Advance => queue.confirmed = told,
        Judgement::GoBack => {
            queue.confirmed = told;
            settle::resume(connection, queue.row, told.sequence, touched)?;
        }
        Judgement::Forked => {
            queue.forked = Some(told);
            queue.confirmed_epoch = space.epoch;
            if !held.same_epoch {
                // What an earlier incarnation of the log had, this one may lack: all of it is asked for.
                settle::resume(connection, queue.row, Sequence::ZERO, touched)?;
            }
        }
    }
    if told.sequence == queue.confirmed.sequence && judgement != Judgement::Forked {
        queue.confirmed_epoch = space.epoch;
        queue.confirmed.event_id = queue.confirmed.event_id.or(told.event_id);
    }
    Ok(judgement)
}

/// Notes what the hello says of the device's own events: what is in quarantine, and how far the log has them.
pub(super) fn take(
    connection: &Connection,
    space: &Space,
    queue: &mut Queue,
    hello: &Hello,
    state: &DeviceState,
    touched: &mut Touched,
) -> rusqlite::Result<Vec<Notice>> {
    let notices = reject_all(connection, space, queue, &state.quarantined, hello.server_time, touched)?;
    let told = Told { sequence: state.last_sequence, event_id: state.last_event_id };
    if hear(connection, space, queue, told, touched)? == Judgement::Advance {
        // Where the list of quarantined events is cut short, what lies before it is sent again: receipts tell.
        let listed = state.quarantined.iter().map(|event| event.device_sequence).min();
        let first = listed.filter(|_| state.more_quarantined).unwrap_or(Sequence(1));
        settle::retire(connection, queue, first, told.sequence, hello.server_time, touched)?;
    }
    Ok(notices)
}

pub(super) fn reject_all(
    connection: &Connection,
    space: &Space,
    queue: &Queue,
    quarantined: &[QuarantinedEvent],
    at: UtcTime,
    touched: &mut Touched,
) -> rusqlite::Result<Vec<Notice>> {
    let mut notices = Vec::new();
    for event in quarantined {
        let reason = (Some(event.code), event.detail.as_str());
        let identity = (event.device_sequence, event.event_id);
        if settle::reject(connection, queue.row, identity, reason, at, touched)? {
            notices.push(Notice::Rejected {
                space: space.id.clone(),
                event_id: event.event_id,
                code: Some(event.code),
                detail: event.detail.clone(),
            });
        }
    }
    Ok(notices)
}

impl EventStore {
    /// The server has nothing of the device from `expected` on: what was recorded from there is sent again, if all of
    /// it is still here. If not, these numbers cannot be used again.
    pub(super) fn rewind(
        &mut self,
        space: &SpaceId,
        device: &DeviceId,
        expected: Sequence,
    ) -> Result<Taken, StoreError> {
        let transaction = begin(&mut self.connection)?;
        let space = spaces::load(&transaction, space)?;
        let mut touched = Touched::new();
        let mut taken = Taken::Rewound;
        if let Some(mut queue) = queues::of_device(&transaction, space.row, device)? {
            let through = Sequence(expected.0.saturating_sub(1));
            let event_id = event_id(&transaction, queue.row, through)?;
            if has_all_behind(&transaction, &queue, through)? {
                queue.confirmed = Told { sequence: through, event_id };
            } else {
                queue.forked = Some(Told { sequence: through, event_id });
                taken = Taken::Forked;
            }
            settle::resume(&transaction, queue.row, through, &mut touched)?;
            queues::save(&transaction, &queue)?;
            overlay::refold(&transaction, &self.schema, space.row, &touched)?;
        }
        transaction.commit()?;
        self.changed.push(Changed::Space { space: space.id });
        Ok(taken)
    }
}
