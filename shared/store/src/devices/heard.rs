//! What was heard of devices, on its way into their rows.

use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use tidelog_events::id::{DeviceId, Position, SpaceId, UserId};
use tidelog_events::protocol::{DeviceHint, UtcTime};

use crate::columns;

/// What was heard of a device since the last writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The latest of everything that hints told.
    pub hint: DeviceHint,
    /// Pushes that were refused for a gap.
    pub gaps: u32,
    /// Pushes that were refused for a fork.
    pub forks: u32,
    /// Whether the state that it reports differs from the read model; `None` where they are not comparable.
    pub diverged: Option<bool>,
}

/// Notes what was heard of devices at `now`, and returns those whose state is found to differ, and was not before. Only
/// devices that have pushed have a row: telling makes none, or whoever may only read could fill the table. Rows are locked
/// in order, so that no two writers wait for each other.
pub async fn note(
    connection: &mut PgConnection,
    heard: &[Heard],
    now: UtcTime,
) -> sqlx::Result<Vec<(SpaceId, DeviceId)>> {
    let hints = || heard.iter().map(|heard| &heard.hint);
    let rows = sqlx::query(
        "WITH heard AS (
             SELECT heard.*, timestamptz 'epoch' + $11::bigint * interval '1 millisecond' AS at
             FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::jsonb[], $7::jsonb[],
                         $8::boolean[], $9::bigint[], $10::bigint[])
               AS heard (space_id, device_id, user_id, cursor, app_version, report, refusal, diverged, gaps, forks)
             JOIN devices ON devices.space_id = heard.space_id AND devices.device_id = heard.device_id
              AND devices.user_id = coalesce(heard.user_id, devices.user_id)
             ORDER BY devices.space_id, devices.device_id
             FOR UPDATE OF devices
         )
         UPDATE devices SET
             cursor = coalesce(heard.cursor, devices.cursor),
             last_seen_at = heard.at,
             app_version = coalesce(heard.app_version, devices.app_version),
             reported_at = CASE WHEN report IS NULL THEN reported_at ELSE heard.at END,
             pending = CASE WHEN report IS NULL THEN pending ELSE (report ->> 'pending')::bigint END,
             reported_error = CASE WHEN report IS NULL THEN reported_error ELSE report ->> 'lastError' END,
             clock_offset_ms = CASE WHEN report IS NULL THEN clock_offset_ms
                                    ELSE (report ->> 'clockOffsetMs')::bigint END,
             state_position = coalesce((report #>> '{state,position}')::bigint, state_position),
             state_epoch = coalesce((report #>> '{state,epoch}')::uuid, state_epoch),
             state_schema_version = coalesce((report #>> '{state,schemaVersion}')::bigint, state_schema_version),
             state_hash = coalesce(report #> '{state,hash}', state_hash),
             diverged_at = CASE WHEN diverged IS NULL THEN diverged_at
                                WHEN diverged THEN coalesce(diverged_at, heard.at) END,
             refused_at = coalesce((refusal ->> 'at')::timestamptz, refused_at),
             refusal_code = coalesce(refusal ->> 'code', refusal_code),
             refusal_detail = coalesce(refusal ->> 'detail', refusal_detail),
             gaps = devices.gaps + heard.gaps,
             forks = devices.forks + heard.forks
         FROM heard
         WHERE devices.space_id = heard.space_id AND devices.device_id = heard.device_id
         RETURNING devices.space_id, devices.device_id, coalesce(diverged_at = heard.at, false) AS newly_diverged",
    )
    .bind(hints().map(|hint| hint.space.as_str()).collect::<Vec<_>>())
    .bind(hints().map(|hint| hint.device_id.as_str()).collect::<Vec<_>>())
    .bind(hints().map(|hint| hint.user_id.as_ref().map(UserId::as_str)).collect::<Vec<_>>())
    .bind(hints().map(|hint| hint.cursor.map(Position::as_i64)).collect::<Vec<_>>())
    .bind(hints().map(|hint| hint.app_version.as_deref()).collect::<Vec<_>>())
    .bind(hints().map(|hint| hint.report.as_ref().map(Json)).collect::<Vec<_>>())
    .bind(hints().map(|hint| hint.refusal.as_ref().map(Json)).collect::<Vec<_>>())
    .bind(heard.iter().map(|heard| heard.diverged).collect::<Vec<_>>())
    .bind(heard.iter().map(|heard| i64::from(heard.gaps)).collect::<Vec<_>>())
    .bind(heard.iter().map(|heard| i64::from(heard.forks)).collect::<Vec<_>>())
    .bind(now.0)
    .fetch_all(connection)
    .await?;
    let diverged = rows.iter().filter(|row| row.try_get("newly_diverged").unwrap_or(false));
    diverged.map(|row| Ok((columns::id(row, "space_id")?, columns::id(row, "device_id")?))).collect()
}
