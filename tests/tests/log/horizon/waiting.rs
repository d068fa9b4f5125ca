//! Long polls of readers before the horizon.

use std::sync::Arc;

use tidelog_tests::{World, WorldOptions};

use super::super::long_poll::{answer, poll, turn, until_waiting};
use super::{PART, batch, entities, filled, positions, pruned_worlds};

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_before_the_horizon_is_answered_at_once() {
    let _turn = turn().await;
    for world in pruned_worlds().await.map(Arc::new) {
        for query in ["after=3&wait=60", "after=3&wait=60&deviceId=phone-1"] {
            let json = answer(poll(&world, "ann", query)).await.json;
            assert_eq!((&json["snapshot"]["through"], positions(&json)[0]), (&20.into(), 21), "{query}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_waits_while_the_horizon_passes_it_unheard_gets_the_snapshot() {
    let _turn = turn().await;
    let world = Arc::new(filled(WorldOptions::default(), 2).await);
    let polls = ["after=10&wait=60", "after=10&wait=60&deviceId=phone-1", "after=10&wait=60&types=route"];
    let polls = polls.map(|query| poll(&world, "ann", query));
    until_waiting(3).await;
    append_unheard(&world).await;
    world.prune("ann", 15, PART).await;
    assert!(polls.iter().all(|poll| !poll.is_finished()));
    world.push("ann", &batch("watch-1", 6, 10)).await.expect_committed(Some((16, 20)));
    for (number, poll) in polls.into_iter().enumerate() {
        let json = answer(poll).await.json;
        assert_eq!((&json["snapshot"]["through"], &json["cursor"]), (&15.into(), &20.into()));
        let is_filtered = number == 2;
        assert_eq!(positions(&json).len() < 5, is_filtered);
        assert_eq!(entities(&json).iter().any(|line| line.contains("\"workout\"")), !is_filtered);
    }
}

/// Appends positions 11 to 15, and nobody is told: what another user pushed.
async fn append_unheard(world: &World) {
    world.push("bob", &batch("phone-9", 1, 5)).await.expect_committed(Some((1, 5)));
    sqlx::raw_sql(
        "INSERT INTO segments (space_id, first, last, device_id, user_id, first_sequence, last_sequence,
                               received_at, frame)
         SELECT 'ann', first + 10, last + 10, device_id, user_id, first_sequence, last_sequence, received_at, frame
         FROM segments WHERE space_id = 'bob';
         UPDATE spaces SET head = 15 WHERE space_id = 'ann'",
    )
    .execute(&world.pool)
    .await
    .unwrap();
}
