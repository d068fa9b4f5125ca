//! Worlds in which time stands until a test moves it, and compactors that do one space at a time.

use std::time::Duration;

use tidelog_compactor::{Compactor, Outcome, Pruned, Pruning};
use tidelog_events::id::SpaceId;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::{Clock, ManualTime};
use tidelog_tests::{World, WorldOptions};

use super::things::SCHEMA;

/// 2025-08-06T12:00:00Z: when a world begins.
pub const NOON: UtcTime = UtcTime(1_754_481_600_000);

/// More than `retention.events_days`.
pub const PAST_RETENTION: Duration = days(31);

pub const fn days(days: u64) -> Duration {
    Duration::from_hours(24 * days)
}

/// What these tests ask of a world: things, a projector, and that all events go that are past their retention,
/// however few they are and whoever has not read them.
pub fn options() -> WorldOptions<'static> {
    WorldOptions::default()
        .schema(SCHEMA)
        .projectors(1)
        .set("projector.sweep_interval_ms", 200)
        .set("retention.keep_events", 0)
        .set("retention.prune_events", 1)
        .set("retention.patience_days", 0)
}

/// A world with those options whose time stands at noon.
pub async fn standing(options: WorldOptions<'_>) -> (World, ManualTime) {
    let (clock, time) = Clock::manual(NOON);
    (options.clock(clock).start().await, time)
}

/// A space's id.
pub fn id(space: &str) -> SpaceId {
    SpaceId::new(space).unwrap()
}

/// What the world's compactor does with that space now.
pub async fn compact(world: &World, space: &str) -> Pruning {
    compact_with(&world.compactor(|_| {}), space).await
}

/// What that compactor does with that space now, which it can work on.
pub async fn compact_with(compactor: &Compactor, space: &str) -> Pruning {
    match compactor.compact(&id(space)).await.unwrap() {
        Outcome::Done { pruning, .. } => pruning,
        Outcome::Elsewhere => panic!("nobody else is at {space}"),
    }
}

/// Prunes the space, through that position.
pub async fn prune_through(world: &World, space: &str, through: u64) -> Pruned {
    match compact(world, space).await {
        Pruning::Pruned(pruned) if pruned.through.0 == through => pruned,
        other => panic!("{space} was to be pruned through {through}: {other:?}"),
    }
}

/// The horizon of a space in PostgreSQL.
pub async fn horizon(world: &World, space: &str) -> i64 {
    let horizon = sqlx::query_scalar("SELECT horizon FROM spaces WHERE space_id = $1").bind(space);
    horizon.fetch_one(&world.pool).await.unwrap()
}

/// Runs statements, any that a hand in the database could.
pub async fn execute(world: &World, statements: impl Into<String>) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements.into())).execute(&world.pool).await.unwrap();
}
