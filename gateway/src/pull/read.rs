//! The one read behind an answer: the space, the snapshot that stands for the log through its horizon, its segments
//! behind a cursor and what the server has of the callers' devices, all of one moment (`REPEATABLE READ`), so that a
//! horizon that moves meanwhile opens no hole.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, Epoch, Position, SpaceId};
use tidelog_events::limits::MAX_HELLO_QUARANTINED;
use tidelog_events::protocol::{DeviceState, Hello, QuarantinedEvent, UtcTime};
use tidelog_runtime::database::within;
use tidelog_store::segments::Segment;
use tidelog_store::snapshot_parts::{self, Part};
use tidelog_store::snapshots::{self, Snapshot};
use tidelog_store::{devices, quarantine, space_logs};

use crate::problem::Problem;

/// A read that is not done by then found the database, or the network to it, silent.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// What a pull wants to read.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) space: SpaceId,
    pub(super) after: Position,
    /// Events and stored bytes, at most.
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) device: Option<DeviceId>,
}

impl Wanted {
    /// The read for this pull alone.
    pub(super) fn query(&self) -> LogQuery<'_> {
        LogQuery {
            space: &self.space,
            after: self.after,
            events: self.events,
            bytes: self.bytes,
            devices: self.device.as_slice(),
        }
    }
}

/// What to read, for one pull or several.
#[derive(Debug, Clone)]
pub(super) struct LogQuery<'a> {
    pub(super) space: &'a SpaceId,
    /// The cursor.
    pub(super) after: Position,
    /// Events and stored bytes, at most; but at least one segment, if there is any.
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// The callers' devices.
    pub(super) devices: &'a [DeviceId],
}

/// A space at one moment, from a cursor on.
#[derive(Debug, Default)]
pub(super) struct LogRead {
    pub(super) epoch: Option<Epoch>,
    pub(super) head: Position,
    pub(super) horizon: Position,
    /// What the answer begins behind: the cursor that was asked for, or 0 where that lies beyond the head.
    pub(super) cursor: Position,
    /// What stands for the log through the horizon, where the cursor lies before it.
    pub(super) snapshot: Option<SnapshotRead>,
    pub(super) segments: Vec<Segment>,
    /// The state of each device that was asked for.
    pub(super) devices: BTreeMap<DeviceId, DeviceState>,
}

/// A snapshot at the horizon.
#[derive(Debug)]
pub(super) struct SnapshotRead {
    pub(super) snapshot: Snapshot,
    /// Its parts if they fit into an answer; else the first ones, or none. They never change and stay a while when the
    /// horizon moves on, so the others may be read later.
    pub(super) parts: Vec<Part>,
}

impl SnapshotRead {
    /// Whether all parts are here.
    pub(super) fn is_whole(&self) -> bool {
        self.parts.len() == self.snapshot.parts as usize
    }
}

/// Nothing stands for the log through a horizon: what was pruned there cannot be told.
#[derive(Debug, thiserror::Error)]
#[error("there is no snapshot at the horizon {horizon} of the space {space}")]
struct NoSnapshot {
    space: SpaceId,
    horizon: Position,
}

impl LogRead {
    /// What the segments begin behind.
    pub(super) fn segments_after(&self) -> Position {
        self.snapshot.as_ref().map_or(self.cursor, |read| read.snapshot.through)
    }

    /// Whether a reader whose cursor is `after` learns anything: that there are events, or that its log is gone.
    pub(super) fn is_news(&self, after: Position) -> bool {
        self.head != after
    }

    /// The first thing that a reader is told.
    pub(super) fn hello(&self, device: Option<&DeviceId>, schema_version: u32, now: UtcTime) -> Hello {
        Hello {
            server_time: now,
            epoch: self.epoch,
            head: self.head,
            horizon: self.horizon,
            schema_version,
            cursor: self.cursor,
            device: device.map(|device| self.devices.get(device).cloned().unwrap_or_default()),
        }
    }
}

/// Reads the log: in one statement, or in one transaction where more belongs to it: the state of callers' devices, or a
/// snapshot.
pub(super) async fn read_log(pool: &PgPool, query: &LogQuery<'_>) -> Result<LogRead, Problem> {
    let read = within(READ_TIMEOUT, async {
        if query.devices.is_empty() {
            let read = log_at(&mut *pool.acquire().await?, query).await?;
            if read.as_ref().is_none_or(|read| read.horizon <= query.after) {
                return Ok(read);
            }
        }
        let mut moment = one_moment(pool).await?;
        let mut read = log_at(&mut moment, query).await?;
        if let Some(read) = &mut read {
            read.devices = device_states(&mut moment, query).await?;
            if query.after < read.horizon {
                read.snapshot = snapshot_at(&mut moment, query, read.horizon).await?;
            }
        }
        moment.commit().await?;
        Ok(read)
    });
    let read = read.await?.ok_or_else(|| erased(query.space))?;
    if query.after < read.horizon && read.snapshot.is_none() {
        let (space, horizon) = (query.space.clone(), read.horizon);
        return Err(Problem::internal(&NoSnapshot { space, horizon }));
    }
    Ok(read)
}

/// A transaction that sees the tables as they are at its first statement.
pub(crate) async fn one_moment(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
}

/// The answer to whoever reads an erased space.
pub(crate) fn erased(space: &SpaceId) -> Problem {
    Problem::new(Refusal::SpaceErased, format!("the space {space} was erased"))
}

/// `None`: the space was erased.
async fn log_at(connection: &mut PgConnection, query: &LogQuery<'_>) -> sqlx::Result<Option<LogRead>> {
    let LogQuery { space, after, events, bytes, .. } = *query;
    let log = space_logs::behind(connection, space, after, events, bytes).await?;
    if log.erased {
        return Ok(None);
    }
    let mut read = LogRead::default();
    if let Some(space) = log.space {
        (read.epoch, read.head, read.horizon) = (Some(space.epoch), space.head, space.horizon);
        if after <= space.head {
            (read.cursor, read.segments) = (after, log.segments);
        }
    }
    Ok(Some(read))
}

/// The snapshot at the horizon, with its parts if they fit into an answer's bytes.
async fn snapshot_at(
    connection: &mut PgConnection,
    query: &LogQuery<'_>,
    horizon: Position,
) -> sqlx::Result<Option<SnapshotRead>> {
    let LogQuery { space, bytes, .. } = *query;
    let Some(snapshot) = snapshots::at(&mut *connection, space, horizon).await? else { return Ok(None) };
    let parts = if snapshot.bytes <= bytes {
        snapshot_parts::from(connection, space, horizon, 0, bytes as i64).await?
    } else {
        Vec::new()
    };
    Ok(Some(SnapshotRead { snapshot, parts }))
}

async fn device_states(
    connection: &mut PgConnection,
    query: &LogQuery<'_>,
) -> sqlx::Result<BTreeMap<DeviceId, DeviceState>> {
    if query.devices.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names: Vec<&str> = query.devices.iter().map(DeviceId::as_str).collect();
    let mut states: BTreeMap<_, _> =
        query.devices.iter().map(|device| (device.clone(), DeviceState::default())).collect();
    for (device, mark) in devices::marks(&mut *connection, query.space, &names).await? {
        let state = states.entry(device).or_default();
        (state.last_sequence, state.last_event_id) = (mark.sequence, Some(mark.event_id));
    }
    let one_more = MAX_HELLO_QUARANTINED as i64 + 1;
    for (device, event) in quarantine::latest(connection, query.space, &names, one_more).await? {
        states.entry(device).or_default().quarantined.push(event);
    }
    states.values_mut().for_each(keep_latest_quarantined);
    Ok(states)
}

fn keep_latest_quarantined(state: &mut DeviceState) {
    let latest_first = |event: &QuarantinedEvent| std::cmp::Reverse(event.device_sequence);
    state.quarantined.sort_by_key(latest_first);
    state.more_quarantined = state.quarantined.len() > MAX_HELLO_QUARANTINED;
    state.quarantined.truncate(MAX_HELLO_QUARANTINED);
}

#[cfg(test)]
mod tests;
