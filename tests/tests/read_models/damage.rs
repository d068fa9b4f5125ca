//! Spaces that cannot be folded: they stand aside, stop nobody, and are folded once they can be.

use futures_util::future::join_all;
use serde_json::json;
use tidelog_events::fold::Skipped;
use tidelog_events::schema::Schema;
use tidelog_projector::FoldError;
use tidelog_tests::{EventLine, World, WorldOptions, eventually};

use super::moments::{is_folded_by, standing};
use super::news::all_news_is_settled;
use super::rebuilding::{LARGE, rebuild_with};
use super::stored_log::{append, append_workouts};
use super::workouts::workout_batch;

const SCHEMA: &str = include_str!("../../../config/fitness.yaml");

fn options() -> WorldOptions<'static> {
    WorldOptions::default().set("projector.sweep_interval_ms", 200)
}

/// Pushes three batches for each user.
async fn push_for(world: &World, users: &[&str]) {
    join_all(users.iter().map(async |user| {
        for first in [1, 11, 21] {
            world.push(user, &workout_batch("phone-1", first, first + 9)).await.expect(200);
        }
    }))
    .await;
}

async fn execute(world: &World, statements: &'static str) {
    sqlx::raw_sql(statements).execute(&world.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_with_a_damaged_segment_stops_nobody_and_is_folded_once_it_is_repaired() {
    let world = options().start().await;
    push_for(&world, &["ann", "bad", "zoe"]).await;
    execute(
        &world,
        "CREATE TABLE kept AS SELECT frame FROM segments WHERE space_id = 'bad' AND first = 11;
         UPDATE segments SET frame = substr(frame, 5) WHERE space_id = 'bad' AND first = 11;",
    )
    .await;
    let _projector = world.start_projector();
    for user in ["ann", "zoe"] {
        world.assert_read_model_is_right(user).await;
    }
    // News of a space that stands aside is settled, not kept.
    all_news_is_settled(&world, 9).await;
    assert!(standing(&world, "bad").await.unwrap().applied < 30);
    push_for(&world, &["bob"]).await;
    world.assert_read_model_is_right("bob").await;
    execute(
        &world,
        "UPDATE segments SET frame = kept.frame FROM kept WHERE space_id = 'bad' AND first = 11;
         DROP TABLE kept;",
    )
    .await;
    world.assert_read_model_is_right("bad").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_whose_log_ends_before_its_head_is_put_aside_and_not_tried_for_ever() {
    let world = options().start().await;
    push_for(&world, &["ann", "bad"]).await;
    execute(
        &world,
        "CREATE TABLE kept AS SELECT * FROM segments WHERE space_id = 'bad' AND first = 21;
         DELETE FROM segments WHERE space_id = 'bad' AND first = 21;",
    )
    .await;
    let _projector = world.start_projector();
    world.assert_read_model_is_right("ann").await;
    all_news_is_settled(&world, 6).await;
    let schema = SCHEMA.to_owned();
    let rebuilt = rebuild_with(&world, "bad", LARGE, &schema).await.unwrap_err();
    assert!(matches!(rebuilt, FoldError::Damaged { .. }), "{rebuilt}");
    assert_eq!(standing(&world, "bad").await.unwrap().applied, 20, "what there is, is folded");
    execute(&world, "INSERT INTO segments SELECT * FROM kept; DROP TABLE kept;").await;
    world.assert_read_model_is_right("bad").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_the_database_refuses_stops_nobody_and_is_folded_once_it_is_taken() {
    let world = options().start().await;
    let users = ["ann", "bad", "bob", "zoe"];
    push_for(&world, &users).await;
    execute(&world, "ALTER TABLE entities ADD CONSTRAINT refusal CHECK (space_id <> 'bad') NOT VALID").await;
    let _projector = world.start_projector();
    for user in ["ann", "bob", "zoe"] {
        world.assert_read_model_is_right(user).await;
    }
    all_news_is_settled(&world, 12).await;
    assert!(standing(&world, "bad").await.is_none_or(|now| now.applied == 0));
    execute(&world, "ALTER TABLE entities DROP CONSTRAINT refusal").await;
    world.assert_read_model_is_right("bad").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_an_event_that_the_schema_does_not_know_is_skipped_and_noted_and_stops_nothing() {
    let world = options().projectors(1).start().await;
    world.push("ann", &workout_batch("phone-1", 1, 10)).await.expect(200);
    let unknown = |sequence| EventLine::new("phone-9", sequence).with("type", "NEVER_HEARD_OF").0.to_string();
    let lines = [unknown(1), EventLine::new("phone-9", 2).0.to_string(), unknown(3)];
    append(&world, "ann", "phone-9", &lines, 3).await;
    world.push("ann", &workout_batch("phone-1", 11, 20)).await.expect_committed(Some((14, 23)));
    world.assert_read_model_is_right("ann").await;
    let model = world.read_model("ann").await.unwrap();
    assert_eq!(model.skipped, [11, 13]);
    let behind = &model.entities[&("workout".to_owned(), "w-phone-9".to_owned())];
    assert_eq!((&behind.1, behind.3), (&json!({"duration": 2}), 12));
    let reasons: Vec<String> =
        sqlx::query_scalar("SELECT reason FROM skipped_events").fetch_all(&world.pool).await.unwrap();
    assert_eq!(reasons, vec![Skipped::UnknownType.to_string(); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_spaces_that_cannot_be_rebuilt_stop_no_other_rebuild() {
    let world = options().ingests(0).start().await;
    for space in ["ann", "zoe"] {
        append_workouts(&world, space, 20, 5).await;
    }
    let projector = world.start_projector();
    for space in ["ann", "zoe"] {
        world.assert_read_model_is_right(space).await;
    }
    projector.stop().await;
    execute(
        &world,
        "INSERT INTO spaces (space_id, head) SELECT 'bad-' || n, 20 FROM generate_series(100, 250) AS n;
         INSERT INTO projections (space_id, schema_version) SELECT 'bad-' || n, 1 FROM generate_series(100, 250) AS n;
         INSERT INTO segments (space_id, first, last, device_id, user_id, first_sequence, last_sequence,
                               received_at, released, frame)
         SELECT 'bad-' || n, 1, 20, 'phone-1', 'ann', 1, 20, now(), false, '' FROM generate_series(100, 250) AS n;
         UPDATE projections SET schema_version = 2 WHERE space_id = 'zoe';",
    )
    .await;
    let version = i64::from(Schema::parse(SCHEMA).unwrap().version());
    let _projector = world.start_projector();
    is_folded_by(&world, "zoe", version).await;
    world.assert_read_model_is_right("zoe").await;
    eventually("all of them were tried", async || {
        let begun = sqlx::query_scalar("SELECT count(*) FROM rebuilds WHERE space_id LIKE 'bad-%'");
        (begun.fetch_one(&world.pool).await.ok() == Some(151_i64)).then_some(())
    })
    .await;
}
