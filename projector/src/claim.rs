//! Which projections a transaction works on: locks those that are free, makes those that are missing, and says of the
//! others why not.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use tidelog_events::id::SpaceId;
use tidelog_events::schema::Schema;
use tidelog_store::projections::{self, Projection};
use tidelog_store::rebuilds;

use crate::project::Progress;

/// Locks the projections that nobody else has locked. Most of them exist: rows are made only where some are missing, in
/// one order, so that two replicas that make the same ones wait for each other in one direction.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    names: &[&str],
    schema: &Schema,
) -> sqlx::Result<BTreeMap<SpaceId, Projection>> {
    let mut locked = projections::lock_free(connection, names).await?;
    if locked.len() < names.len() {
        let known: BTreeSet<&str> = locked.iter().map(|projection| projection.space.as_str()).collect();
        let missing: Vec<&str> = names.iter().filter(|name| !known.contains(**name)).copied().collect();
        ensure(connection, &missing, schema).await?;
        let new = projections::lock_free(connection, &missing).await?;
        locked.extend(new);
    }
    Ok(locked.into_iter().map(|projection| (projection.space.clone(), projection)).collect())
}

/// What becomes of the spaces that were not locked: asked for only where there are any.
pub(crate) async fn left_out(
    connection: &mut PgConnection,
    spaces: &[SpaceId],
    locked: &BTreeMap<SpaceId, Projection>,
) -> sqlx::Result<BTreeMap<SpaceId, Progress>> {
    let names: Vec<&str> =
        spaces.iter().filter(|space| !locked.contains_key(space)).map(SpaceId::as_str).collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let present = projections::present(connection, &names).await?;
    let what = |space: &SpaceId| if present.contains(space) { Progress::Locked } else { Progress::NoLog };
    let left_out = spaces.iter().filter(|space| !locked.contains_key(space));
    Ok(left_out.map(|space| (space.clone(), what(space))).collect())
}

/// Makes the projections that are missing. What a lost one had stood for is cleared away.
pub(crate) async fn ensure(
    connection: &mut PgConnection,
    names: &[&str],
    schema: &Schema,
) -> sqlx::Result<()> {
    let orphaned = projections::ensure(connection, names, &schema.id()).await?;
    if !orphaned.is_empty() {
        rebuilds::retire_orphans(connection, &orphaned).await?;
    }
    Ok(())
}

/// Has those rebuilt whose log was pruned beyond what is folded, and takes them out of `locked`. The log is pruned only
/// as far as it is folded; so their projections were lost.
pub(crate) async fn rebuild_pruned(
    connection: &mut PgConnection,
    locked: &mut BTreeMap<SpaceId, Projection>,
    schema: &Schema,
) -> sqlx::Result<Vec<(SpaceId, Progress)>> {
    let pruned = locked.extract_if(.., |_, projection| projection.applied < projection.horizon);
    let pruned: Vec<SpaceId> = pruned.map(|(space, _)| space).collect();
    if pruned.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = pruned.iter().map(SpaceId::as_str).collect();
    for space in rebuilds::begin_each(connection, &names, &schema.id()).await? {
        tracing::warn!(%space, "the log begins behind what is folded; rebuilding from the snapshot");
    }
    Ok(pruned.into_iter().map(|space| (space, Progress::Rebuilding)).collect())
}
