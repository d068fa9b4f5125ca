//! `device_profiles`: what users, or support for them, have said of their devices.

use sqlx::{PgConnection, Row};
use tidelog_events::command::SetDeviceProfile;
use tidelog_events::id::{DeviceId, SpaceId, UserId};
use tidelog_events::protocol::UtcTime;

use crate::columns;

/// What was said of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceProfile {
    /// Its name.
    pub name: Option<String>,
    /// Whether it is revoked.
    pub revoked: bool,
    /// When it was last revoked or restored.
    pub revoked_at: Option<UtcTime>,
    /// By whom.
    pub revoked_by: Option<UserId>,
}

/// Sets what the command says, each part unless a later command has set it.
pub async fn set(connection: &mut PgConnection, command: &SetDeviceProfile) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO device_profiles (space_id, device_id, name, named_at, revoked, revoked_at, revoked_by)
         SELECT $1, $2, $3, CASE WHEN $3::text IS NOT NULL THEN said.at END, coalesce($4, false),
                CASE WHEN $4::boolean IS NOT NULL THEN said.at END, CASE WHEN $4::boolean IS NOT NULL THEN $5 END
         FROM (SELECT timestamptz 'epoch' + $6::bigint * interval '1 millisecond' AS at) AS said
         ON CONFLICT (space_id, device_id) DO UPDATE
         SET name = CASE WHEN EXCLUDED.named_at > coalesce(device_profiles.named_at, '-infinity')
                         THEN EXCLUDED.name ELSE device_profiles.name END,
             named_at = greatest(device_profiles.named_at, EXCLUDED.named_at),
             revoked = CASE WHEN EXCLUDED.revoked_at > coalesce(device_profiles.revoked_at, '-infinity')
                            THEN EXCLUDED.revoked ELSE device_profiles.revoked END,
             revoked_by = CASE WHEN EXCLUDED.revoked_at > coalesce(device_profiles.revoked_at, '-infinity')
                               THEN EXCLUDED.revoked_by ELSE device_profiles.revoked_by END,
             revoked_at = greatest(device_profiles.revoked_at, EXCLUDED.revoked_at)",
    )
    .bind(command.space.as_str())
    .bind(command.device_id.as_str())
    .bind(command.name.as_deref())
    .bind(command.revoked)
    .bind(command.by.as_str())
    .bind(command.at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether the user's device is revoked.
pub async fn is_revoked(
    connection: &mut PgConnection,
    personal_space: &SpaceId,
    device: &DeviceId,
) -> sqlx::Result<bool> {
    let revoked =
        sqlx::query_scalar("SELECT revoked FROM device_profiles WHERE space_id = $1 AND device_id = $2")
            .bind(personal_space.as_str())
            .bind(device.as_str())
            .fetch_optional(connection)
            .await?;
    Ok(revoked.unwrap_or(false))
}

/// What was said of these devices, each with its user; those of which nothing was are left out.
pub async fn of_devices(
    connection: &mut PgConnection,
    users: &[&str],
    devices: &[&str],
) -> sqlx::Result<Vec<((UserId, DeviceId), DeviceProfile)>> {
    let rows = sqlx::query(
        "SELECT device_profiles.space_id, device_profiles.device_id, name, revoked, revoked_by,
                (extract(epoch FROM revoked_at) * 1000)::bigint AS revoked_ms
         FROM unnest($1::text[], $2::text[]) AS wanted (user_id, device_id)
         JOIN device_profiles ON device_profiles.space_id = wanted.user_id
          AND device_profiles.device_id = wanted.device_id",
    )
    .bind(users)
    .bind(devices)
    .fetch_all(connection)
    .await?;
    let profile = |row: &sqlx::postgres::PgRow| {
        let key = (columns::id(row, "space_id")?, columns::id(row, "device_id")?);
        let by: Option<&str> = row.try_get("revoked_by")?;
        let profile = DeviceProfile {
            name: row.try_get("name")?,
            revoked: row.try_get("revoked")?,
            revoked_at: row.try_get::<Option<i64>, _>("revoked_ms")?.map(UtcTime),
            revoked_by: by.and_then(|by| UserId::new(by).ok()),
        };
        Ok((key, profile))
    };
    rows.iter().map(profile).collect()
}
