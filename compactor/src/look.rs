//! Reads what a plan needs to know of a space, all of one moment.

use sqlx::PgPool;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::Clock;
use tidelog_store::segments::mergeable;
use tidelog_store::{
    compactions, devices, erasures, projections, rebuilds, segments, skipped_events, snapshots, spaces,
};

use crate::plan::{Facts, Policy};

/// Segments that one look takes in from the horizon on, and those that may be merged. What lies further is seen when these
/// are pruned or merged.
const PRUNED_MAX: i64 = 32_768;
const MERGED_MAX: i64 = 4096;
/// Segments from before the last merge: more than an open group keeps.
const SEGMENTS_BEFORE: i64 = 32;

/// What is known of a space; `None` where there is none, or it was erased.
pub(crate) async fn look(
    pool: &PgPool,
    id: &SpaceId,
    policy: &Policy,
    clock: &Clock,
) -> sqlx::Result<Option<Facts>> {
    let mut moment = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let space = spaces::find(&mut moment, id).await?;
    let Some(space) = space else { return Ok(None) };
    if erasures::contains(&mut moment, id).await? {
        return Ok(None);
    }
    let projection = projections::find(&mut moment, id).await?;
    let mut applied = projection.as_ref().map_or(Position::ZERO, |projection| projection.applied);
    if let Some(projection) = &projection {
        let skipped = skipped_events::first(&mut moment, id, projection.generation).await?;
        // A later schema may not skip it, and could not fold it from a snapshot.
        applied = skipped.map_or(applied, |skipped| applied.min(Position(skipped.0 - 1)));
    }
    let snapshot = snapshots::at(&mut moment, id, space.horizon).await?;
    let snapshot_bytes = snapshot.map_or(0, |snapshot| snapshot.bytes);
    let is_rebuilding = rebuilds::is_filling(&mut moment, id).await?;
    let merged_through = compactions::merged_through(&mut moment, id).await?;
    let many = (SEGMENTS_BEFORE, MERGED_MAX);
    let mergeable = mergeable::around(&mut moment, id, space.horizon, merged_through, many).await?;
    let segments = segments::facts(&mut moment, id, space.horizon, PRUNED_MAX).await?;
    let has_more_segments = segments.len() as i64 == PRUNED_MAX;
    let active_since = UtcTime(clock.now().0 - policy.active_ms);
    // Who is before the horizon gets a snapshot in any case, wherever it ends.
    let missing = (space.horizon, space.head);
    let waiting_for = devices::least_active_cursor(&mut moment, id, active_since, missing).await?;
    moment.commit().await?;
    Ok(Some(Facts {
        space,
        applied,
        is_rebuilding,
        segments,
        has_more_segments,
        snapshot_bytes,
        merged_through,
        mergeable,
        waiting_for,
    }))
}
