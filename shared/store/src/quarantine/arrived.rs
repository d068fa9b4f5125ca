//! A space's quarantine in the order in which its events came, forwards and backwards.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tidelog_events::id::{DeviceId, Sequence, SpaceId};
use tidelog_events::protocol::UtcTime;

use super::{Quarantined, quarantined};

/// Where an event stands among those of its space's quarantine in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Arrival {
    // The derived order compares the fields as they stand here.
    /// When the gateway took it.
    pub received_at: UtcTime,
    /// The device that recorded it.
    pub device: DeviceId,
    /// Its number.
    pub sequence: Sequence,
}

impl Quarantined {
    /// Where it stands.
    pub fn arrival(&self) -> Arrival {
        let (received_at, device) = (self.received_at, self.device.clone());
        Arrival { received_at, device, sequence: self.event.device_sequence }
    }
}

/// Up to `limit` events of a space in the order in which they came, those behind `after`; from the first on without it.
pub async fn behind(
    connection: &mut PgConnection,
    space: &SpaceId,
    after: Option<&Arrival>,
    limit: i64,
) -> sqlx::Result<Vec<Quarantined>> {
    let rows = sqlx::query(
        "SELECT space_id, device_id, device_sequence, event_id, user_id, code, detail, schema_version, line,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms
         FROM quarantine
         WHERE space_id = $1 AND ($3::text IS NULL OR (received_at, device_id, device_sequence)
               > (timestamptz 'epoch' + $2 * interval '1 millisecond', $3, $4))
         ORDER BY received_at, device_id, device_sequence
         LIMIT $5",
    )
    .bind(space.as_str())
    .bind(after.map_or(0, |after| after.received_at.0))
    .bind(after.map(|after| after.device.as_str()))
    .bind(after.map_or(0, |after| after.sequence.as_i64()))
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(quarantined).collect()
}

/// The same from the last one back: those before `before`, the latest first.
pub async fn before(
    connection: &mut PgConnection,
    space: &SpaceId,
    before: Option<&Arrival>,
    limit: i64,
) -> sqlx::Result<Vec<Quarantined>> {
    let rows = sqlx::query(
        "SELECT space_id, device_id, device_sequence, event_id, user_id, code, detail, schema_version, line,
                (extract(epoch FROM received_at) * 1000)::bigint AS received_ms
         FROM quarantine
         WHERE space_id = $1 AND ($3::text IS NULL OR (received_at, device_id, device_sequence)
               < (timestamptz 'epoch' + $2 * interval '1 millisecond', $3, $4))
         ORDER BY received_at DESC, device_id DESC, device_sequence DESC
         LIMIT $5",
    )
    .bind(space.as_str())
    .bind(before.map_or(0, |before| before.received_at.0))
    .bind(before.map(|before| before.device.as_str()))
    .bind(before.map_or(0, |before| before.sequence.as_i64()))
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(quarantined).collect()
}
