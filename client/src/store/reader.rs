//! Reading a store's file beside the app that has it open, without a schema and without writing anything.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use reqwest::Url;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use serde::Serialize;
use tidelog_events::id::{DeviceId, Epoch, Position, Sequence, SpaceId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::stamp::Stamp;

use super::columns::natural;
use super::open::{BUSY_TIMEOUT, Bound, OpenError, bound};
use super::push::{BatchLimits, first_pending};
use super::queues::{self, Queue};
use super::spaces::{self, Space};
use super::{OwnEvent, StoreError, events};
use crate::sync::CycleOptions;

/// How a space stands on the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The space.
    pub space: SpaceId,
    /// Events that were ever recorded here.
    pub recorded: u64,
    /// Events that the committed watermark does not cover yet.
    pub pending: u64,
    /// Events that lie in quarantine, those left out that the app has dismissed.
    pub quarantined: u64,
    /// The device's hybrid clock.
    pub clock: Stamp,
    /// The last position that the confirmed state has.
    pub cursor: Position,
    /// The last position of the log, as far as the device was told.
    pub head: Position,
    /// The log's incarnation.
    pub epoch: Option<Epoch>,
    /// Whether the confirmed state is about to be fetched anew.
    pub refetching: bool,
    /// The server's time when everything was synced last.
    pub last_synced_at: Option<UtcTime>,
    /// What was recorded and is to be sent, by device id, in that order.
    pub queues: Vec<QueueStanding>,
}

/// How the events of one device id stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueStanding {
    /// The device id.
    pub device_id: DeviceId,
    /// Whether new events go here.
    pub recording: bool,
    /// The last event that was recorded.
    pub last_sequence: Sequence,
    /// The server's committed watermark, as far as the device was told.
    pub watermark: Sequence,
    /// Whether other events have taken numbers of this queue.
    pub forked: bool,
    /// Events that the watermark does not cover yet.
    pub pending: u64,
    /// What is sent next.
    pub next_batch: Option<NextBatch>,
}

/// A batch that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NextBatch {
    /// Sequence of its first event.
    pub first: Sequence,
    /// Sequence of its last event.
    pub last: Sequence,
    /// Bytes of its lines.
    pub bytes: u64,
}

/// A store's file at one moment.
pub(crate) struct Reader {
    connection: Connection,
    bound: Bound,
    /// Where the app writes first while it has the store open.
    wal: PathBuf,
    had_wal: bool,
}

impl Reader {
    /// Opens it for one look.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let mut wal = OsString::from(path);
        wal.push("-wal");
        let wal = PathBuf::from(wal);
        let had_wal = wal.exists();
        let connection = if had_wal {
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?
        } else {
            open_alone(path)?
        };
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let begun = connection.execute_batch("BEGIN");
        let bound = begun.map_err(OpenError::from).and_then(|()| bound(&connection)).map_err(foreign)?;
        Ok(Self { connection, bound: bound.ok_or(OpenError::NotAStore)?, wal, had_wal })
    }

    /// Whose store it is.
    pub(crate) fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Whether what was read is of one moment: a store that no app had open was not opened meanwhile.
    pub(crate) fn is_of_one_moment(&self) -> bool {
        self.had_wal || !self.wal.exists()
    }

    /// All spaces, in the order in which they were joined.
    pub(crate) fn spaces(&self) -> Result<Vec<Standing>, StoreError> {
        let spaces = spaces::all(&self.connection)?;
        spaces.into_iter().map(|space| self.standing(space)).collect()
    }

    fn standing(&self, space: Space) -> Result<Standing, StoreError> {
        let recorded = natural(space.recorded);
        let queues = queues::of_space(&self.connection, space.row)?;
        let queues = queues.iter().map(|queue| self.queue(&space, queue)).collect::<Result<_, _>>()?;
        let status = spaces::status(&self.connection, space)?;
        Ok(Standing {
            space: status.space,
            recorded,
            pending: status.pending,
            quarantined: status.rejected,
            clock: status.clock,
            cursor: status.cursor,
            head: status.head,
            epoch: status.epoch,
            refetching: status.refetching,
            last_synced_at: status.last_synced_at,
            queues,
        })
    }

    fn queue(&self, space: &Space, queue: &Queue) -> Result<QueueStanding, StoreError> {
        let CycleOptions { batch_events, batch_bytes, .. } = CycleOptions::default();
        let limits = BatchLimits { events: batch_events, bytes: batch_bytes };
        let batch = first_pending(&self.connection, queue, limits)?;
        let ends = batch.first().zip(batch.last());
        Ok(QueueStanding {
            device_id: queue.device.as_ref().clone(),
            recording: queue.row == space.recording_queue,
            last_sequence: Sequence(queue.next.0.saturating_sub(1)),
            watermark: queue.confirmed.sequence,
            forked: queue.forked.is_some(),
            pending: queues::pending(&self.connection, queue.row)?,
            next_batch: ends.map(|(first, last)| NextBatch {
                first: first.sequence,
                last: last.sequence,
                bytes: batch.iter().map(|event| event.line.len() as u64 + 1).sum(),
            }),
        })
    }

    /// The rows of events that are pending or in quarantine, through that row, each with the number of its state.
    pub(crate) fn unsynced(&self, space: &SpaceId, through: u64) -> Result<BTreeMap<u64, i64>, StoreError> {
        let space = spaces::load(&self.connection, space)?;
        let mut statement = self.connection.prepare_cached(
            "SELECT recorded, state FROM events \
             WHERE queue IN (SELECT queue FROM queues WHERE space = ?1) AND state = 0 AND recorded <= ?2 \
             UNION ALL SELECT recorded, state FROM events WHERE space = ?1 AND state = 2 AND recorded <= ?2",
        )?;
        let rows = statement
            .query_map(params![space.row, through as i64], |row| Ok((natural(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The event of that row, if it is still here.
    pub(crate) fn event(&self, space: &SpaceId, row: u64) -> Result<Option<OwnEvent>, StoreError> {
        let found = self.events_behind(space, row.saturating_sub(1), 1)?.pop();
        Ok(found.filter(|event| event.row == row))
    }

    /// Events behind that row, dismissed ones too, in order of recording.
    pub(crate) fn events_behind(
        &self,
        space: &SpaceId,
        row: u64,
        limit: usize,
    ) -> Result<Vec<OwnEvent>, StoreError> {
        let space = spaces::load(&self.connection, space)?;
        let statement = format!(
            "SELECT {} FROM events JOIN queues USING (queue) WHERE events.space = ?1 AND recorded > ?2 \
             ORDER BY recorded LIMIT ?3",
            events::COLUMNS
        );
        let mut statement = self.connection.prepare_cached(&statement)?;
        let mut rows = statement.query(params![space.row, row as i64, limit as i64])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(events::read(row)?);
        }
        Ok(found)
    }
}

/// Opens a file that no app has open, as it lies there: in any other way, SQLite would put files of its own beside it.
fn open_alone(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let whole = std::path::absolute(path).ok();
    let Some(mut url) = whole.and_then(|path| Url::from_file_path(path).ok()) else {
        return Err(OpenError::NotAStore);
    };
    url.set_query(Some("immutable=1"));
    Ok(Connection::open_with_flags(url.as_str(), flags)?)
}

/// What is no database is no store.
fn foreign(error: OpenError) -> OpenError {
    match error {
        OpenError::Store(StoreError::Sqlite(error))
            if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) =>
        {
            OpenError::NotAStore
        }
        other => other,
    }
}
