//! Pushing: which events make the next batch, and what the answer says of them.

use rusqlite::{Connection, params};
use serde::Serialize;
use tidelog_events::admit::After;
use tidelog_events::frame::{BatchHeader, write_batch};
use tidelog_events::id::{DeviceId, EventId, Sequence, SpaceId};
use tidelog_events::protocol::{EventStatus, PushAnswer};

use super::answers::Taken;
use super::columns::parsed;
use super::queues::Queue;
use super::settle::{self, Touched};
use super::{Changed, EventStore, Notice, StoreError, begin, hello, overlay, queues, spaces};
use crate::defect::{Defect, is_planted};
use crate::sync::{Judgement, Told};
use crate::transport::PushRequest;

/// How large a batch may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Events.
    pub events: usize,
    /// Bytes of their lines; one event goes whatever its size.
    pub bytes: usize,
}

/// Sent in place of an event that the server does not take: it keeps the numbering without a gap.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WithheldLine<'a> {
    event_id: EventId,
    device_sequence: Sequence,
    withheld: &'a str,
}

/// A pending event, as it is sent.
pub(super) struct Pending {
    pub(super) sequence: Sequence,
    pub(super) line: String,
}

impl EventStore {
    /// The next batch of a device: its first pending events with numbers in a row.
    pub(crate) fn next_batch(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        limits: BatchLimits,
    ) -> Result<Option<PushRequest>, StoreError> {
        let row = spaces::load(&self.connection, space)?;
        let Some(queue) = queues::of_device(&self.connection, row.row, device)? else { return Ok(None) };
        let events = first_pending(&self.connection, &queue, limits)?;
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(None) };
        let header = BatchHeader {
            device_id: Some(device.clone()),
            user_id: None,
            after: Some(before(&self.connection, &queue, first.sequence)?),
        };
        Ok(Some(PushRequest {
            space: space.clone(),
            device: device.clone(),
            first: first.sequence,
            last: last.sequence,
            body: write_batch(&header, events.iter().map(|event| &event.line)),
        }))
    }

    /// Gives up sending an event that the server does not take, and sends a notice in its place.
    pub(crate) fn withhold(&mut self, push: &PushRequest, code: &str) -> Result<(), StoreError> {
        let transaction = begin(&mut self.connection)?;
        let space = spaces::load(&transaction, &push.space)?;
        if let Some(queue) = queues::of_device(&transaction, space.row, &push.device)? {
            transaction.execute(
                "UPDATE events SET withheld = ?3 WHERE queue = ?1 AND sequence = ?2 AND state = 0",
                params![queue.row, push.first.as_i64(), code],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    pub(super) fn take_pushed(
        &mut self,
        push: &PushRequest,
        answer: &PushAnswer,
    ) -> Result<Taken, StoreError> {
        if !answer.committed && !is_planted(Defect::RetiredByBrokerAck) {
            // The broker may lose it: nothing is retired.
            return Ok(Taken::Pushed { committed: false });
        }
        let transaction = begin(&mut self.connection)?;
        let mut space = spaces::load(&transaction, &push.space)?;
        let Some(mut queue) = queues::of_device(&transaction, space.row, &push.device)? else {
            return Ok(Taken::Late);
        };
        let mut touched = Touched::new();
        let notices = receipts(&transaction, &push.space, &queue, answer, &mut touched)?;
        let told = told(&transaction, &queue, push, answer)?;
        let judgement = hello::hear(&transaction, &space, &mut queue, told, &mut touched)?;
        if judgement != Judgement::Forked && push.last <= queue.confirmed.sequence {
            settle::retire(&transaction, &queue, push.first, push.last, answer.server_time, &mut touched)?;
        }
        queues::save(&transaction, &queue)?;
        overlay::refold(&transaction, &self.schema, space.row, &touched)?;
        space.head = space.head.max(answer.head.unwrap_or_default());
        spaces::save(&transaction, &space)?;
        transaction.commit()?;
        self.changed.push(Changed::Space { space: space.id });
        self.changed.extend(notices.into_iter().map(Changed::Notice));
        Ok(if judgement == Judgement::Forked {
            Taken::Forked
        } else {
            Taken::Pushed { committed: answer.committed }
        })
    }
}

fn told(
    connection: &Connection,
    queue: &Queue,
    push: &PushRequest,
    answer: &PushAnswer,
) -> rusqlite::Result<Told> {
    match answer.device {
        Some(mark) => Ok(Told { sequence: mark.last_sequence, event_id: Some(mark.last_event_id) }),
        // Only with a planted defect: what the broker has taken counts.
        None if !answer.committed => {
            let event_id = hello::event_id(connection, queue.row, push.last)?;
            Ok(Told { sequence: push.last, event_id })
        }
        None => Ok(queue.confirmed),
    }
}

fn receipts(
    connection: &Connection,
    space: &SpaceId,
    queue: &Queue,
    answer: &PushAnswer,
    touched: &mut Touched,
) -> rusqlite::Result<Vec<Notice>> {
    let mut notices = Vec::new();
    for receipt in &answer.receipts {
        let (EventStatus::Quarantined, Some(sequence)) = (receipt.status, receipt.device_sequence) else {
            continue;
        };
        let identity = (sequence, receipt.event_id);
        let detail = receipt.detail.clone().unwrap_or_default();
        let reason = (receipt.code, detail.as_str());
        if settle::reject(connection, queue.row, identity, reason, answer.server_time, touched)? {
            let event_id = receipt.event_id;
            notices.push(Notice::Rejected { space: space.clone(), event_id, code: receipt.code, detail });
        }
    }
    Ok(notices)
}

/// The queue's first pending events with numbers in a row, as many as the limits allow.
pub(super) fn first_pending(
    connection: &Connection,
    queue: &Queue,
    limits: BatchLimits,
) -> Result<Vec<Pending>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, event_id, line, withheld FROM events WHERE queue = ?1 AND state = 0 \
         ORDER BY sequence LIMIT ?2",
    )?;
    let mut rows = statement.query(params![queue.row, limits.events.max(1) as i64])?;
    let mut events: Vec<Pending> = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let sequence = Sequence::from_i64(row.get(0)?);
        let line = match row.get::<_, Option<String>>(3)? {
            None => row.get(2)?,
            Some(withheld) => {
                let event_id = EventId(parsed(row, 1)?);
                let line = WithheldLine { event_id, device_sequence: sequence, withheld: &withheld };
                serde_json::to_string(&line).map_err(|error| StoreError::Damaged(error.to_string()))?
            }
        };
        bytes += line.len();
        let in_a_row = events.last().is_none_or(|last| last.sequence.next() == sequence);
        if !in_a_row || (bytes > limits.bytes && !events.is_empty()) {
            break;
        }
        events.push(Pending { sequence, line });
    }
    Ok(events)
}

/// The event that a batch follows, as far as its id is known.
fn before(connection: &Connection, queue: &Queue, first: Sequence) -> rusqlite::Result<After> {
    let device_sequence = Sequence(first.0.saturating_sub(1));
    let confirmed = queue.confirmed.event_id.filter(|_| queue.confirmed.sequence == device_sequence);
    let event_id = match hello::event_id(connection, queue.row, device_sequence)? {
        Some(event_id) => Some(event_id),
        None => confirmed,
    };
    Ok(After { device_sequence, event_id })
}
