//! Quarantine as people look through it: the latest first, with what they decided.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tidelog_events::id::{DeviceId, SpaceId, UserId};
use tidelog_events::protocol::UtcTime;

use super::{Quarantined, quarantined};
use crate::columns;

/// When, and by whom, something was hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dismissal {
    /// When.
    pub at: UtcTime,
    /// By whom.
    pub by: UserId,
}

pub(crate) fn dismissal(row: &PgRow) -> sqlx::Result<Option<Dismissal>> {
    if !row.try_get::<bool, _>("dismissed")? {
        return Ok(None);
    }
    Ok(Some(Dismissal { at: UtcTime(row.try_get("dismissed_ms")?), by: columns::id(row, "dismissed_by")? }))
}

/// An event in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEvent {
    /// The event.
    pub event: Quarantined,
    /// Microseconds since 1970 when it came.
    pub received_us: i64,
    /// Whether it is hidden.
    pub dismissed: Option<Dismissal>,
}

/// Where a list of events goes on: behind the event with these, the latest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Microseconds since 1970 when it came.
    pub received_us: i64,
    /// Its space.
    pub space: String,
    /// Its device.
    pub device: String,
    /// Its sequence.
    pub sequence: i64,
}

/// What is to be listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this device only.
    pub device: Option<DeviceId>,
    /// With this code only.
    pub code: Option<String>,
    /// Only what is hidden, or only what is not.
    pub dismissed: Option<bool>,
}

fn listed(row: &PgRow) -> sqlx::Result<ListedEvent> {
    Ok(ListedEvent {
        event: quarantined(row)?,
        received_us: row.try_get("received_us")?,
        dismissed: dismissal(row)?,
    })
}

/// The latest events behind one, of all spaces.
pub async fn of_all(
    connection: &mut PgConnection,
    filter: &Filter,
    behind: &Behind,
    limit: i64,
) -> sqlx::Result<Vec<ListedEvent>> {
    let rows = sqlx::query(
        "SELECT space_id, device_id, device_sequence, event_id, user_id, code, detail, schema_version, line,
                dismissed, dismissed_by, (extract(epoch FROM dismissed_at) * 1000)::bigint AS dismissed_ms,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms,
                (extract(epoch FROM received_at) * 1000000)::bigint AS received_us
         FROM quarantine
         WHERE (received_at, space_id, device_id, device_sequence)
               < (timestamptz 'epoch' + $1::bigint * interval '1 microsecond', $2, $3, $4)
           AND ($5::text IS NULL OR device_id = $5) AND ($6::text IS NULL OR code = $6)
           AND ($7::boolean IS NULL OR dismissed = $7)
         ORDER BY received_at DESC, space_id DESC, device_id DESC, device_sequence DESC
         LIMIT $8",
    )
    .bind(behind.received_us)
    .bind(&behind.space)
    .bind(&behind.device)
    .bind(behind.sequence)
    .bind(filter.device.as_ref().map(DeviceId::as_str))
    .bind(filter.code.as_deref())
    .bind(filter.dismissed)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(listed).collect()
}

/// The latest events behind one, of one space.
pub async fn of_space(
    connection: &mut PgConnection,
    space: &SpaceId,
    filter: &Filter,
    behind: &Behind,
    limit: i64,
) -> sqlx::Result<Vec<ListedEvent>> {
    let rows = sqlx::query(
        "SELECT space_id, device_id, device_sequence, event_id, user_id, code, detail, schema_version, line,
                dismissed, dismissed_by, (extract(epoch FROM dismissed_at) * 1000)::bigint AS dismissed_ms,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms,
                (extract(epoch FROM received_at) * 1000000)::bigint AS received_us
         FROM quarantine
         WHERE space_id = $1
           AND (received_at, device_id, device_sequence)
               < (timestamptz 'epoch' + $2::bigint * interval '1 microsecond', $3, $4)
           AND ($5::text IS NULL OR device_id = $5) AND ($6::text IS NULL OR code = $6)
           AND ($7::boolean IS NULL OR dismissed = $7)
         ORDER BY received_at DESC, device_id DESC, device_sequence DESC
         LIMIT $8",
    )
    .bind(space.as_str())
    .bind(behind.received_us)
    .bind(&behind.device)
    .bind(behind.sequence)
    .bind(filter.device.as_ref().map(DeviceId::as_str))
    .bind(filter.code.as_deref())
    .bind(filter.dismissed)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(listed).collect()
}

/// How many events of each of a space's devices lie there and are not hidden; no more than `most` are counted.
pub async fn counts(
    connection: &mut PgConnection,
    space: &SpaceId,
    devices: &[&str],
    most: i64,
) -> sqlx::Result<Vec<(DeviceId, u64)>> {
    let rows = sqlx::query(
        "SELECT wanted.device_id, theirs.events
         FROM unnest($2::text[]) AS wanted (device_id)
         CROSS JOIN LATERAL (
             SELECT count(*) AS events FROM (
                 SELECT FROM quarantine
                 WHERE quarantine.space_id = $1 AND quarantine.device_id = wanted.device_id AND NOT dismissed
                 LIMIT $3
             ) AS counted
         ) AS theirs",
    )
    .bind(space.as_str())
    .bind(devices)
    .bind(most)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok((columns::id(row, "device_id")?, row.try_get::<i64, _>("events")?.cast_unsigned())))
        .collect()
}
