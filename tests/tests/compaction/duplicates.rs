//! Pushed again after they were pruned: each event still enters the log once.

use futures_util::future::join_all;
use serde_json::json;
use tidelog_tests::{Batch, EventLine, World, event_id};

use super::seen::Seen;
use super::standing::{PAST_RETENTION, options, prune_through, standing};
use super::things::{event, push_uncounted, things, uncounted};

const PRUNED: u64 = 33;

/// What was pushed: batches of a phone, of which one event went to quarantine, and of a backend.
fn phone() -> [Batch; 3] {
    let unknown = event("phone-1", 30, "NEVER_HEARD_OF", "t-1", json!({})).0;
    [things("phone-1", 1, 10), things("phone-1", 11, 20), things("phone-1", 21, 31).with_line(9, unknown)]
}

fn backend() -> [Batch; 2] {
    [uncounted("ann", &[1]), uncounted("ann", &[2, 3])]
}

/// A space that is pruned through its head.
async fn pruned() -> World {
    let (world, time) = standing(options()).await;
    for batch in phone() {
        world.push("ann", &batch).await.expect(200);
    }
    for batch in backend() {
        push_uncounted(&world, "ann", &batch).await;
    }
    world.assert_read_model_is_right("ann").await;
    time.advance(PAST_RETENTION);
    prune_through(&world, "ann", PRUNED).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_duplicates_of_pruned_events_are_duplicates() {
    let world = pruned().await;
    let (before, seen) = (world.holdings().await, Seen::of(&world, "ann").await);
    for batch in phone() {
        for batch in [batch.clone(), batch.without_after()] {
            let again = world.push("ann", &batch).await;
            again.expect_committed(None);
            for (sequence, status, _) in again.receipts() {
                assert_eq!(status, if sequence == 30 { "quarantined" } else { "duplicate" }, "{sequence}");
            }
            assert_eq!(again.receipts().len(), batch.lines.len());
        }
    }
    for batch in backend() {
        let again = push_uncounted(&world, "ann", &batch).await;
        again.expect_committed(None);
        assert_eq!(again.json["receipts"].as_array().unwrap().len(), batch.lines.len());
    }
    assert_eq!(world.holdings().await, before, "nothing was stored");
    seen.assert_same_pruned_through(&world, PRUNED).await;

    // An overlap appends what is new, whoever sends it how often at once.
    let overlap = things("phone-1", 25, 40).with_line(5, phone()[2].lines[9].clone());
    let overlap = overlap.without_after();
    let answers = join_all((0..6).map(|_| world.push("ann", &overlap))).await;
    let appended: Vec<_> = answers.iter().filter(|answer| !answer.json["first"].is_null()).collect();
    assert_eq!(appended.len(), 1);
    appended[0].expect_committed(Some((34, 42)));
    world.assert_read_model_is_right("ann").await;
    assert_eq!(Seen::of(&world, "ann").await.events.len(), 42);
}

#[tokio::test(flavor = "multi_thread")]
async fn forks_are_known_by_the_last_event_after_it_was_pruned() {
    let world = pruned().await;
    let before = world.holdings().await;
    let other = |sequence: u64| {
        let id = event_id("its double", sequence).to_string();
        EventLine::new("phone-1", sequence).with("eventId", id).0
    };
    let after = json!({"deviceSequence": 31, "eventId": event_id("its double", 31)});
    let forks = [
        things("phone-1", 32, 33).with("after", after),
        things("phone-1", 31, 33).without_after().with_line(0, other(31)),
        things("phone-1", 21, 31).with_line(9, other(30)),
    ];
    for fork in forks {
        world.push("ann", &fork).await.expect_refusal(409, "device-forked");
        assert_eq!(world.holdings().await, before);
    }
    // Of an older one that is pruned only the number is known.
    let unknown = things("phone-1", 11, 20).with_line(3, other(14));
    world.push("ann", &unknown).await.expect_committed(None);
    world.push("ann", &things("phone-1", 32, 33)).await.expect_committed(Some((34, 35)));
    assert_eq!(Seen::of(&world, "ann").await.events.len(), 35);
}
