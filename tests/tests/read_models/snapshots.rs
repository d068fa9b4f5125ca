//! Where the log was pruned, a rebuild starts from the snapshot: it ends in the same bytes as all events fold into, and
//! a snapshot that is damaged, or of a newer schema, changes nothing of what is read.

use std::error::Error;

use serde_json::{Value, json};
use tidelog_events::id::Position;
use tidelog_projector::{FoldError, Measure};
use tidelog_tests::{Answer, EventLine, ReadModel, World, WorldOptions};

use super::moments::{is_folded_by, leftovers, nothing_is_left_over, standing};
use super::rebuilding::{LARGE, SMALL, rebuild, rebuild_with};
use super::schema_versions::{VERSION_3, version_4};
use super::stored_log::append;
use super::workouts::workout_batch;

/// Entities, each of which has a part of each snapshot for itself.
const ENTITIES: u64 = 100;
/// Where the events of the first device end. Those of the second have earlier stamps.
pub const MIDDLE: u64 = 600;
/// The end of the log.
pub const HEAD: u64 = 1000;

/// A space `ann`, folded; and no service that would touch it.
pub async fn folded_space() -> World {
    let world = WorldOptions::default().ingests(0).set("projector.sweep_interval_ms", 100).start().await;
    for (device, events) in [("phone-1", MIDDLE), ("watch", HEAD - MIDDLE)] {
        append(&world, "ann", device, &spread(device, events), 10).await;
    }
    let projector = world.start_projector();
    world.assert_read_model_is_right("ann").await;
    projector.stop().await;
    world
}

/// The device's events `1..=events`, each about another entity than the one before it.
fn spread(device: &str, events: u64) -> Vec<String> {
    let lines = workout_batch(device, 1, events).lines;
    let spread = |(sequence, line): (u64, &String)| {
        let event = EventLine(serde_json::from_str(line).unwrap());
        event.with("entityId", format!("workout-{}", sequence % ENTITIES)).0.to_string()
    };
    (1..).zip(&lines).map(spread).collect()
}

/// Prunes it, with a part for each entity.
pub async fn prune(world: &World, through: u64) {
    world.prune("ann", through, 1).await;
}

/// Executes SQL.
pub async fn execute(world: &World, statements: &'static str) {
    sqlx::raw_sql(statements).execute(&world.pool).await.unwrap();
}

/// What readers find by fields, with an index and without, and by position.
async fn found(world: &World) -> Vec<Value> {
    let mut found = Vec::new();
    for query in ["where=sport:eq:running", "where=sport:eq:rowing&where=laps:ge:2", "updatedAfter=700"] {
        let path = format!("/v1/spaces/me/entities/workout?limit=100&{query}");
        let answer = Answer::of(world.request(reqwest::Method::GET, &path, "ann")).await;
        assert!(!answer.expect(200).json["items"].as_array().unwrap().is_empty(), "{query} finds something");
        found.push(answer.json.clone());
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_4_a_space_rebuilt_from_its_snapshot_is_what_all_its_events_fold_into() {
    let world = folded_space().await;
    let before = found(&world).await;
    // In the middle, where late events lie behind it; again, from that snapshot; and with nothing behind it.
    for (horizon, measure) in [(MIDDLE, SMALL), (900, LARGE), (HEAD, SMALL)] {
        prune(&world, horizon).await;
        let rebuilt = rebuild(&world, "ann", measure).await.unwrap();
        assert_eq!((rebuilt.applied, rebuilt.snapshot), (Some(Position(HEAD)), Position(horizon)));
        world.assert_read_model_is_right("ann").await;
        assert_eq!(found(&world).await, before);
    }
    let model = world.read_model("ann").await.unwrap();
    assert!(model.entities.len() as u64 == ENTITIES && !model.keys.is_empty());
    assert_eq!(standing(&world, "ann").await.unwrap().generation, 4);
    assert_eq!(leftovers(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_10_a_transaction_takes_as_many_parts_in_as_its_measure_allows() {
    let world = folded_space().await;
    prune(&world, MIDDLE).await;
    execute(
        &world,
        "CREATE TABLE steps (parts integer);
         CREATE FUNCTION note_step() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO steps VALUES (NEW.next_part - OLD.next_part);
             RETURN NULL;
         END $$;
         CREATE TRIGGER noting AFTER UPDATE ON rebuilds FOR EACH ROW EXECUTE FUNCTION note_step();",
    )
    .await;
    let few_entities = Measure { entity_bytes: 1, ..LARGE };
    for (measure, most) in [(SMALL, 1), (few_entities, 1), (LARGE, ENTITIES as i32)] {
        execute(&world, "TRUNCATE steps").await;
        rebuild(&world, "ann", measure).await.unwrap();
        let taken: i32 =
            sqlx::query_scalar("SELECT max(parts) FROM steps").fetch_one(&world.pool).await.unwrap();
        assert_eq!(taken, most, "{measure:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_schema_version_rebuilds_a_pruned_space_from_the_snapshot_of_the_old_one() {
    let world = folded_space().await;
    prune(&world, MIDDLE).await;
    let payload = json!({"notes": "windy", "mood": "good"});
    let note = EventLine::new("phone-9", 1).with("entityId", "workout-7").with("type", "NOTE_ADDED");
    let note = note.with("payload", payload).0.to_string();
    append(&world, "ann", "phone-9", &[note], 1).await;
    world.write_schema(&version_4());
    let _projector = world.start_projector();
    is_folded_by(&world, "ann", 4).await;
    nothing_is_left_over(&world).await;
    world.assert_read_model_is_right("ann").await;
    let model = world.read_model("ann").await.unwrap();
    assert!(model.keys.iter().any(|(_, field, ..)| field == "duration"), "the new index has keys");
    assert_eq!(model.entities[&("workout".to_owned(), "workout-7".to_owned())].1["mood"], "good");
}

/// The error and its causes, as an operator reads them.
fn told(error: &FoldError) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_refused_and_what_was_folded_before_goes_on_being_read() {
    let world = folded_space().await;
    prune(&world, MIDDLE).await;
    let before = world.read_model("ann").await.unwrap();
    execute(
        &world,
        "CREATE TABLE kept_parts AS SELECT * FROM snapshot_parts;
         CREATE TABLE kept AS SELECT * FROM snapshots;",
    )
    .await;
    let cases = [
        ("UPDATE snapshot_parts SET frame = substr(frame, 5) WHERE part = 2", "part 2 of the snapshot"),
        ("UPDATE snapshot_parts SET entities = entities + 1 WHERE part = 3", "it counts"),
        ("DELETE FROM snapshot_parts WHERE part = 1", "part 1 of the snapshot"),
        ("DELETE FROM snapshot_parts WHERE part = 5", "part 5 of the snapshot"),
        (
            "UPDATE snapshot_parts SET frame = kept_parts.frame FROM kept_parts
             WHERE snapshot_parts.part = 4 AND kept_parts.part = 0",
            "do not have its state hash",
        ),
        ("UPDATE snapshots SET state_hash = '{}'", "do not have its state hash"),
        ("DELETE FROM snapshots", "no snapshot through position 600"),
    ];
    for (damage, expected) in cases {
        execute(&world, damage).await;
        for measure in [SMALL, LARGE, SMALL] {
            let refused = rebuild(&world, "ann", measure).await.unwrap_err();
            assert!(matches!(refused, FoldError::Damaged { .. }), "{refused:?}");
            let told = told(&refused);
            assert!(told.contains(expected) || told.contains("out of order"), "{damage}: {told}");
            assert_eq!(world.read_model("ann").await.unwrap(), before);
        }
        execute(
            &world,
            "TRUNCATE snapshot_parts, snapshots;
             INSERT INTO snapshot_parts SELECT * FROM kept_parts;
             INSERT INTO snapshots SELECT * FROM kept;",
        )
        .await;
        rebuild(&world, "ann", SMALL).await.unwrap();
        world.assert_read_model_is_right("ann").await;
        assert_eq!(leftovers(&world).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_line_that_does_not_fit_the_schema_is_refused() {
    let world = folded_space().await;
    prune(&world, MIDDLE).await;
    let line = r#"{"entityId":"workout-0","fields":{"laps":{"max":1}},"type":"workout"}"#;
    sqlx::query("UPDATE snapshot_parts SET frame = $1, entities = 1 WHERE part = 0")
        .bind(tidelog_tests::frame(format!("{line}\n").as_bytes()))
        .execute(&world.pool)
        .await
        .unwrap();
    let refused = rebuild(&world, "ann", LARGE).await.unwrap_err();
    assert!(told(&refused).contains("an entity line is damaged"), "{}", told(&refused));
    world.assert_read_model_is_right("ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_a_newer_schema_is_left_to_those_who_know_it() {
    let world = folded_space().await;
    prune(&world, MIDDLE).await;
    execute(
        &world,
        "UPDATE snapshots SET schema_version = 4;
         DELETE FROM projections WHERE space_id = 'ann';",
    )
    .await;
    let refused = rebuild_with(&world, "ann", LARGE, VERSION_3).await.unwrap_err();
    assert!(matches!(refused, FoldError::NewerSchema { version: 4, .. }), "{refused}");
    world.write_schema(&version_4());
    let _projector = world.start_projector();
    is_folded_by(&world, "ann", 4).await;
    is_right_but_for_positions(&world, MIDDLE).await;
}

/// Asserts that the read model is right, but for entities that are said to have changed at the horizon, since what knew
/// better was lost.
pub async fn is_right_but_for_positions(world: &World, horizon: u64) {
    let at_horizon = |mut model: ReadModel| {
        for entity in model.entities.values_mut() {
            entity.3 = entity.3.max(horizon as i64);
        }
        model
    };
    let model = world.read_model("ann").await.unwrap();
    assert_eq!(at_horizon(model), at_horizon(world.folded_log("ann").await));
}
