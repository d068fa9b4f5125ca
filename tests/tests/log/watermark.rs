//! The watermark: what of a batch is new, what is there already, and what comes too early.

use serde_json::{Value, json};
use tidelog_tests::{Batch, World, WorldOptions, event_id, eventually};

fn duplicates(answer: &tidelog_tests::Answer) -> Vec<u64> {
    let receipts = answer.receipts();
    assert!(receipts.iter().all(|(_, status, code)| status == "duplicate" && code.is_none()), "{receipts:?}");
    receipts.into_iter().map(|(sequence, ..)| sequence).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_each_batch_gets_the_positions_behind_the_one_before() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    world.push("ann", &Batch::new("watch-1", 1, 1)).await.expect_committed(Some((4, 4)));
    let answer = world.push("ann", &Batch::new("phone-1", 4, 6)).await;
    answer.expect_committed(Some((5, 7)));
    assert_eq!(answer.json["head"], 7);
    assert_eq!(answer.json["device"], json!({"lastSequence": 6, "lastEventId": event_id("phone-1", 6)}));

    let log = world.whole_log("ann").await;
    let places: Vec<_> = log.iter().map(|event| (&event["deviceId"], &event["deviceSequence"])).collect();
    let phone = |sequence: u64| (json!("phone-1"), json!(sequence));
    let expect = [phone(1), phone(2), phone(3), (json!("watch-1"), json!(1)), phone(4), phone(5), phone(6)];
    assert_eq!(places, expect.iter().map(|(device, sequence)| (device, sequence)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_an_overlap_is_stored_without_its_duplicate_prefix() {
    let world = World::new().await;
    let first = Batch::new("phone-1", 1, 5);
    world.push("ann", &first).await.expect_committed(Some((1, 5)));
    let overlap = Batch::new("phone-1", 3, 8);
    let answer = world.push("ann", &overlap).await;
    answer.expect_committed(Some((6, 8)));
    assert_eq!(duplicates(&answer), [3, 4, 5]);
    assert_eq!(answer.json["device"]["lastSequence"], 8);

    let segments = world.segments("ann").await;
    assert_eq!(segments.len(), 2);
    assert_eq!((segments[1].first, segments[1].last), (6, 8));
    assert_eq!(segments[1].sequences, Some((6, 8)));
    let lines = segments[1].lines();
    let batch: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(batch["batch"]["deviceId"], "phone-1");
    assert_eq!(lines[1..], overlap.lines[3..]);

    let again = world.push("ann", &overlap).await;
    again.expect_committed(None);
    assert_eq!(duplicates(&again), [3, 4, 5, 6, 7, 8]);
    assert_eq!(world.head("ann").await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_batch_that_lies_wholly_below_the_watermark_is_a_duplicate() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 4)).await.expect_committed(Some((1, 4)));
    world.push("ann", &Batch::new("phone-1", 5, 9)).await.expect_committed(Some((5, 9)));
    let answer = world.push("ann", &Batch::new("phone-1", 3, 6)).await;
    answer.expect_committed(None);
    assert_eq!(duplicates(&answer), [3, 4, 5, 6]);
    let expect = json!({"lastSequence": 9, "lastEventId": event_id("phone-1", 9)});
    assert_eq!(answer.json["device"], expect, "the watermark stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_refused_with_the_sequence_that_must_come_next() {
    let world = WorldOptions::default().set("ingest.gap_wait_ms", 50).start().await;
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    let before = world.holdings().await;
    let cases = [
        ("phone-1", Batch::new("phone-1", 5, 6), 4),
        ("phone-1", Batch::new("phone-1", 5, 6).without_after(), 4),
        ("a first batch that does not begin at 1", Batch::new("phone-2", 2, 3), 1),
        ("the same without `after`", Batch::new("phone-2", 2, 3).without_after(), 1),
    ];
    for (case, batch, expected) in cases {
        let answer = world.push("ann", &batch).await;
        answer.expect_refusal(409, "sequence-gap");
        assert_eq!(answer.json["expected"], expected, "{case}");
        assert_eq!(world.holdings().await, before, "{case}");
    }
    world.push("ann", &Batch::new("phone-1", 4, 4)).await.expect_committed(Some((4, 4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_refused_as_a_gap_and_then_repaired_is_taken_at_once() {
    let world = WorldOptions::default().set("ingest.gap_wait_ms", 50).start().await;
    let late = Batch::new("phone-1", 7, 9);
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    world.push("ann", &late).await.expect_refusal(409, "sequence-gap");
    world.push("ann", &Batch::new("phone-1", 4, 6)).await.expect_committed(Some((4, 6)));
    let answer = world.push("ann", &late).await;
    answer.expect_committed(Some((7, 9)));
    assert_eq!(answer.receipts(), []);
    assert_eq!(world.whole_log("ann").await.len(), 9);
}

/// Batches that the broker has given to ingest.
async fn handed_out(world: &World) -> u64 {
    let mut consumer = world.broker.ingest_consumer().await.unwrap();
    consumer.info().await.unwrap().delivered.consumer_sequence
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_overtook_its_predecessor_is_taken_as_soon_as_that_comes() {
    // It would be refused in a minute, and the push gives up after half of that.
    let options = WorldOptions::default().set("ingest.gap_wait_ms", 60_000);
    let world = options.set("gateway.commit_wait_ms", 30_000).start().await;
    let (early, first) = (Batch::new("phone-1", 4, 6), Batch::new("phone-1", 1, 3));
    let pushes = async {
        eventually("ingest has been handed the early batch", async || {
            (handed_out(&world).await >= 1).then_some(())
        })
        .await;
        world.push("ann", &first).await
    };
    let (early, first) = tokio::join!(world.push("ann", &early), pushes);
    first.expect_committed(Some((1, 3)));
    early.expect_committed(Some((4, 6)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_many_events_and_one_of_a_single_event_are_taken_alike() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 1000)).await.expect_committed(Some((1, 1000)));
    world.push("ann", &Batch::new("phone-1", 1001, 1001)).await.expect_committed(Some((1001, 1001)));
    let again = world.push("ann", &Batch::new("phone-1", 2, 1001)).await;
    again.expect_committed(None);
    assert_eq!(duplicates(&again), (2..=1001).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_callers_may_leave_after_out() {
    let world = World::new().await;
    let batch = |first, last| Batch::new("phone-1", first, last).without_after();
    world.push("ann", &batch(1, 2)).await.expect_committed(Some((1, 2)));
    world.push("ann", &batch(3, 4)).await.expect_committed(Some((3, 4)));
    let overlap = world.push("ann", &batch(4, 5)).await;
    overlap.expect_committed(Some((5, 5)));
    assert_eq!(duplicates(&overlap), [4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_has_a_watermark_of_its_own_in_each_space() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    world.push("bob", &Batch::new("phone-1", 1, 2)).await.expect_committed(Some((1, 2)));
    assert_eq!((world.head("ann").await, world.head("bob").await), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_tells_the_calling_device_its_watermark() {
    let world = World::new().await;
    let unknown =
        json!({"lastSequence": 0, "lastEventId": null, "quarantined": [], "moreQuarantined": false});
    assert_eq!(world.pull("ann", "deviceId=phone-1").await.json["device"], unknown);
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));

    let known = json!({"lastSequence": 3, "lastEventId": event_id("phone-1", 3), "quarantined": [],
        "moreQuarantined": false});
    assert_eq!(world.pull("ann", "deviceId=phone-1").await.json["device"], known);
    assert_eq!(world.pull("ann", "deviceId=phone-2").await.json["device"], unknown);
    assert_eq!(world.pull("ann", "").await.json["device"], Value::Null);
    let hello = world.pull_frames("ann", "deviceId=phone-1").await.hello;
    assert_eq!(serde_json::to_value(hello.device).unwrap(), known);
}
