//! `quarantine`: the events that the log could not take, with their bytes and the reason.

pub mod arrived;
pub mod listed;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tidelog_events::code::Fault;
use tidelog_events::command::{DismissQuarantined, ReleaseQuarantined};
use tidelog_events::id::{DeviceId, EventId, SpaceId, UserId};
use tidelog_events::protocol::{QuarantinedEvent, UtcTime};

use crate::columns;
use crate::segments::{DeviceRange, SequenceRange};

/// An event in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The space that it was pushed to.
    pub space: SpaceId,
    /// The device that recorded it.
    pub device: DeviceId,
    /// Its author.
    pub user: UserId,
    /// Its number, id, code and reason.
    pub event: QuarantinedEvent,
    /// When the gateway took it.
    pub received_at: UtcTime,
    /// The schema version that found the fault.
    pub schema_version: u32,
    /// The event line as it came, without its `\n`.
    pub line: Vec<u8>,
}

/// Puts events into quarantine.
pub async fn insert(connection: &mut PgConnection, events: &[Quarantined]) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO quarantine (space_id, device_id, device_sequence, event_id, user_id, received_at, code,
                                 detail, schema_version, line)
         SELECT space_id, device_id, device_sequence, event_id, user_id,
                timestamptz 'epoch' + received_ms * interval '1 millisecond', code, detail, schema_version, line
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[], $7::text[],
                     $8::text[], $9::bigint[], $10::bytea[])
           AS found (space_id, device_id, device_sequence, event_id, user_id, received_ms, code, detail,
                     schema_version, line)",
    )
    .bind(events.iter().map(|q| q.space.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|q| q.device.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|q| q.event.device_sequence.as_i64()).collect::<Vec<_>>())
    .bind(events.iter().map(|q| q.event.event_id.0).collect::<Vec<_>>())
    .bind(events.iter().map(|q| q.user.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|q| q.received_at.0).collect::<Vec<_>>())
    .bind(events.iter().map(|q| q.event.code.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|q| q.event.detail.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|q| i64::from(q.schema_version)).collect::<Vec<_>>())
    .bind(events.iter().map(|q| q.line.as_slice()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

fn event(row: &PgRow) -> sqlx::Result<QuarantinedEvent> {
    let code: &str = row.try_get("code")?;
    let code = Fault::from_text(code).ok_or_else(|| sqlx::Error::ColumnDecode {
        index: "code".to_owned(),
        source: format!("unknown code {code}").into(),
    })?;
    Ok(QuarantinedEvent {
        device_sequence: columns::sequence(row, "device_sequence")?,
        event_id: EventId(row.try_get("event_id")?),
        code,
        detail: row.try_get("detail")?,
    })
}

fn quarantined(row: &PgRow) -> sqlx::Result<Quarantined> {
    Ok(Quarantined {
        space: columns::id(row, "space_id")?,
        device: columns::id(row, "device_id")?,
        user: columns::id(row, "user_id")?,
        event: event(row)?,
        received_at: UtcTime(row.try_get("received_ms")?),
        schema_version: row.try_get::<i64, _>("schema_version")? as u32,
        line: row.try_get("line")?,
    })
}

/// The latest `limit` quarantined events of each of a space's devices, the greatest sequence first.
pub async fn latest(
    connection: &mut PgConnection,
    space: &SpaceId,
    devices: &[&str],
    limit: i64,
) -> sqlx::Result<Vec<(DeviceId, QuarantinedEvent)>> {
    let rows = sqlx::query(
        "SELECT wanted.device_id, device_sequence, event_id, code, detail
         FROM unnest($2::text[]) AS wanted (device_id)
         CROSS JOIN LATERAL (
             SELECT device_sequence, event_id, code, detail FROM quarantine
             WHERE quarantine.space_id = $1 AND quarantine.device_id = wanted.device_id
             ORDER BY device_sequence DESC LIMIT $3
         ) AS theirs",
    )
    .bind(space.as_str())
    .bind(devices)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((columns::id(row, "device_id")?, event(row)?))).collect()
}

/// The quarantined events among the devices' sequences.
pub async fn of_devices(
    connection: &mut PgConnection,
    wanted: &[DeviceRange],
) -> sqlx::Result<Vec<(SpaceId, DeviceId, QuarantinedEvent)>> {
    let range = |pick: fn(SequenceRange) -> i64| wanted.iter().map(|w| pick(w.range)).collect::<Vec<_>>();
    let rows = sqlx::query(
        "SELECT quarantine.space_id, quarantine.device_id, device_sequence, event_id, code, detail
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
           AS wanted (space_id, device_id, from_sequence, to_sequence)
         JOIN quarantine ON quarantine.space_id = wanted.space_id AND quarantine.device_id = wanted.device_id
          AND quarantine.device_sequence BETWEEN wanted.from_sequence AND wanted.to_sequence
         ORDER BY quarantine.space_id, quarantine.device_id, device_sequence",
    )
    .bind(wanted.iter().map(|w| w.space.as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|w| w.device.as_str()).collect::<Vec<_>>())
    .bind(range(|range| range.first.as_i64()))
    .bind(range(|range| range.last.as_i64()))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok((columns::id(row, "space_id")?, columns::id(row, "device_id")?, event(row)?)))
        .collect()
}

/// Up to `limit` spaces with events that a schema version older than `version` found at fault, and that a
/// newer one may accept.
pub async fn releasable_spaces(
    connection: &mut PgConnection,
    version: u32,
    limit: i64,
) -> sqlx::Result<Vec<SpaceId>> {
    let rows = sqlx::query(
        "SELECT DISTINCT space_id FROM quarantine
         WHERE schema_version < $1
           AND code IN ('event-unknown-key', 'event-unknown-type', 'event-payload-invalid')
         LIMIT $2",
    )
    .bind(i64::from(version))
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| columns::id(row, "space_id")).collect()
}

/// Up to `limit` such events of one space, in the order in which they came.
pub async fn releasable(
    connection: &mut PgConnection,
    space: &SpaceId,
    version: u32,
    limit: i64,
) -> sqlx::Result<Vec<Quarantined>> {
    let rows = sqlx::query(
        "SELECT space_id, device_id, device_sequence, event_id, user_id, code, detail, schema_version, line,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms
         FROM quarantine
         WHERE space_id = $1 AND schema_version < $2
           AND code IN ('event-unknown-key', 'event-unknown-type', 'event-payload-invalid')
         ORDER BY received_at, device_id, device_sequence
         LIMIT $3",
    )
    .bind(space.as_str())
    .bind(i64::from(version))
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(quarantined).collect()
}

/// How many of the latest `limit` events nobody has dismissed.
pub async fn count_open(connection: &mut PgConnection, limit: i64) -> sqlx::Result<u64> {
    let row = sqlx::query(
        "SELECT count(*) FILTER (WHERE NOT dismissed) AS events
         FROM (SELECT dismissed FROM quarantine ORDER BY received_at DESC LIMIT $1) AS latest",
    )
    .bind(limit)
    .fetch_one(connection)
    .await?;
    row.try_get::<i64, _>("events").map(i64::cast_unsigned)
}

/// The event that a command means, if it lies here; the caller holds its space's lock.
pub async fn find(
    connection: &mut PgConnection,
    wanted: &ReleaseQuarantined,
) -> sqlx::Result<Option<Quarantined>> {
    let row = sqlx::query(
        "SELECT space_id, device_id, device_sequence, event_id, user_id, code, detail, schema_version, line,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms
         FROM quarantine
         WHERE space_id = $1 AND device_id = $2 AND device_sequence = $3",
    )
    .bind(wanted.space.as_str())
    .bind(wanted.device_id.as_str())
    .bind(wanted.device_sequence.as_i64())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(quarantined).transpose()
}

/// Hides an event or shows it again, unless that was done later; false where there is none.
pub async fn dismiss(connection: &mut PgConnection, command: &DismissQuarantined) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE quarantine
         SET dismissed = CASE WHEN said.later THEN $4 ELSE dismissed END,
             dismissed_by = CASE WHEN said.later THEN $5 ELSE dismissed_by END,
             dismissed_at = CASE WHEN said.later THEN said.at ELSE dismissed_at END
         FROM (
             SELECT space_id, device_id, device_sequence, said.at,
                    said.at > coalesce(dismissed_at, '-infinity') AS later
             FROM quarantine, (SELECT timestamptz 'epoch' + $6::bigint * interval '1 millisecond' AS at) AS said
             WHERE space_id = $1 AND device_id = $2 AND device_sequence = $3
             FOR UPDATE OF quarantine
         ) AS said
         WHERE quarantine.space_id = said.space_id AND quarantine.device_id = said.device_id
           AND quarantine.device_sequence = said.device_sequence",
    )
    .bind(command.space.as_str())
    .bind(command.device_id.as_str())
    .bind(command.device_sequence.as_i64())
    .bind(command.dismissed)
    .bind(command.by.as_str())
    .bind(command.at.0)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Removes events that are released; the caller appends them in the same transaction.
pub async fn delete(connection: &mut PgConnection, released: &[&Quarantined]) -> sqlx::Result<()> {
    sqlx::query(
        "DELETE FROM quarantine
         USING unnest($1::text[], $2::text[], $3::bigint[]) AS released (space_id, device_id, device_sequence)
         WHERE quarantine.space_id = released.space_id AND quarantine.device_id = released.device_id
           AND quarantine.device_sequence = released.device_sequence",
    )
    .bind(released.iter().map(|q| q.space.as_str()).collect::<Vec<_>>())
    .bind(released.iter().map(|q| q.device.as_str()).collect::<Vec<_>>())
    .bind(released.iter().map(|q| q.event.device_sequence.as_i64()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that the schema of `version` still refuses these events, and why.
pub async fn judged_again(
    connection: &mut PgConnection,
    events: &[(&Quarantined, Fault, String)],
    version: u32,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE quarantine SET schema_version = $1, code = judged.code, detail = judged.detail
         FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
           AS judged (space_id, device_id, device_sequence, code, detail)
         WHERE quarantine.space_id = judged.space_id AND quarantine.device_id = judged.device_id
           AND quarantine.device_sequence = judged.device_sequence",
    )
    .bind(i64::from(version))
    .bind(events.iter().map(|(q, ..)| q.space.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|(q, ..)| q.device.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|(q, ..)| q.event.device_sequence.as_i64()).collect::<Vec<_>>())
    .bind(events.iter().map(|(_, code, _)| code.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|(.., detail)| detail.as_str()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
