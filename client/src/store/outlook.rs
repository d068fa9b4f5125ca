//! What a sync cycle must know to say what comes next.

use std::collections::BTreeSet;

use rusqlite::Connection;
use tidelog_events::id::{DeviceId, Position, SpaceId};

use super::fork::{OwnRange, own_range};
use super::queues::{self, Queue};
use super::spaces::{self, Space};
use super::{EventStore, StoreError};

/// Where a space stands.
#[derive(Debug, Clone)]
pub(crate) struct Outlook {
    /// Where the next pull begins behind.
    pub(crate) after: Position,
    /// Whether the log has more, as far as the device was told.
    pub(crate) behind: bool,
    /// What is pulled.
    pub(crate) types: Option<BTreeSet<String>>,
    /// The device id that events are recorded under.
    pub(crate) recording: DeviceId,
    /// The queues, in the order in which they are sent.
    pub(crate) queues: Vec<QueueOutlook>,
}

/// Where a queue stands.
#[derive(Debug, Clone)]
pub(crate) struct QueueOutlook {
    /// Its device id.
    pub(crate) device: DeviceId,
    /// Whether it has pending events.
    pub(crate) pending: bool,
    /// Whether the log's present incarnation has not been asked yet what it has of it.
    pub(crate) unheard: bool,
    /// Whether other events have taken its numbers.
    pub(crate) forked: bool,
    /// What the server is to be asked for then, if anything is left.
    pub(crate) to_ask: Option<OwnRange>,
}

impl EventStore {
    pub(crate) fn outlook(&self, space: &SpaceId) -> Result<Outlook, StoreError> {
        let connection = &self.connection;
        let space = spaces::load(connection, space)?;
        let queues = queues::of_space(connection, space.row)?;
        let recording = queues.iter().find(|queue| queue.row == space.recording_queue);
        let recording = recording.ok_or_else(|| StoreError::Damaged("a space without a queue".to_owned()))?;
        Ok(Outlook {
            after: if space.refetch { Position::ZERO } else { space.cursor },
            behind: space.refetch || space.cursor < space.head,
            recording: recording.device.as_ref().clone(),
            queues: queues
                .iter()
                .map(|queue| queue_outlook(connection, &space, queue))
                .collect::<rusqlite::Result<_>>()?,
            types: space.filter.types,
        })
    }
}

fn queue_outlook(connection: &Connection, space: &Space, queue: &Queue) -> rusqlite::Result<QueueOutlook> {
    let has = |condition: &str| {
        let statement = format!("SELECT EXISTS (SELECT 1 FROM events WHERE queue = ?1{condition})");
        connection.prepare_cached(&statement)?.query_row([queue.row], |row| row.get::<_, bool>(0))
    };
    Ok(QueueOutlook {
        device: queue.device.as_ref().clone(),
        pending: has(" AND state = 0")?,
        unheard: queue.confirmed_epoch != space.epoch && has("")?,
        forked: queue.forked.is_some(),
        to_ask: if queue.forked.is_some() { own_range(connection, queue)? } else { None },
    })
}
