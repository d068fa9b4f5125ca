//! Prunes a space: lists what was archived, deletes it from the log, and moves the horizon to the snapshot that is
//! proven, all in the transaction that holds the claim.

use sqlx::PgConnection;
use tidelog_events::id::Position;
use tidelog_events::protocol::UtcTime;
use tidelog_store::archive::Archived;
use tidelog_store::spaces::Space;
use tidelog_store::{archive, archive_devices, segment_devices, segments, snapshots, spaces};

use crate::error::CompactError;

/// Prunes through `through`; the caller commits. Returns how many events left the log.
pub(crate) async fn prune(
    connection: &mut PgConnection,
    space: &Space,
    through: Position,
    archived: &[Archived],
    now: UtcTime,
) -> Result<u64, CompactError> {
    let id = &space.space;
    archive::insert(&mut *connection, id, archived, now).await?;
    archive_devices::insert(&mut *connection, id, archived).await?;
    segment_devices::delete_through(&mut *connection, id, through).await?;
    let events = segments::delete_through(&mut *connection, id, through).await?;
    if events != through.0 - space.horizon.0 || archived.last().map(|object| object.last) != Some(through) {
        return Err(CompactError::Changed("other events are there than were archived"));
    }
    snapshots::supersede(&mut *connection, id, through, now).await?;
    // Late, since ingest waits for the row.
    if !spaces::move_horizon(&mut *connection, space, through).await? {
        return Err(CompactError::Changed("its horizon has moved, its epoch was rotated, or it was erased"));
    }
    if !snapshots::is_whole(connection, id, through).await? {
        return Err(CompactError::Changed("the snapshot that was proven is gone"));
    }
    Ok(events)
}
