//! What one transaction may take in: a long log is folded in many, and nobody waits for its end.

use tidelog_tests::{WorldOptions, eventually};

use super::moments::standing;
use super::stored_log::append_workouts;

const SEGMENTS: u64 = 2000;
const OTHERS: [&str; 3] = ["b", "c", "z"];

/// A space `a-hot` with thousands of segments that nobody has folded, and others with a few; a projector with that
/// limit begins. Its order of ids would favour the hot one.
async fn assert_the_hot_space_starves_nobody(limit: &str, bytes: u64) {
    let world = WorldOptions::default().ingests(0).set(limit, bytes).start().await;
    append_workouts(&world, "a-hot", SEGMENTS, 1).await;
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
    assert!(hot.applied < SEGMENTS as i64, "they did not wait for the hot space's end");
    for space in OTHERS.into_iter().chain(["a-hot"]) {
        world.assert_read_model_is_right(space).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_far_behind_is_folded_in_many_small_reads_and_starves_nobody() {
    assert_the_hot_space_starves_nobody("projector.transaction_stored_bytes", 1500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_far_behind_is_folded_in_many_small_steps_and_starves_nobody() {
    assert_the_hot_space_starves_nobody("projector.transaction_bytes", 1).await;
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
        .start()
        .await;
    append_workouts(&world, "ann", 20, 5).await;
    let _projector = world.start_projector();
    world.assert_read_model_is_right("ann").await;
}
