//! Quarantined events in their device's history: they move its watermark like any other, and are answered as
//! what they are for ever.

use serde_json::{Value, json};
use tidelog_tests::{Batch, EventLine, World, event_id};

fn bad(sequence: u64) -> Value {
    EventLine::new("phone-1", sequence).with("type", "UNKNOWN").0
}

fn quarantined(sequence: u64) -> (u64, String, Option<String>) {
    (sequence, "quarantined".to_owned(), Some("event-unknown-type".to_owned()))
}

fn duplicate(sequence: u64) -> (u64, String, Option<String>) {
    (sequence, "duplicate".to_owned(), None)
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_a_duplicate_of_a_quarantined_event_is_answered_quarantined() {
    let world = World::new().await;
    let batch = Batch::new("phone-1", 1, 3).with_line(1, bad(2));
    let first = world.push("ann", &batch).await;
    first.expect_committed(Some((1, 2)));
    assert_eq!(first.receipts(), [quarantined(2)]);
    let again = world.push("ann", &batch).await;
    again.expect_committed(None);
    assert_eq!(again.receipts(), [duplicate(1), quarantined(2), duplicate(3)]);
    assert_eq!(again.json["receipts"][1], first.json["receipts"][0], "with the same reason");

    let overlap = Batch::new("phone-1", 2, 5).with_line(0, bad(2)).with_line(3, bad(5));
    let answer = world.push("ann", &overlap).await;
    answer.expect_committed(Some((3, 3)));
    assert_eq!(answer.receipts(), [quarantined(2), duplicate(3), quarantined(5)]);
    assert_eq!(world.quarantine("ann", "phone-1").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watermark_may_be_a_quarantined_event() {
    let world = World::new().await;
    let answer = world.push("ann", &Batch::new("phone-1", 1, 2).with_line(1, bad(2))).await;
    answer.expect_committed(Some((1, 1)));
    let mark = json!({"lastSequence": 2, "lastEventId": event_id("phone-1", 2)});
    assert_eq!(answer.json["device"], mark);

    let after = json!({"deviceSequence": 2, "eventId": event_id("its double", 2)});
    let fork = Batch::new("phone-1", 3, 3).with("after", after);
    world.push("ann", &fork).await.expect_refusal(409, "device-forked");
    world.push("ann", &Batch::new("phone-1", 3, 3)).await.expect_committed(Some((2, 2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_nothing_but_bad_events_moves_the_watermark_and_no_head() {
    let world = World::new().await;
    let batch = Batch::new("phone-1", 1, 2).with_line(0, bad(1)).with_line(1, bad(2));
    let answer = world.push("ann", &batch).await;
    answer.expect_committed(None);
    assert_eq!(answer.receipts(), [quarantined(1), quarantined(2)]);
    assert_eq!((&answer.json["head"], &answer.json["device"]["lastSequence"]), (&json!(0), &json!(2)));
    assert_eq!(world.segments("ann").await.len(), 0);
    assert_eq!(world.push("ann", &batch).await.receipts(), [quarantined(1), quarantined(2)]);
    world.push("ann", &Batch::new("phone-1", 3, 3)).await.expect_committed(Some((1, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_lists_the_latest_hundred_quarantined_events_and_says_whether_there_are_more() {
    let world = World::new().await;
    let batch = |first: u64, last: u64| {
        let lines = (first..=last).map(|sequence| bad(sequence).to_string()).collect();
        Batch { lines, ..Batch::new("phone-1", first, last) }
    };
    for (first, last, listed, more) in [(1, 100, 100, false), (101, 101, 100, true)] {
        world.push("ann", &batch(first, last)).await.expect_committed(None);
        let device = world.pull("ann", "deviceId=phone-1").await.json["device"].clone();
        let quarantined = device["quarantined"].as_array().unwrap();
        assert_eq!(quarantined.len(), listed);
        assert_eq!(quarantined[0]["deviceSequence"], last, "the latest first");
        assert_eq!(device["moreQuarantined"], more);
    }
}
