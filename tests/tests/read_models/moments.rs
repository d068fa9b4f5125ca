//! What stands in the tables around a read model: how far it is, what else there is of it, and what a reader sees of
//! it from moment to moment.

use tidelog_tests::{World, eventually};

/// How a space's projection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Standing {
    /// Which rows are read.
    pub generation: i32,
    /// The position through which the log is folded into them.
    pub applied: i64,
    /// The greatest schema version that folded any of it.
    pub schema_version: i64,
    /// Whether another one folded some of it, too.
    pub mixed: bool,
}

/// How a space's projection stands; none before anything was folded.
pub async fn standing(world: &World, space: &str) -> Option<Standing> {
    sqlx::query_as("SELECT generation, applied, schema_version, mixed FROM projections WHERE space_id = $1")
        .bind(space)
        .fetch_optional(&world.pool)
        .await
        .unwrap()
}

/// Waits until a space is folded through its head by that schema version alone.
pub async fn is_folded_by(world: &World, space: &str, version: i64) {
    eventually(&format!("{space} is folded by schema version {version} alone"), async || {
        let head = world.head(space).await;
        let now = standing(world, space).await?;
        (now.applied >= head && now.schema_version == version && !now.mixed).then_some(())
    })
    .await;
}

/// The position through which a rebuild has folded the log, if one is filling a generation.
pub async fn rebuilt_through(world: &World, space: &str) -> Option<i64> {
    let rebuild = sqlx::query_scalar("SELECT applied FROM rebuilds WHERE space_id = $1 AND NOT retired");
    rebuild.bind(space).fetch_optional(&world.pool).await.unwrap()
}

/// Rows of rebuilds, and of generations that nobody reads.
pub async fn leftovers(world: &World) -> i64 {
    let rows = "SELECT (SELECT count(*) FROM rebuilds) + (
                    SELECT count(*) FROM (
                        SELECT space_id, generation FROM entities
                        UNION ALL SELECT space_id, generation FROM entity_keys
                        UNION ALL SELECT space_id, generation FROM skipped_events
                    ) AS stored
                    WHERE (space_id, generation) NOT IN (SELECT space_id, generation FROM projections)
                )";
    sqlx::query_scalar(rows).fetch_one(&world.pool).await.unwrap()
}

/// Waits until the last rows of rebuilds are gone.
pub async fn nothing_is_left_over(world: &World) {
    eventually("no rebuild is under way", async || (leftovers(world).await == 0).then_some(())).await;
}

/// Reads a space again and again until `done`, and asserts that no moment takes anything away from a reader: neither
/// an entity nor a position.
pub async fn assert_never_goes_back(world: &World, space: &str, done: impl Fn() -> bool) -> u64 {
    let (mut moments, mut before) = (0, None);
    while !done() {
        let now = world.read_model(space).await.map(|model| (model.applied, model.entities.len()));
        if let (Some((applied, entities)), Some((applied_before, entities_before))) = (now, before) {
            assert!(applied >= applied_before, "{space} went back from {applied_before} to {applied}");
            assert!(entities >= entities_before, "of {entities_before} entities {entities} are left");
        }
        assert!(now.is_some() >= before.is_some(), "{space} has no read model any more");
        before = now;
        moments += 1;
    }
    moments
}
