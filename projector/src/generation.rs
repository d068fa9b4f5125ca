//! The generations of a space that nobody reads: one that a rebuild fills, until readers switch to it; one that they
//! have left, until nothing is left of it. Each function is part of a transaction that holds the rebuild's lock.

use sqlx::PgConnection;
use tidelog_events::id::SpaceId;
use tidelog_store::projections::{self, Projection};
use tidelog_store::rebuilds::{self, Rebuild};
use tidelog_store::{entities, entity_keys, skipped_events};

use crate::rebuild::Rebuilt;

/// Rows that one transaction deletes.
const ROWS: i64 = 5000;

/// Lets the rebuild begin again.
pub(crate) async fn start_over(
    connection: &mut PgConnection,
    space: &SpaceId,
    rebuild: Rebuild,
) -> sqlx::Result<()> {
    rebuilds::update(connection, space, &rebuild.afresh()).await
}

/// Another schema is in force: what was filled so far is of no use.
pub(crate) async fn abandon(
    connection: &mut PgConnection,
    space: &SpaceId,
    rebuild: Rebuild,
) -> sqlx::Result<()> {
    rebuilds::update(connection, space, &Rebuild { retired: true, ..rebuild }).await
}

/// Lets readers read the rebuilt generation; the one that they read before is retired.
pub(crate) async fn switch(
    connection: &mut PgConnection,
    space: &SpaceId,
    live: Projection,
    rebuild: Rebuild,
) -> sqlx::Result<Rebuilt> {
    let Rebuild { applied, snapshot, .. } = rebuild;
    let retired = Rebuild { generation: live.generation, retired: true, ..rebuild.clone() };
    let switched = Projection {
        generation: rebuild.generation,
        applied,
        state_hash: rebuild.state_hash,
        schema: rebuild.schema.clone(),
        mixed: false,
        ..live
    };
    projections::advance(&mut *connection, &[switched]).await?;
    rebuilds::update(connection, space, &retired).await?;
    metrics::counter!("tidelog_projector_rebuilds_total").increment(1);
    tracing::info!(%space, %applied, %snapshot, schema_version = rebuild.schema.version, "a space was rebuilt");
    Ok(Rebuilt { applied: Some(applied), snapshot })
}

/// Deletes a chunk of a generation that nobody reads; returns whether nothing is left of it.
pub(crate) async fn empty(
    connection: &mut PgConnection,
    space: &SpaceId,
    generation: i32,
) -> sqlx::Result<bool> {
    let entities = entities::delete_generation(&mut *connection, space, generation, ROWS).await?;
    let keys = entity_keys::delete_generation(&mut *connection, space, generation, ROWS).await?;
    if entities + keys > 0 {
        return Ok(false);
    }
    skipped_events::delete_generation(connection, space, generation).await?;
    Ok(true)
}
