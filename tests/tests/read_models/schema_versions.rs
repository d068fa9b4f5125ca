//! A new schema version: what the older one folded is rebuilt, and what is read meanwhile goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join3;
use serde_json::json;
use tidelog_events::id::Position;
use tidelog_events::schema::Schema;
use tidelog_projector::{Deps, FoldError};
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_tests::{Batch, EventLine, World, WorldOptions, eventually};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::moments::{
    Standing, assert_never_goes_back, is_folded_by, leftovers, nothing_is_left_over, standing,
};
use super::rebuilding::{SMALL, long_log, rebuild_a_part, rebuild_with};
use super::workouts::{Workouts, workout_batch};

/// The example schema.
pub const VERSION_3: &str = include_str!("../../../config/fitness.yaml");

/// The example schema with a further event type, a further field, and an index on a field that has none yet.
pub fn version_4() -> String {
    let newer = VERSION_3
        .replace("\nversion: 3\n", "\nversion: 4\n")
        .replace(
            "duration:     { type: integer, unit: s }",
            "duration:     { type: integer, unit: s, indexed: true }",
        )
        .replace("      notes: ", "      mood:         { type: string, indexed: true }\n\n      notes: ");
    assert_eq!(newer.matches("indexed: true }").count(), VERSION_3.matches("indexed: true }").count() + 2);
    newer + "\n  NOTE_ADDED: { entity: workout, payload: { notes: required, mood: optional } }\n"
}

/// An event that version 4 alone knows.
fn note(device: &str, sequence: u64) -> String {
    let payload = json!({"notes": "windy", "mood": "good"});
    let event = EventLine::new(device, sequence).with("entityId", "workout-1").with("type", "NOTE_ADDED");
    event.with("payload", payload).0.to_string()
}

/// Starts a projector with another schema than the world's; it stops when what is returned is dropped.
pub fn projector_with(world: &World, schema: &str) -> DropGuard {
    let shutdown = CancellationToken::new();
    let (sender, schema) = watch::channel(Arc::new(Schema::parse(schema).unwrap()));
    let deps = Deps {
        pool: world.pool.clone(),
        broker: world.broker.clone(),
        schema,
        config: world.config.section("projector").unwrap(),
        deadline: Duration::from_secs(20),
        readiness: Readiness::new(TOLERANCE),
    };
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let ended = tidelog_projector::run(deps, stop).await;
        drop(sender);
        ended
    });
    shutdown.drop_guard()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_schema_version_rebuilds_and_indexes_while_events_come_and_readers_read() {
    let world = WorldOptions::default()
        .projectors(2)
        .ingests(2)
        .set("projector.sweep_interval_ms", 200)
        .start()
        .await;
    let workouts = Workouts::new(2, 4, 25, 5);
    let rebuilt = AtomicBool::new(false);
    let changing = async {
        workouts.reaches(40).await;
        assert_eq!(keys_of_duration(&world).await, 0);
        world.write_schema(&version_4());
        eventually("a space is rebuilt", async || {
            (standing(&world, "user-0").await?.generation > 1).then_some(())
        })
        .await;
        workouts.reaches(100).await;
        for user in ["user-0", "user-1"] {
            is_folded_by(&world, user, 4).await;
        }
        rebuilt.store(true, Ordering::Relaxed);
    };
    let reading = assert_never_goes_back(&world, "user-0", || rebuilt.load(Ordering::Relaxed));
    join3(workouts.push(&world), changing, reading).await;
    workouts.assert_folded(&world).await;
    assert!(keys_of_duration(&world).await > 0, "the newly indexed field has keys");
    nothing_is_left_over(&world).await;
}

/// Index keys of durations.
async fn keys_of_duration(world: &World) -> i64 {
    let keys = sqlx::query_scalar("SELECT count(*) FROM entity_keys WHERE field = 'duration'");
    keys.fetch_one(&world.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_schema_leaves_the_rebuild_of_a_newer_one_alone() {
    let world = long_log().await;
    world.write_schema(&version_4());
    rebuild_a_part(&world, "ann", &version_4()).await;
    let older = rebuild_with(&world, "ann", SMALL, VERSION_3).await.unwrap_err();
    assert!(matches!(older, FoldError::NewerSchema { version: 4, .. }), "{older}");
    let _older = projector_with(&world, VERSION_3);
    super::stored_log::append_workouts(&world, "bob", 10, 10).await;
    eventually("the older one is at work", async || standing(&world, "bob").await).await;
    let _newer = world.start_projector();
    is_folded_by(&world, "ann", 4).await;
    world.assert_read_model_is_right("ann").await;
    assert_eq!(standing(&world, "ann").await.unwrap().generation, 2, "what was begun was finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_throws_the_rebuild_of_an_older_one_away_and_rebuilds() {
    let world = long_log().await;
    rebuild_a_part(&world, "ann", VERSION_3).await;
    world.write_schema(&version_4());
    // The transaction that was cut off may hold its lock for a moment.
    let applied = eventually("nobody else is at it", async || {
        rebuild_with(&world, "ann", SMALL, &version_4()).await.unwrap().applied
    });
    assert_eq!(applied.await, Position(1500));
    world.assert_read_model_is_right("ann").await;
    let now = standing(&world, "ann").await.unwrap();
    assert_eq!((now.schema_version, now.mixed), (4, false));
    assert_eq!(leftovers(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_projector_folds_after_a_newer_one_keeps_its_fields_and_is_rebuilt() {
    let world =
        WorldOptions::default().schema(&version_4()).set("projector.sweep_interval_ms", 200).start().await;
    let newer = world.start_projector();
    let noted = workout_batch("phone-1", 1, 10).with_line(8, note("phone-1", 9));
    world.push("ann", &noted).await.expect_committed(Some((1, 10)));
    is_folded_by(&world, "ann", 4).await;
    newer.stop().await;

    let older = projector_with(&world, VERSION_3);
    let again: Batch = workout_batch("phone-1", 11, 20).with_line(0, note("phone-1", 11));
    world.push("ann", &again).await.expect_committed(Some((11, 20)));
    let folded = eventually("the older projector has folded the rest", async || {
        standing(&world, "ann").await.filter(|now| now.applied == 20)
    })
    .await;
    assert_eq!(folded, Standing { generation: 1, applied: 20, schema_version: 4, mixed: true });
    let model = world.read_model("ann").await.unwrap();
    assert_eq!(model.skipped, [11]);
    let view = &model.entities[&("workout".to_owned(), "workout-1".to_owned())].1;
    assert_eq!((&view["notes"], &view["mood"]), (&json!(["windy"]), &json!("good")));
    drop(older);

    let _newer = world.start_projector();
    is_folded_by(&world, "ann", 4).await;
    world.assert_read_model_is_right("ann").await;
    nothing_is_left_over(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_was_edited_without_a_new_version_is_rebuilt_once_it_is_in_force() {
    let world = WorldOptions::default().set("projector.sweep_interval_ms", 200).start().await;
    let projector = world.start_projector();
    world.push("ann", &workout_batch("phone-1", 1, 50)).await.expect(200);
    world.assert_read_model_is_right("ann").await;
    projector.stop().await;

    let edited = VERSION_3.replace("merge: sum }", "merge: sum, indexed: true }");
    assert_ne!(edited, VERSION_3);
    world.write_schema(&edited);
    let _projector = world.start_projector();
    eventually("the index has keys of the field", async || {
        let model = world.read_model("ann").await?;
        model.keys.iter().any(|(_, field, ..)| field == "laps").then_some(())
    })
    .await;
    world.assert_read_model_is_right("ann").await;
    is_folded_by(&world, "ann", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_schema_does_not_rebuild_what_a_newer_one_has_folded() {
    let world = WorldOptions::default().schema(&version_4()).projectors(1).start().await;
    let batch = workout_batch("phone-1", 1, 20).with_line(9, note("phone-1", 10));
    world.push("ann", &batch).await.expect(200);
    world.assert_read_model_is_right("ann").await;
    let before = world.read_model("ann").await.unwrap();
    let refused = rebuild_with(&world, "ann", SMALL, VERSION_3).await.unwrap_err();
    assert!(matches!(refused, FoldError::NewerSchema { version: 4, .. }), "{refused}");
    assert_eq!(world.read_model("ann").await.unwrap(), before);
    assert_eq!(leftovers(&world).await, 0);
}
