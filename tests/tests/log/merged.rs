//! Merged segments: nobody notices, but that there are fewer of them.

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_tests::{Answer, Batch, EventLine, World, event_id};

/// Batches of a phone and a watch by turns, with the same sequences, and of the phone three in a row at the end; an event
/// of the watch lies in quarantine. Positions 1 to 25.
async fn fill(world: &World) {
    for first in [1, 4, 7] {
        for device in ["phone-1", "watch-1"] {
            let batch = Batch::new(device, first, first + 2);
            let bad = EventLine::new("watch-1", 5).with("type", "UNKNOWN").0;
            let batch = if (device, first) == ("watch-1", 4) { batch.with_line(1, bad) } else { batch };
            world.push("ann", &batch).await.expect(200);
        }
    }
    for first in [10, 12, 14, 16] {
        world.push("ann", &Batch::new("phone-1", first, first + 1)).await.expect(200);
    }
    assert_eq!(world.head("ann").await, 25);
}

/// The log in segments of several batches, and then in larger ones; the last batch stays as it is.
async fn merge(world: &World) {
    world.merge_segments("ann", 1, 6).await;
    world.merge_segments("ann", 7, 14).await;
    world.merge_segments("ann", 1, 14).await;
    world.merge_segments("ann", 15, 23).await;
    assert_eq!(world.segments("ann").await.len(), 3);
}

/// What pulls tell, whatever the segments are.
async fn told(world: &World) -> Value {
    let mut told = Vec::new();
    for (after, limit) in [(0, 1000), (0, 4), (5, 3), (13, 2), (14, 1), (22, 9), (24, 1)] {
        let query = format!("after={after}&limit={limit}");
        let mut json = world.pull("ann", &query).await.json;
        json["serverTime"] = Value::Null;
        told.push(json);
        let plain = world.pull_lines("ann", &query).await;
        told.push(json!([plain.events, plain.cursor]));
        let frames = world.pull_frames("ann", &query).await;
        let asked =
            frames.events.iter().filter(|(position, _)| (after + 1..=after + limit).contains(position));
        told.push(json!(asked.collect::<Vec<_>>()));
    }
    told.push(json!(world.pull_lines("ann", "types=workout&after=5").await.events));
    Value::from(told)
}

async fn own_events(world: &World, device: &str) -> Value {
    let path = format!("/v1/spaces/me/devices/{device}/events?from=2&to=15");
    Answer::of(world.request(Method::GET, &path, "ann")).await.expect(200).json["items"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_6_merging_changes_neither_a_position_nor_a_byte_of_an_event() {
    let world = World::new().await;
    fill(&world).await;
    let before = told(&world).await;
    let mut own = Vec::new();
    for device in ["phone-1", "watch-1"] {
        own.push(own_events(&world, device).await);
    }
    assert_eq!((own[0].as_array().unwrap().len(), own[1].as_array().unwrap().len()), (14, 8));
    merge(&world).await;
    assert_eq!(told(&world).await, before);
    for (device, before) in ["phone-1", "watch-1"].iter().zip(own) {
        assert_eq!(own_events(&world, device).await, before, "{device}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_duplicates_and_forks_of_each_device_are_told_apart_after_its_segments_were_merged() {
    let world = World::new().await;
    fill(&world).await;
    merge(&world).await;
    let before = world.holdings().await;
    for batch in [
        Batch::new("phone-1", 1, 9),
        Batch::new("phone-1", 8, 15),
        Batch::new("watch-1", 1, 4),
        Batch::new("watch-1", 3, 9).without_after(),
    ] {
        let answer = world.push("ann", &batch).await;
        answer.expect_committed(None);
        assert_eq!(answer.receipts().len(), batch.lines.len());
    }
    for (device, sequence) in [("phone-1", 4), ("phone-1", 14), ("watch-1", 4), ("watch-1", 9)] {
        let other =
            EventLine::new(device, sequence).with("eventId", event_id("a double", sequence).to_string());
        let batch = Batch::new(device, sequence, sequence).with_line(0, other.0);
        world.push("ann", &batch).await.expect_refusal(409, "device-forked");
        let after = json!({"deviceSequence": sequence, "eventId": event_id("a double", sequence)});
        let behind = Batch::new(device, sequence + 1, sequence + 2).with("after", after);
        world.push("ann", &behind).await.expect_refusal(409, "device-forked");
    }
    assert_eq!(world.holdings().await, before);
    let overlap = world.push("ann", &Batch::new("watch-1", 8, 11)).await;
    overlap.expect_committed(Some((26, 27)));
    assert_eq!(overlap.receipts().len(), 2);
}
