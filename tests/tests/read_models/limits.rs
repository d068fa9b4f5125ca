//! What one transaction may take in: a long log is folded in many, and nobody waits for its end.

use serde_json::json;
use tidelog_tests::{EventLine, World, WorldOptions, eventually};

use super::moments::standing;
use super::stored_log::{append, append_workouts};

const OTHERS: [&str; 3] = ["b", "c", "z"];

/// A space `a-hot` with so many segments that nobody has folded, and others with a few; a projector with that limit
/// begins. The order of ids would favour the hot one.
async fn assert_the_hot_space_starves_nobody(segments: u64, limit: &str, bytes: u64) {
    let world = WorldOptions::default().ingests(0).set(limit, bytes).start().await;
    append_workouts(&world, "a-hot", segments, 1).await;
    for space in OTHERS {
        append_workouts(&world, space, 12, 4).await;
    }
    let _projector = world.start_projector();
    let hot = eventually("the others are folded", async || {
        for space in OTHERS {
            standing(&world, space).await.filter(|now| now.applied == 12)?;
        }
        standing(&world, "a-hot").await
    })
    .await;
    assert!(hot.applied < segments as i64, "they did not wait for the hot space's end");
    for space in OTHERS.into_iter().chain(["a-hot"]) {
        world.assert_read_model_is_right(space).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_far_behind_is_folded_in_many_small_reads_and_starves_nobody() {
    assert_the_hot_space_starves_nobody(3000, "projector.transaction_stored_bytes", 1500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_far_behind_is_folded_in_many_small_steps_and_starves_nobody() {
    assert_the_hot_space_starves_nobody(300, "projector.transaction_bytes", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_far_behind_is_folded_segment_by_segment_and_starves_nobody() {
    assert_the_hot_space_starves_nobody(300, "projector.transaction_stored_bytes", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_spaces_than_a_transaction_takes_are_all_folded() {
    let world = WorldOptions::default().ingests(0).set("projector.transaction_spaces", 4).start().await;
    let spaces: Vec<String> = (0..30).map(|number| format!("user-{number}")).collect();
    for space in &spaces {
        append_workouts(&world, space, 20, 5).await;
    }
    let _projectors: [_; 2] = [world.start_projector(), world.start_projector()];
    for space in &spaces {
        world.assert_read_model_is_right(space).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_nothing_still_let_one_segment_through() {
    let world = WorldOptions::default()
        .ingests(0)
        .set("projector.transaction_spaces", 0)
        .set("projector.transaction_bytes", 0)
        .set("projector.transaction_stored_bytes", 0)
        .set("projector.transaction_entity_bytes", 0)
        .start()
        .await;
    append_workouts(&world, "ann", 20, 5).await;
    let _projector = world.start_projector();
    world.assert_read_model_is_right("ann").await;
}

/// An event of the device that writes to one of `entities` entities in turn.
fn to_each_in_turn(sequence: u64, entities: u64, event_type: &str, payload: serde_json::Value) -> String {
    let event = EventLine::new("phone-1", sequence).with("entityId", format!("w-{}", sequence % entities));
    event.with("type", event_type).with("payload", payload).0.to_string()
}

async fn folded_in_transactions(world: &World, entities: u64, lines: &[String], events: usize) {
    let earlier = world.head("ann").await as u64;
    append(world, "ann", "phone-1", lines, events).await;
    world.assert_read_model_is_right("ann").await;
    let model = world.read_model("ann").await.unwrap();
    assert_eq!(model.entities.len() as u64, entities);
    assert_eq!(model.applied as u64, earlier + lines.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_10_a_batch_that_touches_many_large_entities_is_folded_a_few_at_a_time() {
    const ENTITIES: u64 = 20;
    // Each entity is larger than what one transaction may read; a transaction then takes one.
    let options = WorldOptions::default().ingests(0).set("projector.transaction_entity_bytes", 10_000);
    let world = options.projectors(1).start().await;
    let tag = |sequence: u64| format!("{sequence}-{}", "x".repeat(4000));
    let created = |sequence| {
        let tags = json!({"name": "large", "tags": {"add": [tag(sequence), tag(sequence + 1000)]}});
        to_each_in_turn(sequence, ENTITIES, "WORKOUT_CREATED", tags)
    };
    let lap = |sequence| to_each_in_turn(sequence, ENTITIES, "LAP_RECORDED", json!({"laps": 1}));
    let large: Vec<String> = (1..=2 * ENTITIES).map(created).collect();
    folded_in_transactions(&world, ENTITIES, &large, 10).await;
    // A few bytes each, in one segment: what costs is the entities.
    let small: Vec<String> = (2 * ENTITIES + 1..=5 * ENTITIES).map(lap).collect();
    folded_in_transactions(&world, ENTITIES, &small, small.len()).await;
}
