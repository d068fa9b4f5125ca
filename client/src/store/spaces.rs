//! The table `spaces`: where a space's log, clock and filter stand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use tidelog_events::id::{DeviceId, Epoch, EventId, Position, Sequence, SpaceId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::stamp::Stamp;

use super::columns::{natural, parsed, uuid_or_null};
use super::{Changed, EventStore, StoreError, begin, queues, random_device};

/// What of a space is synced and shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Entity types that are pulled and shown; `None`: all. Events of other types may be recorded, and are pushed.
    pub types: Option<BTreeSet<String>>,
    /// Shown is what was written this recently, by the stamps; `None`: everything. The rest stays in the store, since
    /// a later event can only be folded into the whole entity.
    pub recent: Option<Duration>,
}

impl Filter {
    /// Whether entities of the type are synced.
    pub fn takes(&self, entity_type: &str) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(entity_type))
    }

    /// The types as a JSON array; `None` for all.
    pub(super) fn types_json(&self) -> Result<Option<String>, StoreError> {
        let types = self.types.as_ref().map(serde_json::to_string).transpose();
        types.map_err(|error| StoreError::Damaged(error.to_string()))
    }
}

/// How a space stands on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceStatus {
    /// The space.
    pub space: SpaceId,
    /// The device id that events are recorded under.
    pub device_id: DeviceId,
    /// The last position that the confirmed state has.
    pub cursor: Position,
    /// The last position of the log, as far as the device was told.
    pub head: Position,
    /// The log's incarnation.
    pub epoch: Option<Epoch>,
    /// Events that the committed watermark does not cover yet.
    pub pending: u64,
    /// Events that lie in quarantine, those left out that the app has dismissed.
    pub rejected: u64,
    /// Where the device's hybrid clock stands.
    pub clock: Stamp,
    /// What is synced.
    pub filter: Filter,
    /// The server's time when everything was synced last.
    pub last_synced_at: Option<UtcTime>,
    /// Whether the confirmed state is about to be fetched anew.
    pub refetching: bool,
}

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Space {
    pub(super) row: i64,
    pub(super) id: SpaceId,
    pub(super) recording_queue: i64,
    /// Events that were ever recorded here.
    pub(super) recorded: i64,
    pub(super) cursor: Position,
    pub(super) head: Position,
    pub(super) epoch: Option<Epoch>,
    pub(super) refetch: bool,
    pub(super) clock: Stamp,
    pub(super) received: Stamp,
    pub(super) last_seen: Option<EventId>,
    pub(super) filter: Filter,
    pub(super) last_synced_at: Option<UtcTime>,
}

const COLUMNS: &str = "space, space_id, recording_queue, cursor, head, epoch, refetch, clock, received, \
                       last_seen_event_id, types, recent_ms, last_synced_at_ms, recorded";

fn read(row: &Row<'_>) -> rusqlite::Result<Space> {
    let types: Option<String> = row.get(10)?;
    let recent: Option<i64> = row.get(11)?;
    Ok(Space {
        row: row.get(0)?,
        id: parsed(row, 1)?,
        recording_queue: row.get(2)?,
        cursor: Position::from_i64(row.get(3)?),
        head: Position::from_i64(row.get(4)?),
        epoch: uuid_or_null(row, 5, Epoch)?,
        refetch: row.get(6)?,
        clock: parsed(row, 7)?,
        received: parsed(row, 8)?,
        last_seen: uuid_or_null(row, 9, EventId)?,
        filter: Filter {
            types: types.map(|types| serde_json::from_str(&types).unwrap_or_default()),
            recent: recent.map(|recent| Duration::from_millis(natural(recent))),
        },
        last_synced_at: row.get::<_, Option<i64>>(12)?.map(UtcTime),
        recorded: row.get(13)?,
    })
}

/// The space, if the store has it.
pub(super) fn load(connection: &Connection, space: &SpaceId) -> Result<Space, StoreError> {
    find(connection, space)?.ok_or_else(|| StoreError::NoSuchSpace(space.clone()))
}

fn find(connection: &Connection, space: &SpaceId) -> rusqlite::Result<Option<Space>> {
    let statement = format!("SELECT {COLUMNS} FROM spaces WHERE space_id = ?1");
    connection.prepare_cached(&statement)?.query_row([space.as_str()], read).optional()
}

/// All spaces, in the order in which they were joined.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Space>> {
    let statement = format!("SELECT {COLUMNS} FROM spaces ORDER BY space");
    connection.prepare_cached(&statement)?.query_map([], read)?.collect()
}

/// Writes everything back that may have changed.
pub(super) fn save(connection: &Connection, space: &Space) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE spaces SET recording_queue = ?2, cursor = ?3, head = ?4, epoch = ?5, refetch = ?6, clock = ?7, \
             received = ?8, last_seen_event_id = ?9, last_synced_at_ms = ?10, recorded = ?11 WHERE space = ?1",
        )?
        .execute(params![
            space.row,
            space.recording_queue,
            space.cursor.as_i64(),
            space.head.as_i64(),
            space.epoch.map(|epoch| epoch.0.to_string()),
            space.refetch,
            space.clock.to_string(),
            space.received.to_string(),
            space.last_seen.map(|id| id.to_string()),
            space.last_synced_at.map(|time| time.0),
            space.recorded,
        ])?;
    Ok(())
}

/// Notes whose events a snapshot has brought: no echo of them will come.
pub(super) fn note_snapshot(
    connection: &Connection,
    space: &Space,
    devices: &BTreeMap<DeviceId, Sequence>,
) -> Result<(), StoreError> {
    let devices = serde_json::to_string(devices).map_err(|error| StoreError::Damaged(error.to_string()))?;
    connection
        .prepare_cached("UPDATE spaces SET snapshot_devices = ?2 WHERE space = ?1")?
        .execute(params![space.row, devices])?;
    Ok(())
}

/// Through which sequence the confirmed state has the device's events from a snapshot.
pub(super) fn covered(connection: &Connection, space: i64, device: &DeviceId) -> rusqlite::Result<Sequence> {
    let covered: Option<i64> = connection
        .prepare_cached(
            "SELECT value FROM spaces, json_each(snapshot_devices) WHERE space = ?1 AND json_each.key = ?2",
        )?
        .query_row(params![space, device.as_str()], |row| row.get(0))
        .optional()?;
    Ok(covered.map(Sequence::from_i64).unwrap_or_default())
}

/// Makes the space, or changes its filter; without a filter, a space that is there stays as it is.
pub(super) fn join(
    connection: &Connection,
    id: &SpaceId,
    filter: Option<&Filter>,
    identity: &DeviceId,
) -> Result<bool, StoreError> {
    let Some(space) = find(connection, id)? else {
        let nothing = Stamp::MIN.to_string();
        connection.execute(
            "INSERT INTO spaces (space_id, recording_queue, clock, received) VALUES (?1, 0, ?2, ?2)",
            params![id.as_str(), nothing],
        )?;
        let space = connection.last_insert_rowid();
        let queue = queues::insert(connection, space, identity)?;
        connection.execute("UPDATE spaces SET recording_queue = ?2 WHERE space = ?1", [space, queue])?;
        set_filter(connection, space, filter.unwrap_or(&Filter::default()))?;
        return Ok(true);
    };
    let Some(filter) = filter.filter(|filter| **filter != space.filter) else { return Ok(false) };
    set_filter(connection, space.row, filter)?;
    if filter.types != space.filter.types {
        connection.execute("UPDATE spaces SET refetch = 1 WHERE space = ?1", [space.row])?;
    }
    Ok(true)
}

fn set_filter(connection: &Connection, space: i64, filter: &Filter) -> Result<(), StoreError> {
    let recent = filter.recent.map(|recent| i64::try_from(recent.as_millis()).unwrap_or(i64::MAX));
    connection.execute(
        "UPDATE spaces SET types = ?2, recent_ms = ?3 WHERE space = ?1",
        params![space, filter.types_json()?, recent],
    )?;
    Ok(())
}

/// Records in every space under `identity` from now on; where that id has a past in the space, under a new one.
pub(super) fn record_as(
    connection: &Connection,
    identity: &DeviceId,
    random: &mut fastrand::Rng,
) -> Result<(), StoreError> {
    for mut space in all(connection)? {
        let device = match queues::of_device(connection, space.row, identity)? {
            Some(_) => random_device(random)?,
            None => identity.clone(),
        };
        space.recording_queue = queues::insert(connection, space.row, &device)?;
        save(connection, &space)?;
    }
    Ok(())
}

impl EventStore {
    /// Takes part in a space from now on, or changes what of it is synced: then the confirmed state is fetched anew,
    /// and shown as it is until the first part of that comes.
    pub fn join(&mut self, space: &SpaceId, filter: &Filter) -> Result<(), StoreError> {
        let transaction = begin(&mut self.connection)?;
        if join(&transaction, space, Some(filter), &self.identity)? {
            self.changed.push(Changed::Space { space: space.clone() });
        }
        transaction.commit()?;
        Ok(())
    }

    /// All spaces, in the order in which they were joined.
    pub fn spaces(&self) -> Result<Vec<SpaceStatus>, StoreError> {
        let spaces = all(&self.connection)?;
        spaces.into_iter().map(|space| status(&self.connection, space)).collect()
    }

    /// One space.
    pub fn space(&self, space: &SpaceId) -> Result<SpaceStatus, StoreError> {
        status(&self.connection, load(&self.connection, space)?)
    }
}

/// How the space of that row stands.
pub(super) fn status(connection: &Connection, space: Space) -> Result<SpaceStatus, StoreError> {
    let queues = queues::of_space(connection, space.row)?;
    let recording = queues.iter().find(|queue| queue.row == space.recording_queue);
    let device = recording.ok_or_else(|| StoreError::Damaged("a space without a queue".to_owned()))?;
    let rejected = "SELECT count(*) FROM events WHERE space = ?1 AND state = 2 AND dismissed = 0";
    let rejected: i64 = connection.query_row(rejected, [space.row], |row| row.get(0))?;
    let mut pending = 0;
    for queue in &queues {
        pending += queues::pending(connection, queue.row)?;
    }
    Ok(SpaceStatus {
        device_id: device.device.as_ref().clone(),
        pending,
        rejected: natural(rejected),
        space: space.id,
        cursor: space.cursor,
        head: space.head,
        epoch: space.epoch,
        clock: space.clock,
        filter: space.filter,
        last_synced_at: space.last_synced_at,
        refetching: space.refetch,
    })
}
