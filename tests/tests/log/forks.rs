//! Forks: sequences that are taken by other events. A cloned or restored device must never mix its history
//! with that of its double.

use reqwest::Method;
use serde_json::json;
use tidelog_tests::{Answer, Batch, EventLine, World, event_id};

/// The same batch, but the event at `index` is another one.
fn with_other_event(batch: Batch, index: usize, sequence: u64) -> Batch {
    let other =
        EventLine::new("phone-1", sequence).with("eventId", event_id("its double", sequence).to_string());
    batch.with_line(index, other.0)
}

async fn refuse_as_fork(world: &World, batch: &Batch, case: &str) {
    let before = world.holdings().await;
    let answer = world.push("ann", batch).await;
    assert_eq!(answer.json["code"], "device-forked", "{case}: {}", answer.json);
    answer.expect_refusal(409, "device-forked");
    assert_eq!(world.holdings().await, before, "{case}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_a_batch_that_follows_another_event_is_a_fork() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    let after = json!({"deviceSequence": 3, "eventId": event_id("its double", 3)});
    refuse_as_fork(&world, &Batch::new("phone-1", 4, 5).with("after", after), "append").await;
    let after = json!({"deviceSequence": 1, "eventId": event_id("its double", 1)});
    refuse_as_fork(&world, &Batch::new("phone-1", 2, 5).with("after", after.clone()), "overlap").await;
    refuse_as_fork(&world, &Batch::new("phone-1", 2, 3).with("after", after), "duplicate").await;
    world.push("ann", &Batch::new("phone-1", 4, 5)).await.expect_committed(Some((4, 5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_other_events_with_sequences_that_are_taken_are_a_fork() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect_committed(Some((1, 2)));
    world.push("ann", &Batch::new("phone-1", 3, 4)).await.expect_committed(Some((3, 4)));
    let cases = [
        ("the first of a duplicate", with_other_event(Batch::new("phone-1", 1, 4), 0, 1)),
        ("one within a duplicate", with_other_event(Batch::new("phone-1", 1, 4), 2, 3)),
        ("the last of a duplicate", with_other_event(Batch::new("phone-1", 1, 4), 3, 4)),
        ("the watermark in an overlap", with_other_event(Batch::new("phone-1", 4, 6), 0, 4)),
        ("an older one in an overlap", with_other_event(Batch::new("phone-1", 2, 6), 0, 2)),
    ];
    for (case, batch) in cases {
        refuse_as_fork(&world, &batch, case).await;
        refuse_as_fork(&world, &batch.without_after(), &format!("{case}, without `after`")).await;
    }
    // Events above the watermark are free to be any.
    let free = with_other_event(Batch::new("phone-1", 4, 6), 1, 5);
    world.push("ann", &free).await.expect_committed(Some((5, 6)));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_event_with_the_sequence_of_a_quarantined_one_is_a_fork() {
    let world = World::new().await;
    let bad = EventLine::new("phone-1", 2).with("type", "UNKNOWN").0;
    world.push("ann", &Batch::new("phone-1", 1, 3).with_line(1, bad)).await.expect_committed(Some((1, 2)));
    let double = with_other_event(Batch::new("phone-1", 1, 3), 1, 2);
    refuse_as_fork(&world, &double, "a good event").await;
    let bad =
        EventLine::new("phone-1", 2).with("type", "UNKNOWN").with("eventId", event_id("x", 2).to_string());
    refuse_as_fork(&world, &Batch::new("phone-1", 1, 3).with_line(1, bad.0), "another bad event").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_belongs_to_the_user_who_first_pushed_with_it() {
    let world = World::new().await;
    let push = async |user: &str, batch: &Batch| {
        let token = tidelog_cli::token::Claims::new(user, 1)
            .with_space("team-9", tidelog_cli::token::Access::Rw)
            .sign(tidelog_tests::SECRET)
            .unwrap();
        let request = world.request_with(Method::POST, "/v1/spaces/team-9/events", Some(&token));
        Answer::of(request.header("Content-Type", "application/x-ndjson").body(batch.body())).await
    };
    push("ann", &Batch::new("phone-1", 1, 2)).await.expect_committed(Some((1, 2)));
    let before = world.holdings().await;
    for batch in [Batch::new("phone-1", 3, 4), Batch::new("phone-1", 1, 2), Batch::new("phone-1", 2, 4)] {
        push("bob", &batch).await.expect_refusal(409, "device-forked");
    }
    assert_eq!(world.holdings().await, before);
    push("bob", &Batch::new("phone-2", 1, 1)).await.expect_committed(Some((3, 3)));
    push("ann", &Batch::new("phone-1", 3, 4)).await.expect_committed(Some((4, 5)));
}
