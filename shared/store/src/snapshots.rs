//! `snapshots`: the folded entities of spaces through a position. Their lines stand in `snapshot_parts`.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use tidelog_events::fold::StateHash;
use tidelog_events::frame::SnapshotHeader;
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::SchemaId;

use crate::columns;

/// A snapshot without its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The position through which the log is folded.
    pub through: Position,
    /// The schema that folded it, the last one if there were several.
    pub schema: SchemaId,
    /// Its entities, invisible ones included, by type.
    pub entities: BTreeMap<Box<str>, u64>,
    /// The state hash of its lines.
    pub state_hash: StateHash,
    /// The last sequence of each numbered device at or below `through`.
    pub devices: BTreeMap<DeviceId, Sequence>,
    /// Parts that hold its lines, numbered from 0.
    pub parts: u32,
    /// Their stored bytes.
    pub bytes: u64,
}

impl Snapshot {
    /// What readers get of it before its lines.
    pub fn header(&self) -> SnapshotHeader {
        SnapshotHeader {
            through: self.through,
            schema_version: self.schema.version,
            entities: self.entities.values().sum(),
            state_hash: self.state_hash.clone(),
            devices: self.devices.clone(),
        }
    }
}

fn snapshot(row: &PgRow) -> sqlx::Result<Snapshot> {
    Ok(Snapshot {
        through: columns::position(row, "through")?,
        schema: columns::schema(row)?,
        entities: row.try_get::<Json<_>, _>("entities")?.0,
        state_hash: row.try_get::<Json<_>, _>("state_hash")?.0,
        devices: row.try_get::<Json<_>, _>("devices")?.0,
        parts: row.try_get::<i32, _>("parts")?.cast_unsigned(),
        bytes: row.try_get::<i64, _>("bytes")?.cast_unsigned(),
    })
}

/// The space's snapshot through that position.
pub async fn at(
    connection: &mut PgConnection,
    space: &SpaceId,
    through: Position,
) -> sqlx::Result<Option<Snapshot>> {
    let row = sqlx::query(
        "SELECT through, schema_version, schema_fingerprint, entities, state_hash, devices, parts, bytes
         FROM snapshots WHERE space_id = $1 AND through = $2",
    )
    .bind(space.as_str())
    .bind(through.as_i64())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(snapshot).transpose()
}

/// Whether the space's snapshot through that position is there, with as many parts as it has.
pub async fn is_whole(
    connection: &mut PgConnection,
    space: &SpaceId,
    through: Position,
) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (
             SELECT FROM snapshots WHERE space_id = $1 AND through = $2 AND parts = (
                 SELECT count(*) FROM snapshot_parts WHERE space_id = $1 AND through = $2
             )
         )",
    )
    .bind(space.as_str())
    .bind(through.as_i64())
    .fetch_one(connection)
    .await
}

/// Writes a snapshot whose parts are all there.
pub async fn insert(
    connection: &mut PgConnection,
    space: &SpaceId,
    snapshot: &Snapshot,
    now: UtcTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO snapshots (space_id, through, schema_version, schema_fingerprint, entities, state_hash,
                                devices, parts, bytes, written_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, timestamptz 'epoch' + $10 * interval '1 millisecond')",
    )
    .bind(space.as_str())
    .bind(snapshot.through.as_i64())
    .bind(i64::from(snapshot.schema.version))
    .bind(&*snapshot.schema.fingerprint)
    .bind(Json(&snapshot.entities))
    .bind(Json(&snapshot.state_hash))
    .bind(Json(&snapshot.devices))
    .bind(snapshot.parts.cast_signed())
    .bind(snapshot.bytes.cast_signed())
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that readers get a later one than these from now on.
pub async fn supersede(
    connection: &mut PgConnection,
    space: &SpaceId,
    before: Position,
    now: UtcTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE snapshots SET superseded_at = timestamptz 'epoch' + $3 * interval '1 millisecond'
         WHERE space_id = $1 AND through < $2 AND superseded_at IS NULL",
    )
    .bind(space.as_str())
    .bind(before.as_i64())
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes what nobody reads any more: those that were superseded before that time, and those beyond the horizon, which
/// no run in progress has written: the caller is the only one that may.
pub async fn delete_unread(
    connection: &mut PgConnection,
    space: &SpaceId,
    horizon: Position,
    superseded_before: UtcTime,
) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM snapshots WHERE space_id = $1 AND (
             through > $2 OR superseded_at < timestamptz 'epoch' + $3 * interval '1 millisecond'
         )",
    )
    .bind(space.as_str())
    .bind(horizon.as_i64())
    .bind(superseded_before.0)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
