//! A rebuild makes a read model again from the log, beside the one that is read, and ends in the same bytes.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all, join3};
use serde_json::{Value, json};
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::Schema;
use tidelog_projector::{FoldError, Measure, Rebuilder, Rebuilt};
use tidelog_runtime::database;
use tidelog_tests::{Batch, EventLine, World, WorldOptions, eventually};

use super::moments::{assert_never_goes_back, leftovers, nothing_is_left_over, rebuilt_through, standing};
use super::stored_log::append_in;
use super::workouts::{Workouts, workout_batch};

const DEADLINE: Duration = Duration::from_secs(20);
/// One segment a transaction.
pub const SMALL: Measure = Measure { stored_bytes: 1, decoded_bytes: 1, entity_bytes: 1 << 20 };
/// As much as the defaults allow.
pub const LARGE: Measure = Measure { stored_bytes: 4 << 20, decoded_bytes: 32 << 20, entity_bytes: 32 << 20 };

/// Rebuilds a space with the schema that stands in the world's file.
pub async fn rebuild(world: &World, space: &str, measure: Measure) -> Result<Rebuilt, FoldError> {
    let schema = std::fs::read_to_string(&world.schema_file).unwrap();
    rebuild_with(world, space, measure, &schema).await
}

/// Rebuilds a space with that schema.
pub async fn rebuild_with(
    world: &World,
    space: &str,
    measure: Measure,
    schema: &str,
) -> Result<Rebuilt, FoldError> {
    // A pool of its own, which ends with it: as one of another process would.
    let pool = database::connect(&world.config.section("database").unwrap(), "rebuild").unwrap();
    let mut rebuilder = Rebuilder::new(pool, measure, DEADLINE).unwrap();
    rebuilder.rebuild(&SpaceId::new(space).unwrap(), &Schema::parse(schema).unwrap()).await
}

/// Begins to rebuild a space with that schema, and is cut off in the middle.
pub async fn rebuild_a_part(world: &World, space: &str, schema: &str) {
    let midway = eventually("the rebuild has begun", async || {
        rebuilt_through(world, space).await.filter(|applied| *applied > 0)
    });
    tokio::select! {
        done = rebuild_with(world, space, SMALL, schema) => panic!("it was to be cut off: {done:?}"),
        applied = midway => assert!(applied < world.head(space).await),
    }
}

/// Recorded workouts, as many events as the whole recording has that the sample is of: batches by user, those of a
/// device in its order. The sample's devices and workouts come again under other names.
fn recorded() -> Vec<(String, Batch)> {
    const BATCH_EVENTS: usize = 300;
    const COPIES: usize = 15;
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/workouts-sample.ndjson.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(sample).unwrap()).read_to_string(&mut text).unwrap();
    let mut devices: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for mut line in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let [user, device] = ["space", "deviceId"].map(|key| line[key].as_str().unwrap().to_owned());
        let entity = line["event"]["entityId"].as_str().unwrap().to_owned();
        for copy in 0..COPIES {
            line["event"]["entityId"] = json!(format!("{entity}-{copy}"));
            let device = format!("{device}-{copy}");
            devices.entry((user.clone(), device)).or_default().push(line["event"].to_string());
        }
    }
    let batches = |((user, device), lines): ((String, String), Vec<String>)| {
        let batch = move |lines: &[String]| {
            (user.clone(), Batch { header: json!({"deviceId": device}), lines: lines.to_vec() })
        };
        lines.chunks(BATCH_EVENTS).map(batch).collect::<Vec<_>>()
    };
    devices.into_iter().flat_map(batches).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_4_25_601_recorded_events_rebuilt_are_what_they_were_folded_into_as_they_came() {
    let world = World::new().await;
    let projector = world.start_projector();
    let batches = recorded();
    assert!(batches.iter().map(|(_, batch)| batch.lines.len()).sum::<usize>() >= 25_601);
    for (user, batch) in &batches {
        world.push(user, batch).await.expect(200);
    }
    let mut users: Vec<&String> = batches.iter().map(|(user, _)| user).collect();
    users.dedup();
    assert_eq!(users.len(), 4);
    for user in &users {
        world.assert_read_model_is_right(user).await;
    }
    projector.stop().await;
    for user in users {
        let before = world.read_model(user).await.unwrap();
        assert!(!before.entities.is_empty() && !before.keys.is_empty());
        let rebuilt = rebuild(&world, user, SMALL).await.unwrap();
        assert_eq!(rebuilt.applied.map(Position::as_i64), Some(world.head(user).await));
        assert_eq!(world.read_model(user).await.unwrap(), before);
        assert_eq!(standing(&world, user).await.unwrap().generation, 2);
    }
    assert_eq!(leftovers(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuilds_while_events_come_lose_none_and_readers_see_nothing_of_them() {
    let world = WorldOptions::default().projectors(2).ingests(2).start().await;
    let workouts = Workouts::new(1, 6, 25, 5);
    let pushed = AtomicBool::new(false);
    let pushing = async {
        workouts.push(&world).await;
        pushed.store(true, Ordering::Relaxed);
    };
    let rebuilding = async {
        workouts.reaches(5).await;
        while !pushed.load(Ordering::Relaxed) {
            rebuild(&world, "user-0", SMALL).await.unwrap();
        }
    };
    let reading = assert_never_goes_back(&world, "user-0", || pushed.load(Ordering::Relaxed));
    let ((), (), moments) = join3(pushing, rebuilding, reading).await;
    assert!(moments > 0);
    workouts.assert_folded(&world).await;
    assert!(standing(&world, "user-0").await.unwrap().generation > 1, "it was rebuilt");
    assert_eq!(leftovers(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_rebuilds_of_one_space_at_once_are_one() {
    let world = WorldOptions::default().projectors(1).start().await;
    for first in (1..=100).step_by(10) {
        world.push("ann", &workout_batch("phone-1", first, first + 9)).await.expect(200);
    }
    world.assert_read_model_is_right("ann").await;
    for _ in 0..5 {
        let all = join_all((0..3).map(|_| rebuild(&world, "ann", SMALL))).await;
        for rebuilt in all {
            let applied = rebuilt.unwrap().applied;
            assert!(applied.is_none_or(|applied| applied == Position(100)), "{applied:?}");
        }
        world.assert_read_model_is_right("ann").await;
        assert_eq!(leftovers(&world).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_waited_for_another_ones_end_takes_a_generation_of_its_own() {
    let world = World::new().await;
    let projector = world.start_projector();
    world.push("ann", &workout_batch("phone-1", 1, 50)).await.expect(200);
    world.assert_read_model_is_right("ann").await;
    projector.stop().await;
    // Another rebuild switches to generation 2 while this one begins.
    let mut other = world.pool.begin().await.unwrap();
    sqlx::raw_sql(
        "UPDATE projections SET generation = 2;
         UPDATE entities SET generation = 2;
         UPDATE entity_keys SET generation = 2;
         INSERT INTO rebuilds (space_id, generation, schema_version, retired) VALUES ('ann', 1, 3, true);",
    )
    .execute(&mut *other)
    .await
    .unwrap();
    let ended = async {
        world.waits_for_locks(1).await;
        sqlx::raw_sql("DELETE FROM rebuilds").execute(&mut *other).await.unwrap();
        other.commit().await.unwrap();
    };
    let (rebuilt, ()) = join(rebuild(&world, "ann", LARGE), ended).await;
    assert_eq!(rebuilt.unwrap().applied, Some(Position(50)));
    world.assert_read_model_is_right("ann").await;
    assert_eq!(standing(&world, "ann").await.unwrap().generation, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_cut_off_is_finished_by_a_projector() {
    let world = long_log().await;
    let before = world.read_model("ann").await.unwrap();
    let schema = std::fs::read_to_string(&world.schema_file).unwrap();
    rebuild_a_part(&world, "ann", &schema).await;
    assert_eq!(world.read_model("ann").await.unwrap(), before, "readers see nothing of it");
    let _projector = world.start_projector();
    nothing_is_left_over(&world).await;
    assert_eq!(world.read_model("ann").await.unwrap(), before);
    assert_eq!(standing(&world, "ann").await.unwrap().generation, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_finds_what_another_one_left_clears_it_away_and_rebuilds() {
    let world = long_log().await;
    world.assert_read_model_is_right("ann").await;
    let rows =
        "INSERT INTO rebuilds (space_id, generation, schema_version, retired) VALUES ('ann', 7, 3, true);
                INSERT INTO skipped_events (space_id, generation, position, reason) VALUES ('ann', 7, 1, '');
                UPDATE entities SET view = '{}'";
    sqlx::raw_sql(rows).execute(&world.pool).await.unwrap();
    let rebuilt = rebuild(&world, "ann", LARGE).await.unwrap();
    assert_eq!(rebuilt.applied, Some(Position(1500)));
    world.assert_read_model_is_right("ann").await;
    assert_eq!(leftovers(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_without_a_log_is_rebuilt_into_nothing() {
    let world = WorldOptions::default().ingests(0).start().await;
    assert_eq!(rebuild(&world, "nobody", LARGE).await.unwrap().applied, None);
    assert_eq!(standing(&world, "nobody").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_folded_between_a_rebuilds_last_look_at_the_log_and_its_switch_is_in_it() {
    let world = long_log().await;
    rebuild_a_part(&world, "ann", &std::fs::read_to_string(&world.schema_file).unwrap()).await;
    let mut folding = world.pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT FROM projections FOR UPDATE").execute(&mut *folding).await.unwrap();
    // A projector goes on with the rebuild to the log's end, and there waits for whoever folds just now.
    let _projector = world.start_projector();
    world.waits_for_locks(1).await;
    // That is two events that the schema does not know.
    let unknown = |sequence| EventLine::new("phone-9", sequence).with("type", "NEVER_HEARD_OF").0.to_string();
    append_in(&mut folding, "ann", "phone-9", &[unknown(1), unknown(2)], 2).await;
    let folded = "INSERT INTO skipped_events VALUES ('ann', 1, 1501, ''), ('ann', 1, 1502, '');
                  UPDATE projections SET applied = 1502";
    sqlx::raw_sql(folded).execute(&mut *folding).await.unwrap();
    folding.commit().await.unwrap();
    nothing_is_left_over(&world).await;
    assert_eq!(standing(&world, "ann").await.unwrap().generation, 2);
    world.assert_read_model_is_right("ann").await;
    assert_eq!(world.read_model("ann").await.unwrap().skipped, [1501, 1502]);
}

/// A space `ann` of many segments, folded; and no service that would touch it.
pub async fn long_log() -> World {
    let world = WorldOptions::default().ingests(0).start().await;
    super::stored_log::append_workouts(&world, "ann", 1500, 5).await;
    let projector = world.start_projector();
    world.assert_read_model_is_right("ann").await;
    projector.stop().await;
    world
}
