//! `archive`: which object of the archive store holds which positions of a space.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tidelog_events::id::{DeviceId, Epoch, Position, SpaceId};
use tidelog_events::protocol::UtcTime;

use crate::columns;
use crate::segments::SequenceRange;

/// An object of the archive store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The first position that it holds.
    pub first: Position,
    /// The last one.
    pub last: Position,
    /// The log's incarnation when it was written.
    pub epoch: Epoch,
    /// Its name in the archive store.
    pub object: String,
    /// The SHA-256 of its bytes.
    pub sha256: Vec<u8>,
    /// Its bytes.
    pub bytes: u64,
}

fn archived(row: &PgRow) -> sqlx::Result<Archived> {
    Ok(Archived {
        first: columns::position(row, "first")?,
        last: columns::position(row, "last")?,
        epoch: Epoch(row.try_get("epoch")?),
        object: row.try_get("object")?,
        sha256: row.try_get("sha256")?,
        bytes: row.try_get::<i64, _>("bytes")?.cast_unsigned(),
    })
}

/// Up to `limit` objects of a space that end behind a position, in order. The first may begin at or before it.
pub async fn behind(
    connection: &mut PgConnection,
    space: &SpaceId,
    after: Position,
    limit: i64,
) -> sqlx::Result<Vec<Archived>> {
    let rows = sqlx::query(
        "SELECT first, last, epoch, object, sha256, bytes FROM archive
         WHERE space_id = $1 AND last > $2 ORDER BY last LIMIT $3",
    )
    .bind(space.as_str())
    .bind(after.as_i64())
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(archived).collect()
}

/// Up to `limit` objects of a space that begin before a position, the latest first.
pub async fn before(
    connection: &mut PgConnection,
    space: &SpaceId,
    position: Position,
    limit: i64,
) -> sqlx::Result<Vec<Archived>> {
    let rows = sqlx::query(
        "SELECT first, last, epoch, object, sha256, bytes FROM archive
         WHERE space_id = $1 AND last < $2 ORDER BY last DESC LIMIT $3",
    )
    .bind(space.as_str())
    .bind(position.as_i64())
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(archived).collect()
}

/// The objects that may hold a device's sequences, in order. Of a device with one event only it is not known which.
pub async fn of_device(
    connection: &mut PgConnection,
    space: &SpaceId,
    device: &DeviceId,
    range: SequenceRange,
) -> sqlx::Result<Vec<Archived>> {
    let rows = sqlx::query(
        "SELECT first, last, epoch, object, sha256, bytes
         FROM archive_devices JOIN archive USING (space_id, last)
         WHERE space_id = $1 AND device_id = $2 AND last_sequence >= $3 AND first_sequence <= $4
         ORDER BY last",
    )
    .bind(space.as_str())
    .bind(device.as_str())
    .bind(range.first.as_i64())
    .bind(range.last.as_i64())
    .fetch_all(connection)
    .await?;
    rows.iter().map(archived).collect()
}

/// Lists objects that were written; the caller prunes what they hold in the same transaction.
pub async fn insert(
    connection: &mut PgConnection,
    space: &SpaceId,
    objects: &[Archived],
    now: UtcTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO archive (space_id, first, last, epoch, object, sha256, bytes, archived_at)
         SELECT $1, first, last, epoch, object, sha256, bytes,
                timestamptz 'epoch' + $2 * interval '1 millisecond'
         FROM unnest($3::bigint[], $4::bigint[], $5::uuid[], $6::text[], $7::bytea[], $8::bigint[])
           AS written (first, last, epoch, object, sha256, bytes)",
    )
    .bind(space.as_str())
    .bind(now.0)
    .bind(objects.iter().map(|object| object.first.as_i64()).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| object.last.as_i64()).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| object.epoch.0).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| object.object.as_str()).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| object.sha256.as_slice()).collect::<Vec<_>>())
    .bind(objects.iter().map(|object| object.bytes.cast_signed()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
