//! What is known of a device besides its watermark, as people look at it: what it said of itself, which of its pushes were
//! refused. Nothing is decided by it.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tidelog_events::id::{DeviceId, EventId, Position, Sequence, SpaceId, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::report::DeviceReport;
use uuid::Uuid;

use crate::columns;

/// A device in a space, as support sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The space.
    pub space: SpaceId,
    /// The device.
    pub device: DeviceId,
    /// Whose it is.
    pub user: UserId,
    /// Its watermark.
    pub last_sequence: Sequence,
    /// That event's id.
    pub last_event_id: EventId,
    /// The space's head.
    pub head: Position,
    /// The last position that it said it has.
    pub cursor: Position,
    /// When it was last heard of.
    pub last_seen_at: UtcTime,
    /// When it last brought something new; `None`: not since that is noted.
    pub pushed_at: Option<UtcTime>,
    /// The version of its app.
    pub app_version: Option<String>,
    /// Its latest report, without its state.
    pub report: Option<(UtcTime, DeviceReport)>,
    /// The position, and since when its state is known to differ there.
    pub diverged: Option<(Position, UtcTime)>,
    /// Its latest push that was refused.
    pub refusal: Option<Refused>,
    /// Pushes that were refused for a gap.
    pub gaps: u64,
    /// Pushes that were refused for a fork.
    pub forks: u64,
}

/// A push that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The code's text.
    pub code: String,
    /// Why, for people.
    pub detail: String,
    /// When.
    pub at: UtcTime,
}

fn device(row: &PgRow) -> sqlx::Result<Device> {
    let time = |column: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(UtcTime));
    let report = DeviceReport {
        pending: row.try_get::<Option<i64>, _>("pending")?.map(i64::cast_unsigned),
        syncs: None,
        last_error: row.try_get("reported_error")?,
        clock_offset_ms: row.try_get("clock_offset_ms")?,
        state: None,
    };
    let refused = |at| {
        let (code, detail) = (row.try_get("refusal_code")?, row.try_get("refusal_detail")?);
        Ok::<_, sqlx::Error>(Refused { code, detail, at })
    };
    let state_position = row.try_get::<Option<i64>, _>("state_position")?.map(Position::from_i64);
    Ok(Device {
        space: columns::id(row, "space_id")?,
        device: columns::id(row, "device_id")?,
        user: columns::id(row, "user_id")?,
        last_sequence: columns::sequence(row, "last_sequence")?,
        last_event_id: EventId(row.try_get::<Uuid, _>("last_event_id")?),
        head: columns::position(row, "head")?,
        cursor: columns::position(row, "cursor")?,
        last_seen_at: UtcTime(row.try_get("last_seen_ms")?),
        pushed_at: time("pushed_ms")?,
        app_version: row.try_get("app_version")?,
        report: time("reported_ms")?.map(|at| (at, report)),
        diverged: state_position.zip(time("diverged_ms")?),
        refusal: time("refused_ms")?.map(refused).transpose()?,
        gaps: row.try_get::<i64, _>("gaps")?.cast_unsigned(),
        forks: row.try_get::<i64, _>("forks")?.cast_unsigned(),
    })
}

/// Up to `limit` of a space's devices in order of their ids, those behind `after`. Devices of single events are left out:
/// there may be very many, and none of their rows is looked at.
pub async fn of_space(
    connection: &mut PgConnection,
    space: &SpaceId,
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<Device>> {
    // `;` is the character behind `:`.
    let rows = sqlx::query(
        "SELECT space_id, device_id, user_id, last_sequence, last_event_id, head, cursor, app_version, pending,
                reported_error, clock_offset_ms, state_position, refusal_code, refusal_detail, gaps, forks,
                (extract(epoch FROM last_seen_at) * 1000)::bigint AS last_seen_ms,
                (extract(epoch FROM pushed_at) * 1000)::bigint AS pushed_ms,
                (extract(epoch FROM reported_at) * 1000)::bigint AS reported_ms,
                (extract(epoch FROM diverged_at) * 1000)::bigint AS diverged_ms,
                (extract(epoch FROM refused_at) * 1000)::bigint AS refused_ms
         FROM (
             (SELECT * FROM devices WHERE space_id = $1 AND device_id > $2 AND device_id < 'event:'
              ORDER BY device_id LIMIT $3)
             UNION ALL
             (SELECT * FROM devices WHERE space_id = $1 AND device_id > $2 AND device_id >= 'event;'
              ORDER BY device_id LIMIT $3)
         ) AS numbered
         JOIN spaces USING (space_id)
         ORDER BY device_id LIMIT $3",
    )
    .bind(space.as_str())
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(device).collect()
}

/// Of each of these spaces up to `limit` of the user's devices, those behind `after`, in order of devices and spaces: all
/// spaces of the first `limit` devices are among them. Devices of single events are left out.
pub async fn of_user(
    connection: &mut PgConnection,
    user: &UserId,
    spaces: &[&str],
    after: &str,
    limit: i64,
) -> sqlx::Result<Vec<Device>> {
    let rows = sqlx::query(
        "SELECT space_id, device_id, user_id, last_sequence, last_event_id, head, cursor, app_version, pending,
                reported_error, clock_offset_ms, state_position, refusal_code, refusal_detail, gaps, forks,
                (extract(epoch FROM last_seen_at) * 1000)::bigint AS last_seen_ms,
                (extract(epoch FROM pushed_at) * 1000)::bigint AS pushed_ms,
                (extract(epoch FROM reported_at) * 1000)::bigint AS reported_ms,
                (extract(epoch FROM diverged_at) * 1000)::bigint AS diverged_ms,
                (extract(epoch FROM refused_at) * 1000)::bigint AS refused_ms
         FROM unnest($1::text[]) AS wanted (wanted_id)
         CROSS JOIN LATERAL (
             (SELECT * FROM devices
              WHERE space_id = wanted_id AND device_id > $3 AND device_id < 'event:' AND user_id = $2
              ORDER BY device_id LIMIT $4)
             UNION ALL
             (SELECT * FROM devices
              WHERE space_id = wanted_id AND device_id > $3 AND device_id >= 'event;' AND user_id = $2
              ORDER BY device_id LIMIT $4)
         ) AS theirs
         JOIN spaces USING (space_id)
         ORDER BY device_id, space_id",
    )
    .bind(spaces)
    .bind(user.as_str())
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(device).collect()
}

/// One device in each of these spaces where it is the user's, in order of the spaces.
pub async fn of_device(
    connection: &mut PgConnection,
    user: &UserId,
    spaces: &[&str],
    id: &DeviceId,
) -> sqlx::Result<Vec<Device>> {
    let rows = sqlx::query(
        "SELECT space_id, device_id, user_id, last_sequence, last_event_id, head, cursor, app_version, pending,
                reported_error, clock_offset_ms, state_position, refusal_code, refusal_detail, gaps, forks,
                (extract(epoch FROM last_seen_at) * 1000)::bigint AS last_seen_ms,
                (extract(epoch FROM pushed_at) * 1000)::bigint AS pushed_ms,
                (extract(epoch FROM reported_at) * 1000)::bigint AS reported_ms,
                (extract(epoch FROM diverged_at) * 1000)::bigint AS diverged_ms,
                (extract(epoch FROM refused_at) * 1000)::bigint AS refused_ms
         FROM devices JOIN spaces USING (space_id)
         WHERE space_id = ANY ($1::text[]) AND device_id = $3 AND user_id = $2
         ORDER BY space_id",
    )
    .bind(spaces)
    .bind(user.as_str())
    .bind(id.as_str())
    .fetch_all(connection)
    .await?;
    rows.iter().map(device).collect()
}
