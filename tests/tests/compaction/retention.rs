//! What stays in the log: what is young, what is kept in any case, what the projector has not folded, and what an active
//! device has not read.

use std::time::Duration;

use tidelog_compactor::{Pruning, WhyNot};
use tidelog_events::id::Position;
use tidelog_events::protocol::UtcTime;
use tidelog_tests::{World, WorldOptions, eventually};

use super::standing::{NOON, compact, days, horizon, options, prune_through, standing};
use super::things::push_in_turn;

/// Segments stay as they were pushed, so that each of them may be where the pruning ends.
fn unmerged() -> WorldOptions<'static> {
    options().set("compactor.merge_after_hours", 1_000_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_young_or_kept_or_not_folded_stays() {
    let (world, time) = standing(unmerged().projectors(0).set("retention.keep_events", 25)).await;
    push_in_turn(&world, "ann", &["phone-1"], 0, 4, 10).await;
    time.advance(days(20));
    push_in_turn(&world, "ann", &["phone-1"], 40, 4, 10).await;
    time.set(UtcTime(NOON.0 + days(30).as_millis() as i64 - 1));
    assert_eq!(compact(&world, "ann").await, Pruning::Waits(WhyNot::Young));
    time.advance(Duration::from_millis(1));
    let behind = WhyNot::ProjectorBehind { applied: Position(0) };
    assert_eq!(compact(&world, "ann").await, Pruning::Waits(behind));
    assert_eq!(world.compact().await.pruned, 0);
    assert_eq!((horizon(&world, "ann").await, world.segments("ann").await.len()), (0, 8));

    let projector = world.start_projector();
    world.assert_read_model_is_right("ann").await;
    prune_through(&world, "ann", 40).await;
    time.advance(days(20));
    // Of 80 events 25 stay, so none of the segment from 51 on may go.
    assert_eq!(prune_through(&world, "ann", 50).await.events, 10);
    assert_eq!(compact(&world, "ann").await, Pruning::Waits(WhyNot::TooFew { events: 0, at_once: 1 }));
    world.assert_read_model_is_right("ann").await;

    // What is not folded yet is not pruned, however old; what is folded is.
    projector.stop().await;
    push_in_turn(&world, "ann", &["watch"], 0, 8, 10).await;
    time.advance(days(40));
    prune_through(&world, "ann", 80).await;
    let behind = WhyNot::ProjectorBehind { applied: Position(80) };
    assert_eq!(compact(&world, "ann").await, Pruning::Waits(behind));
}

/// A device asks for what is behind its cursor, and the server has noted that.
async fn read(world: &World, user: &str, device: &str, cursor: u64) {
    world.pull(user, &format!("deviceId={device}&after={cursor}")).await.expect(200);
    let now = world.clock.now().0;
    let noted = "SELECT FROM devices WHERE space_id = $1 AND device_id = $2 AND cursor = $3
                 AND last_seen_at = timestamptz 'epoch' + $4 * interval '1 millisecond'";
    eventually("the reader is noted", async || {
        let noted = sqlx::query(noted).bind(user).bind(device).bind(cursor as i64).bind(now);
        noted.fetch_optional(&world.pool).await.ok()?.map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_active_device_that_is_behind_is_waited_for_until_patience_ends() {
    let (world, time) = standing(unmerged().set("retention.patience_days", 30)).await;
    for user in ["ann", "bob"] {
        push_in_turn(&world, user, &["phone-1", "watch"], 0, 2, 10).await;
        world.assert_read_model_is_right(user).await;
    }
    time.advance(days(31));
    read(&world, "ann", "watch", 15).await;
    read(&world, "bob", "watch", 15).await;
    // phone-1, which has never read anything, was not heard of for a month: nobody waits for it.
    for user in ["ann", "bob"] {
        prune_through(&world, user, 10).await;
    }
    let until = UtcTime(NOON.0 + days(60).as_millis() as i64);
    let waits = Pruning::Waits(WhyNot::DeviceBehind { cursor: Position(15), until });
    assert_eq!(compact(&world, "ann").await, waits);
    assert_eq!(world.compact().await.pruned, 0);

    // bob's watch falls silent for longer than 14 days, ann's does not.
    time.advance(days(14));
    assert_eq!(compact(&world, "bob").await, waits);
    time.advance(Duration::from_millis(1));
    read(&world, "ann", "watch", 15).await;
    prune_through(&world, "bob", 40).await;
    assert_eq!(compact(&world, "ann").await, waits);

    time.set(UtcTime(until.0 - 1));
    read(&world, "ann", "watch", 15).await;
    assert_eq!(compact(&world, "ann").await, waits);
    time.advance(Duration::from_millis(1));
    read(&world, "ann", "watch", 15).await;
    prune_through(&world, "ann", 40).await;
    // It has the beginning of a segment that is gone, and gets the snapshot.
    let pulled = world.pull_frames("ann", "deviceId=watch&after=15").await;
    assert_eq!(pulled.snapshot.unwrap().0.through, Position(40));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_reads_on_lets_the_log_go_behind_it() {
    let (world, time) = standing(unmerged().set("retention.patience_days", 1000)).await;
    push_in_turn(&world, "ann", &["phone-1", "watch"], 0, 3, 10).await;
    world.assert_read_model_is_right("ann").await;
    time.advance(days(31));
    for (cursor, through) in [(9, None), (10, Some(10)), (35, Some(30)), (60, Some(60))] {
        read(&world, "ann", "watch", cursor).await;
        match through {
            Some(through) => drop(prune_through(&world, "ann", through).await),
            None => assert!(matches!(
                compact(&world, "ann").await,
                Pruning::Waits(WhyNot::DeviceBehind { cursor: Position(9), .. })
            )),
        }
    }
}
