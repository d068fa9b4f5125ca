//! `devices`: the watermark of each device in each space, and what is known of it as a reader.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tidelog_events::admit::Mark;
use tidelog_events::id::{DeviceId, EventId, Position, SpaceId};
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
        "INSERT INTO devices (space_id, device_id, user_id, last_sequence, last_event_id, last_seen_at)
         SELECT space_id, device_id, user_id, last_sequence, last_event_id,
                timestamptz 'epoch' + $6::bigint * interval '1 millisecond'
         FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::uuid[])
           AS marks (space_id, device_id, user_id, last_sequence, last_event_id)
         ON CONFLICT (space_id, device_id) DO UPDATE
         SET user_id = EXCLUDED.user_id, last_sequence = EXCLUDED.last_sequence,
             last_event_id = EXCLUDED.last_event_id, last_seen_at = EXCLUDED.last_seen_at",
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

/// Notes that devices were seen with these cursors at `now`. Only devices that have pushed have a row: reading makes
/// none, or whoever may only read could fill the table. Rows are locked in order, so that no two writers wait for
/// each other.
pub async fn note_readers(
    connection: &mut PgConnection,
    spaces: &[&str],
    devices: &[&str],
    cursors: &[i64],
    now: UtcTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "WITH seen AS (
             SELECT devices.space_id, devices.device_id, seen.cursor
             FROM unnest($1::text[], $2::text[], $3::bigint[]) AS seen (space_id, device_id, cursor)
             JOIN devices ON devices.space_id = seen.space_id AND devices.device_id = seen.device_id
             ORDER BY devices.space_id, devices.device_id
             FOR UPDATE OF devices
         )
         UPDATE devices
         SET cursor = seen.cursor, last_seen_at = timestamptz 'epoch' + $4::bigint * interval '1 millisecond'
         FROM seen
         WHERE devices.space_id = seen.space_id AND devices.device_id = seen.device_id",
    )
    .bind(spaces)
    .bind(devices)
    .bind(cursors)
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
