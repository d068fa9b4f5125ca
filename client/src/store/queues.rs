//! The table `queues`: what a device id has recorded in a space, and how far the server's watermark covers it.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use tidelog_events::id::{DeviceId, Epoch, EventId, Sequence};

use super::columns::{natural, parsed, uuid_or_null};
use super::spaces;
use crate::sync::Told;

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) row: i64,
    pub(super) device: Arc<DeviceId>,
    pub(super) next: Sequence,
    /// The committed watermark, as far as its event was compared with ours, and the epoch that told it.
    pub(super) confirmed: Told,
    pub(super) confirmed_epoch: Option<Epoch>,
    /// The watermark that showed that other events have taken these sequences.
    pub(super) forked: Option<Told>,
    /// A snapshot has the device's events through this one.
    pub(super) covered: Sequence,
}

const COLUMNS: &str = "queue, device_id, next_sequence, confirmed_sequence, confirmed_event_id, \
                       confirmed_epoch, forked_sequence, forked_event_id, covered_sequence";

fn read(row: &Row<'_>) -> rusqlite::Result<Queue> {
    let forked = row.get::<_, Option<i64>>(6)?.map(Sequence::from_i64);
    let forked_id = uuid_or_null(row, 7, EventId)?;
    Ok(Queue {
        row: row.get(0)?,
        device: Arc::new(parsed(row, 1)?),
        next: Sequence::from_i64(row.get(2)?),
        confirmed: Told {
            sequence: Sequence::from_i64(row.get(3)?),
            event_id: uuid_or_null(row, 4, EventId)?,
        },
        confirmed_epoch: uuid_or_null(row, 5, Epoch)?,
        forked: forked.map(|sequence| Told { sequence, event_id: forked_id }),
        covered: Sequence::from_i64(row.get(8)?),
    })
}

pub(super) fn load(connection: &Connection, queue: i64) -> rusqlite::Result<Queue> {
    let statement = format!("SELECT {COLUMNS} FROM queues WHERE queue = ?1");
    connection.prepare_cached(&statement)?.query_row([queue], read)
}

pub(super) fn of_device(
    connection: &Connection,
    space: i64,
    device: &DeviceId,
) -> rusqlite::Result<Option<Queue>> {
    let statement = format!("SELECT {COLUMNS} FROM queues WHERE space = ?1 AND device_id = ?2");
    connection.prepare_cached(&statement)?.query_row(params![space, device.as_str()], read).optional()
}

/// The space's queues, in the order in which they are sent.
pub(super) fn of_space(connection: &Connection, space: i64) -> rusqlite::Result<Vec<Queue>> {
    let statement = format!("SELECT {COLUMNS} FROM queues WHERE space = ?1 ORDER BY queue");
    connection.prepare_cached(&statement)?.query_map([space], read)?.collect()
}

pub(super) fn insert(connection: &Connection, space: i64, device: &DeviceId) -> rusqlite::Result<i64> {
    let covered = spaces::covered(connection, space, device)?;
    connection
        .prepare_cached("INSERT INTO queues (space, device_id, covered_sequence) VALUES (?1, ?2, ?3)")?
        .execute(params![space, device.as_str(), covered.as_i64()])?;
    Ok(connection.last_insert_rowid())
}

pub(super) fn save(connection: &Connection, queue: &Queue) -> rusqlite::Result<()> {
    let id = |told: &Told| told.event_id.map(|id| id.to_string());
    connection
        .prepare_cached(
            "UPDATE queues SET next_sequence = ?2, confirmed_sequence = ?3, confirmed_event_id = ?4, \
             confirmed_epoch = ?5, forked_sequence = ?6, forked_event_id = ?7, covered_sequence = ?8 \
             WHERE queue = ?1",
        )?
        .execute(params![
            queue.row,
            queue.next.as_i64(),
            queue.confirmed.sequence.as_i64(),
            id(&queue.confirmed),
            queue.confirmed_epoch.map(|epoch| epoch.0.to_string()),
            queue.forked.map(|told| told.sequence.as_i64()),
            queue.forked.and_then(|told| id(&told)),
            queue.covered.as_i64(),
        ])?;
    Ok(())
}

/// The last of its events that is still here.
pub(super) fn last(connection: &Connection, queue: i64) -> rusqlite::Result<Option<Sequence>> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(sequence) FROM events WHERE queue = ?1")?
        .query_row([queue], |row| row.get(0))?;
    Ok(last.map(Sequence::from_i64))
}

/// Whether any of its events through that sequence is pending.
pub(super) fn pending_through(
    connection: &Connection,
    queue: i64,
    through: Sequence,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM events WHERE queue = ?1 AND sequence <= ?2 AND state = 0)",
        )?
        .query_row(params![queue, through.as_i64()], |row| row.get(0))
}

/// How many of its events are pending.
pub(super) fn pending(connection: &Connection, queue: i64) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT count(*) FROM events WHERE queue = ?1 AND state = 0")?
        .query_row([queue], |row| row.get(0))
        .map(natural)
}
