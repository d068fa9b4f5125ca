//! A pruned space reads as it did before, and what left it lies in the archive, byte for byte.

use std::time::Duration;

use super::archived::archived;
use super::seen::Seen;
use super::standing::{PAST_RETENTION, compact_with, execute, horizon, options, prune_through, standing};
use super::things::{event, push_in_turn, push_uncounted, things, uncounted};
use serde_json::json;
use tidelog_compactor::Pruning;
use tidelog_events::id::Position;
use tidelog_tests::World;

/// A log with everything in it that there is: devices that write to the same things, events without a sequence alone and
/// in batches, and one that went to quarantine. Returns its head.
async fn push_all_kinds(world: &World) -> u64 {
    push_in_turn(world, "ann", &["phone-1", "phone-2", "watch"], 0, 4, 10).await;
    push_uncounted(world, "ann", &uncounted("ann", &[1])).await;
    push_uncounted(world, "ann", &uncounted("ann", &[2, 3])).await;
    let unknown = event("phone-1", 42, "NEVER_HEARD_OF", "t-1", json!({})).0;
    world
        .push("ann", &things("phone-1", 41, 43).with_line(1, unknown))
        .await
        .expect_committed(Some((124, 125)));
    125
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_pruned_space_reads_as_before_and_what_left_it_lies_in_the_archive() {
    let (world, time) = standing(options()).await;
    let old = push_all_kinds(&world).await;
    time.advance(PAST_RETENTION);
    push_in_turn(&world, "ann", &["watch"], 40, 2, 5).await;
    push_in_turn(&world, "ann", &["tablet"], 0, 2, 5).await;
    world.push("bob", &things("phone-9", 1, 5)).await.expect(200);
    let before = Seen::of(&world, "ann").await;
    let swept = world.compact().await;
    assert_eq!((swept.pruned, swept.events, swept.refused, swept.failed), (1, old, 0, 0));
    before.assert_same_pruned_through(&world, old).await;
    assert_eq!(horizon(&world, "bob").await, 0, "bob's events are young");

    // The next snapshot begins where this one ends.
    time.advance(PAST_RETENTION);
    push_in_turn(&world, "ann", &["tablet"], 10, 1, 5).await;
    push_in_turn(&world, "ann", &["phone-1"], 43, 1, 5).await;
    let before = Seen::of(&world, "ann").await;
    let small_objects = world.compactor(|deps| deps.config.archive_bytes = 1);
    let Pruning::Pruned(pruned) = compact_with(&small_objects, "ann").await else { panic!("it is old") };
    assert_eq!((pruned.through, pruned.events), (Position(old + 20), 20));
    before.assert_same_pruned_through(&world, old + 20).await;
    assert!(archived(&world, "ann").await.1 >= 2, "another object, at least");

    // Everything is pruned, and the log goes on all the same.
    time.advance(PAST_RETENTION);
    let before = Seen::of(&world, "ann").await;
    prune_through(&world, "ann", old + 30).await;
    before.assert_same_pruned_through(&world, old + 30).await;
    world.push("ann", &things("watch", 51, 60)).await.expect_committed(Some((old + 31, old + 40)));
    world.assert_read_model_is_right("ann").await;
    assert_eq!(Seen::of(&world, "ann").await.events.len() as u64, old + 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_the_archive_says_where_each_devices_sequences_lie() {
    let (world, time) = standing(options().set("compactor.merge_after_hours", 1_000_000)).await;
    push_all_kinds(&world).await;
    time.advance(PAST_RETENTION);
    world.assert_read_model_is_right("ann").await;
    let small_objects = world.compactor(|deps| deps.config.archive_bytes = 1);
    assert!(matches!(compact_with(&small_objects, "ann").await, Pruning::Pruned(_)));
    let (events, objects) = archived(&world, "ann").await;
    assert_eq!(objects, 15, "one for each batch");
    let listed: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "SELECT device_id, archive.first, first_sequence, last_sequence FROM archive_devices
         JOIN archive USING (space_id, last) ORDER BY archive.first",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let mut expected = Vec::new();
    for (number, batch) in (0..).zip(events[..120].chunks(10)) {
        let (first, sequence) = (batch[0].0 as i64, number / 3 * 10 + 1);
        expected.push((batch[0].1.clone(), first, sequence, sequence + 9));
    }
    // The one in quarantine lies between these two.
    expected.push(("phone-1".to_owned(), 124, 41, 43));
    assert_eq!(listed, expected, "devices of one event alone are not listed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_the_database_refuses_stops_nobody_and_is_pruned_once_it_is_taken() {
    let (world, time) = standing(options()).await;
    let users = ["ann", "bad", "zoe"];
    for user in users {
        push_in_turn(&world, user, &["phone-1", "watch"], 0, 2, 10).await;
        world.assert_read_model_is_right(user).await;
    }
    time.advance(PAST_RETENTION);
    execute(&world, "ALTER TABLE snapshots ADD CONSTRAINT refusal CHECK (space_id <> 'bad') NOT VALID").await;
    let swept = world.compact().await;
    assert_eq!((swept.pruned, swept.failed), (2, 1));
    let mut horizons = Vec::new();
    for user in users {
        horizons.push(horizon(&world, user).await);
    }
    assert_eq!(horizons, [40, 0, 40]);
    execute(&world, "ALTER TABLE snapshots DROP CONSTRAINT refusal").await;
    let before = Seen::of(&world, "bad").await;
    time.advance(Duration::from_secs(1));
    assert_eq!(world.compact().await.pruned, 1);
    before.assert_same_pruned_through(&world, 40).await;
}
