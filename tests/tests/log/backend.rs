//! Trusted backends: a token for every space, batches with a named author, and events without a counter.

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_tests::{Answer, Batch, EventLine, World, event_id};

/// A batch of ann's without sequences.
fn batch(numbers: &[u64]) -> Batch {
    let event = |number: &u64| EventLine::new("backend", *number).without("deviceSequence").0.to_string();
    Batch { header: json!({"userId": "ann"}), lines: numbers.iter().map(event).collect() }
}

async fn push(world: &World, space: &str, batch: &Batch) -> Answer {
    let request = world.backend_request(Method::POST, &format!("/v1/spaces/{space}/events"));
    let request = request.header("Content-Type", "application/x-ndjson").header("Content-Encoding", "zstd");
    Answer::of(request.body(batch.frame())).await
}

fn device(number: u64) -> String {
    format!("event:{}", event_id("backend", number))
}

/// The receipts as (event id, status).
fn receipts(answer: &Answer) -> Vec<(Value, Value)> {
    let receipts = answer.json["receipts"].as_array().unwrap();
    assert!(receipts.iter().all(|receipt| receipt["deviceSequence"].is_null()), "{receipts:?}");
    receipts.iter().map(|receipt| (receipt["eventId"].clone(), receipt["status"].clone())).collect()
}

fn receipt(number: u64, status: &str) -> (Value, Value) {
    (json!(event_id("backend", number)), json!(status))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_must_name_each_batchs_author() {
    let world = World::new().await;
    let before = world.holdings().await;
    for unnamed in [Batch { header: json!({}), ..batch(&[1]) }, Batch::new("phone-1", 1, 2)] {
        push(&world, "ann", &unnamed).await.expect_refusal(400, "batch-malformed");
    }
    assert_eq!(world.holdings().await, before);
    push(&world, "ann", &Batch::new("phone-1", 1, 2).with("userId", "ann"))
        .await
        .expect_committed(Some((1, 2)));
    world.push("ann", &Batch::new("phone-1", 3, 3)).await.expect_committed(Some((3, 3)));
    let authors: Vec<_> = world.whole_log("ann").await.iter().map(|event| event["userId"].clone()).collect();
    assert_eq!(authors, ["ann", "ann", "ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_without_a_counter_are_each_a_device_of_their_own() {
    let world = World::new().await;
    let pushed = batch(&[7, 3, 5]);
    let answer = push(&world, "ann", &pushed).await;
    answer.expect_committed(Some((1, 3)));
    assert_eq!((receipts(&answer), &answer.json["device"]), (vec![], &Value::Null));

    let log = world.whole_log("ann").await;
    let found: Vec<_> = log
        .iter()
        .map(|e| (e["eventId"].clone(), e["deviceId"].clone(), e["deviceSequence"].clone()))
        .collect();
    let expect =
        [7, 3, 5].map(|number| (json!(event_id("backend", number)), json!(device(number)), json!(1)));
    assert_eq!(found, expect, "in the order of the batch");
    for pulled in [world.pull_frames("ann", "").await, world.pull_lines("ann", "").await] {
        assert_eq!(pulled.lines(), pushed.lines);
        let header = &pulled.headers[0];
        assert!(!header.has_batch_line(), "several batches have no batch line");
        let devices: Vec<_> = header.batches.iter().map(|batch| batch.device_id.as_str()).collect();
        assert_eq!(devices, [7, 3, 5].map(device));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_an_event_without_a_counter_enters_the_log_once_by_its_id() {
    let world = World::new().await;
    push(&world, "ann", &batch(&[1, 2])).await.expect_committed(Some((1, 2)));
    let again = push(&world, "ann", &batch(&[2, 1])).await;
    again.expect_committed(None);
    assert_eq!(receipts(&again), [receipt(2, "duplicate"), receipt(1, "duplicate")]);

    let mixed = push(&world, "ann", &batch(&[2, 9, 1])).await;
    mixed.expect_committed(Some((3, 3)));
    assert_eq!(receipts(&mixed), [receipt(2, "duplicate"), receipt(1, "duplicate")]);
    let twice = push(&world, "ann", &batch(&[4, 4, 6])).await;
    twice.expect_committed(Some((4, 5)));
    assert_eq!(receipts(&twice), [receipt(4, "duplicate")], "an id that comes twice in a batch is one event");
    let ids: Vec<_> = world.whole_log("ann").await.iter().map(|event| event["eventId"].clone()).collect();
    assert_eq!(ids, [1, 2, 9, 4, 6].map(|number| json!(event_id("backend", number))));
    // The same id in another space is another event.
    push(&world, "bob", &batch(&[1])).await.expect_committed(Some((1, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_a_single_event_without_a_counter_is_stored_with_its_device() {
    let world = World::new().await;
    let pushed = batch(&[1]);
    push(&world, "ann", &pushed).await.expect_committed(Some((1, 1)));
    let pulled = world.pull_frames("ann", "").await;
    assert_eq!(pulled.lines(), pushed.lines);
    assert_eq!(pulled.headers[0].batches[0].device_id.as_str(), device(1));
    assert_eq!(receipts(&push(&world, "ann", &pushed).await), [receipt(1, "duplicate")]);
    let json = world.pull("ann", "").await.json;
    assert_eq!(
        (&json["events"][0]["deviceId"], &json["events"][0]["deviceSequence"]),
        (&json!(device(1)), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_event_without_a_counter_is_quarantined_alone() {
    let world = World::new().await;
    let bad = EventLine::new("backend", 2).without("deviceSequence").with("type", "UNKNOWN").0;
    let twice = batch(&[2, 2]).with_line(0, &bad).with_line(1, &bad);
    let answer = push(&world, "ann", &twice).await;
    answer.expect_committed(None);
    assert_eq!(receipts(&answer), [receipt(2, "quarantined"), receipt(2, "quarantined")]);

    let pushed = batch(&[1, 2, 3]).with_line(1, &bad);
    for positions in [Some((1, 2)), None] {
        let answer = push(&world, "ann", &pushed).await;
        answer.expect_committed(positions);
        let expect = receipt(2, "quarantined");
        assert!(receipts(&answer).contains(&expect), "{}", answer.json);
        assert_eq!(receipts(&answer).len(), if positions.is_some() { 1 } else { 3 });
    }
    let kept = world.quarantine("ann", &device(2)).await;
    assert_eq!((kept.len(), kept[0].sequence, &kept[0].line), (1, 1, &bad.to_string()));
    assert_eq!(world.pull_lines("ann", "").await.lines(), [&pushed.lines[0], &pushed.lines[2]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_is_told_where_its_events_went() {
    let world = World::new().await;
    let bad = EventLine::new("backend", 3).without("deviceSequence").with("type", "UNKNOWN").0;
    push(&world, "ann", &batch(&[1, 2, 3]).with_line(2, bad)).await.expect_committed(Some((1, 2)));
    push(&world, "ann", &batch(&[4])).await.expect_committed(Some((3, 3)));
    for (number, place) in [
        (1, json!({"position": 1})),
        (2, json!({"position": 2})),
        (3, json!({"quarantined": "event-unknown-type"})),
        (4, json!({"position": 3})),
    ] {
        let path = format!("/v1/spaces/ann/devices/{}/events", device(number));
        let answer = Answer::of(world.backend_request(Method::GET, &path)).await;
        let mut expect = place;
        expect["deviceSequence"] = json!(1);
        expect["eventId"] = json!(event_id("backend", number));
        assert_eq!(answer.json, json!({"items": [expect]}), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_which_only_some_events_have_a_sequence_is_refused_whole() {
    let world = World::new().await;
    let before = world.holdings().await;
    let numbered = |number| EventLine::new("backend", number).0;
    for header in [json!({"userId": "ann"}), json!({"userId": "ann", "deviceId": "phone-1"})] {
        for place in [0, 1] {
            let mixed = Batch { header: header.clone(), ..batch(&[1, 2]) };
            let mixed = mixed.with_line(place, numbered(place as u64 + 1));
            push(&world, "ann", &mixed).await.expect_refusal(400, "batch-malformed");
        }
    }
    assert_eq!(world.holdings().await, before);
    push(&world, "ann", &batch(&[1, 2])).await.expect_committed(Some((1, 2)));
}
