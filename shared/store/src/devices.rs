//! `devices`: the watermark of each device in each space; and what is otherwise known of it.

pub mod facts;
pub mod heard;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tidelog_events::admit::Mark;
use tidelog_events::id::{DeviceId, EventId, Position, Sequence, SpaceId, UserId};
use tidelog_events::protocol::UtcTime;
use uuid::Uuid;

use crate::columns;

/// Rows as watermarks, each under its key.
fn marks_by<K>(rows: &[PgRow], key: impl Fn(&PgRow) -> sqlx::Result<K>) -> sqlx::Result<Vec<(K, Mark)>> {
    let mark = |row: &PgRow| -> sqlx::Result<Mark> {
        Ok(Mark {
            owner: columns::id(row, "user_id")?,
            sequence: columns::sequence(row, "last_sequence")?,
            event_id: EventId(row.try_get("last_event_id")?),
        })
    };
    rows.iter().map(|row| Ok((key(row)?, mark(row)?))).collect()
}

/// The devices' watermarks, which move only under the locks of their spaces: the caller holds those, so the rows need
/// no locks of their own. Devices that have not pushed have none.
pub async fn held_marks(
    connection: &mut PgConnection,
    spaces: &[&str],
    devices: &[&str],
) -> sqlx::Result<Vec<((SpaceId, DeviceId), Mark)>> {
    let rows = sqlx::query(
        "SELECT devices.space_id, devices.device_id, user_id, last_sequence, last_event_id
         FROM devices
         JOIN unnest($1::text[], $2::text[]) AS wanted (space_id, device_id)
           ON devices.space_id = wanted.space_id AND devices.device_id = wanted.device_id",
    )
    .bind(spaces)
    .bind(devices)
    .fetch_all(connection)
    .await?;
    marks_by(&rows, |row| Ok((columns::id(row, "space_id")?, columns::id(row, "device_id")?)))
}

/// The watermarks of a space's devices, as a reader sees them.
pub async fn marks(
    connection: &mut PgConnection,
    space: &SpaceId,
    devices: &[&str],
) -> sqlx::Result<Vec<(DeviceId, Mark)>> {
    let rows = sqlx::query(
        "SELECT device_id, user_id, last_sequence, last_event_id FROM devices
         WHERE space_id = $1 AND device_id = ANY ($2::text[])",
    )
    .bind(space.as_str())
    .bind(devices)
    .fetch_all(connection)
    .await?;
    marks_by(&rows, |row| columns::id(row, "device_id"))
}

/// Whose a space's device is; `None` for one that has never pushed there.
pub async fn owner(
    connection: &mut PgConnection,
    space: &SpaceId,
    device: &DeviceId,
) -> sqlx::Result<Option<UserId>> {
    let row = sqlx::query("SELECT user_id FROM devices WHERE space_id = $1 AND device_id = $2")
        .bind(space.as_str())
        .bind(device.as_str())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(|row| columns::id(row, "user_id")).transpose()
}

/// Whether the space may be the personal one of the user of that id: one of their devices has pushed there, or nobody has.
pub async fn may_be_personal(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT coalesce(bool_or(user_id = space_id), true) AS may_be FROM devices WHERE space_id = $1",
    )
    .bind(space.as_str())
    .fetch_one(connection)
    .await
}

/// Watermarks to write, column by column.
#[derive(Debug, Default)]
pub struct MarkColumns<'a> {
    spaces: Vec<&'a str>,
    devices: Vec<&'a str>,
    users: Vec<&'a str>,
    sequences: Vec<i64>,
    event_ids: Vec<Uuid>,
}

impl<'a> MarkColumns<'a> {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.spaces.is_empty()
    }

    /// Adds a device's watermark. Add in order of space and device: rows are locked in that order.
    pub fn push(&mut self, space: &'a SpaceId, device: &'a DeviceId, mark: &'a Mark) {
        self.spaces.push(space.as_str());
        self.devices.push(device.as_str());
        self.users.push(mark.owner.as_str());
        self.sequences.push(mark.sequence.as_i64());
        self.event_ids.push(mark.event_id.0);
    }
}

/// Writes watermarks of devices that were seen at `now`, making rows for new ones; the caller holds the spaces' locks.
pub async fn set_marks(
    connection: &mut PgConnection,
    marks: &MarkColumns<'_>,
    now: UtcTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO devices (space_id, device_id, user_id, last_sequence, last_event_id, last_seen_at, pushed_at)
         SELECT space_id, device_id, user_id, last_sequence, last_event_id, noted.at, noted.at
         FROM (SELECT timestamptz 'epoch' + $6::bigint * interval '1 millisecond' AS at) AS noted,
              unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::uuid[])
           AS marks (space_id, device_id, user_id, last_sequence, last_event_id)
         ON CONFLICT (space_id, device_id) DO UPDATE
         SET user_id = EXCLUDED.user_id, last_sequence = EXCLUDED.last_sequence,
             last_event_id = EXCLUDED.last_event_id, last_seen_at = EXCLUDED.last_seen_at,
             pushed_at = EXCLUDED.pushed_at",
    )
    .bind(&marks.spaces)
    .bind(&marks.devices)
    .bind(&marks.users)
    .bind(&marks.sequences)
    .bind(&marks.event_ids)
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// The least cursor from `from` on and below `below` among the devices that were seen since then. Devices of single
/// events read nothing; there may be very many, and none of their rows is looked at.
pub async fn least_active_cursor(
    connection: &mut PgConnection,
    space: &SpaceId,
    active_since: UtcTime,
    (from, below): (Position, Position),
) -> sqlx::Result<Option<Position>> {
    // `;` is the character behind `:`.
    let cursor: Option<i64> = sqlx::query_scalar(
        "SELECT min(cursor) FROM (
             SELECT cursor, last_seen_at FROM devices WHERE space_id = $1 AND device_id < 'event:'
             UNION ALL
             SELECT cursor, last_seen_at FROM devices WHERE space_id = $1 AND device_id >= 'event;'
         ) AS readers
         WHERE cursor >= $2 AND cursor < $3
           AND last_seen_at >= timestamptz 'epoch' + $4 * interval '1 millisecond'",
    )
    .bind(space.as_str())
    .bind(from.as_i64())
    .bind(below.as_i64())
    .bind(active_since.0)
    .fetch_one(connection)
    .await?;
    Ok(cursor.map(Position::from_i64))
}

/// A device of a space, as it was last heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenDevice {
    /// The device.
    pub device: DeviceId,
    /// The user who first pushed with it.
    pub user: UserId,
    /// Its watermark.
    pub last_sequence: Sequence,
    /// The last position that it said it has.
    pub cursor: Position,
    /// When it was last heard of.
    pub last_seen_at: UtcTime,
}

/// Devices that are looked at to find the latest, at most.
const LATEST_OF: i64 = 10_000;

/// Up to `limit` devices of a space that number their events, the one that was heard of last first; of a space with more
/// than ten thousand, the latest of those.
pub async fn latest(
    connection: &mut PgConnection,
    space: &SpaceId,
    limit: i64,
) -> sqlx::Result<Vec<SeenDevice>> {
    // Two ranges of the key: between them, there is a row for each event without a number.
    let rows = sqlx::query(
        "SELECT device_id, user_id, last_sequence, cursor,
                (extract(epoch FROM last_seen_at) * 1000)::bigint AS last_seen_ms
         FROM (
             (SELECT device_id, user_id, last_sequence, cursor, last_seen_at FROM devices
              WHERE space_id = $1 AND device_id < 'event:' LIMIT $2)
             UNION ALL
             (SELECT device_id, user_id, last_sequence, cursor, last_seen_at FROM devices
              WHERE space_id = $1 AND device_id >= 'event;' LIMIT $2)
         ) AS looked_at
         ORDER BY last_seen_at DESC, device_id LIMIT $3",
    )
    .bind(space.as_str())
    .bind(LATEST_OF)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(SeenDevice {
                device: columns::id(row, "device_id")?,
                user: columns::id(row, "user_id")?,
                last_sequence: columns::sequence(row, "last_sequence")?,
                cursor: columns::position(row, "cursor")?,
                last_seen_at: UtcTime(row.try_get("last_seen_ms")?),
            })
        })
        .collect()
}
