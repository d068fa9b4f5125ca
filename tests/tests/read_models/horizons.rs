//! A rebuild and the horizon: one that is cut off between two parts of the snapshot goes on there, one that the horizon
//! overtakes begins again, and a space of which the log alone no longer says everything heals by itself.

use tidelog_events::id::Position;
use tidelog_projector::FoldError;
use tidelog_tests::{World, eventually};

use super::moments::{leftovers, nothing_is_left_over, standing};
use super::rebuilding::{SMALL, rebuild, rebuild_a_part};
use super::schema_versions::VERSION_3;
use super::snapshots::{HEAD, MIDDLE, execute, folded_space, is_right_but_for_positions, prune};

/// The part of the snapshot that a rebuild takes in next, if it is at that.
async fn next_part(world: &World) -> Option<i32> {
    let next = "SELECT next_part FROM rebuilds WHERE space_id = 'ann' AND NOT retired AND applied < snapshot";
    sqlx::query_scalar(next).fetch_optional(&world.pool).await.unwrap()
}

/// Begins to rebuild `ann`, and is cut off between two parts of the snapshot.
async fn take_a_part_in(world: &World) -> i32 {
    let midway =
        eventually("some parts are taken in", async || next_part(world).await.filter(|part| *part > 1));
    tokio::select! {
        done = rebuild(world, "ann", SMALL) => panic!("it was to be cut off: {done:?}"),
        part = midway => part,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_cut_off_between_two_parts_goes_on_with_the_next_one() {
    let world = folded_space().await;
    prune(&world, MIDDLE).await;
    let next = take_a_part_in(&world).await;
    // Were they read again, they would be missed.
    sqlx::query("DELETE FROM snapshot_parts WHERE part < $1").bind(next).execute(&world.pool).await.unwrap();
    let _projector = world.start_projector();
    nothing_is_left_over(&world).await;
    assert_eq!(standing(&world, "ann").await.unwrap().generation, 2);
    world.assert_read_model_is_right("ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_the_horizon_overtakes_begins_again_from_the_new_snapshot_and_with_nothing_else() {
    let world = folded_space().await;
    prune(&world, 300).await;
    take_a_part_in(&world).await;
    prune(&world, MIDDLE).await;
    execute(
        &world,
        "DELETE FROM snapshots WHERE through = 300;
         DELETE FROM snapshot_parts WHERE through = 300;
         INSERT INTO entities SELECT space_id, 2, entity_type, 'left', true, view, clocks, 1 FROM entities
             WHERE space_id = 'ann' AND generation = 1 LIMIT 1;
         INSERT INTO entity_keys VALUES ('ann', 2, 'workout', 'sport', 'x', 'left');
         INSERT INTO skipped_events VALUES ('ann', 2, 7, '');",
    )
    .await;
    let rebuilt = rebuild(&world, "ann", SMALL).await.unwrap();
    assert_eq!((rebuilt.applied, rebuilt.snapshot), (Some(Position(HEAD)), Position(MIDDLE)));
    assert_eq!(standing(&world, "ann").await.unwrap().generation, 2);
    world.assert_read_model_is_right("ann").await;
    assert_eq!(leftovers(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_the_horizon_overtakes_in_the_log_begins_again_from_the_snapshot() {
    let world = folded_space().await;
    rebuild_a_part(&world, "ann", VERSION_3).await;
    prune(&world, HEAD - 10).await;
    let rebuilt = rebuild(&world, "ann", SMALL).await.unwrap();
    assert_eq!((rebuilt.applied, rebuilt.snapshot), (Some(Position(HEAD)), Position(HEAD - 10)));
    world.assert_read_model_is_right("ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_is_pruned_faster_than_it_is_rebuilt_is_put_off_and_rebuilt_in_the_end() {
    let world = folded_space().await;
    let before = world.read_model("ann").await.unwrap();
    execute(&world, "CREATE TABLE kept AS SELECT * FROM segments").await;
    for through in (50..=MIDDLE).step_by(50) {
        prune(&world, through).await;
    }
    execute(
        &world,
        "INSERT INTO segments SELECT * FROM kept WHERE last > 50 AND last <= 600;
         UPDATE spaces SET horizon = 50;",
    )
    .await;
    // Each time that the first part is taken in, the horizon moves on.
    execute(
        &world,
        "CREATE FUNCTION prune_more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             UPDATE spaces SET horizon = horizon + 50 WHERE space_id = 'ann' AND horizon < 600;
             DELETE FROM segments WHERE space_id = 'ann'
                 AND last <= (SELECT horizon FROM spaces WHERE space_id = 'ann');
             RETURN NULL;
         END $$;
         CREATE TRIGGER pruning AFTER UPDATE ON rebuilds FOR EACH ROW
             WHEN (NEW.next_part = 1 AND NOT NEW.retired) EXECUTE FUNCTION prune_more();",
    )
    .await;
    let outrun = rebuild(&world, "ann", SMALL).await.unwrap_err();
    assert!(matches!(outrun, FoldError::Outrun(_)), "{outrun}");
    assert_eq!(world.read_model("ann").await.unwrap(), before);
    let rebuilt = rebuild(&world, "ann", SMALL).await.unwrap();
    assert_eq!((rebuilt.applied, rebuilt.snapshot), (Some(Position(HEAD)), Position(MIDDLE)));
    world.assert_read_model_is_right("ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_whose_projection_was_lost_is_folded_anew_whether_it_was_pruned_or_not() {
    for horizon in [0, MIDDLE] {
        let world = folded_space().await;
        if horizon > 0 {
            prune(&world, horizon).await;
        }
        execute(&world, "DELETE FROM projections").await;
        let _projector = world.start_projector();
        eventually("it is folded again", async || {
            standing(&world, "ann").await.filter(|now| now.applied == HEAD as i64)
        })
        .await;
        nothing_is_left_over(&world).await;
        is_right_but_for_positions(&world, horizon).await;
    }
}
