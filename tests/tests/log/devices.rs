//! What the server has of a device's own sequences.

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_tests::{Answer, Batch, EventLine, World, WorldOptions, event_id};

async fn answer(world: &World, user: &str, device_and_query: &str) -> Answer {
    let (device, query) = device_and_query.split_once('?').unwrap_or((device_and_query, ""));
    let path = format!("/v1/spaces/me/devices/{device}/events?{query}");
    Answer::of(world.request(Method::GET, &path, user)).await
}

async fn items(world: &World, user: &str, device_and_query: &str) -> Value {
    answer(world, user, device_and_query).await.expect(200).json["items"].clone()
}

fn at(device: &str, sequence: u64, position: u64) -> Value {
    json!({"deviceSequence": sequence, "eventId": event_id(device, sequence), "position": position})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_told_where_each_of_its_events_went() {
    let world = World::new().await;
    let bad = EventLine::new("phone-1", 2).with("type", "UNKNOWN").0;
    world.push("ann", &Batch::new("phone-1", 1, 3).with_line(1, bad)).await.expect_committed(Some((1, 2)));
    world.push("ann", &Batch::new("watch-1", 1, 2)).await.expect_committed(Some((3, 4)));
    world.push("ann", &Batch::new("phone-1", 2, 5).without_after()).await.expect_committed(Some((5, 6)));

    let quarantined =
        json!({"deviceSequence": 2, "eventId": event_id("phone-1", 2), "quarantined": "event-unknown-type"});
    let phone =
        [at("phone-1", 1, 1), quarantined, at("phone-1", 3, 2), at("phone-1", 4, 5), at("phone-1", 5, 6)];
    let check = async |query: &str, expect: &[Value]| {
        assert_eq!(items(&world, "ann", &format!("phone-1{query}")).await, json!(expect), "{query}");
    };
    check("", &phone).await;
    check("?from=2&to=4", &phone[1..4]).await;
    check("?from=4", &phone[3..]).await;
    check("?to=1", &phone[..1]).await;
    check("?from=5&to=5", &phone[4..]).await;
    check("?from=6", &[]).await;
    assert_eq!(items(&world, "ann", "watch-1").await, json!([at("watch-1", 1, 3), at("watch-1", 2, 4)]));
    assert_eq!(items(&world, "ann", "phone-2").await, json!([]));
    assert_eq!(items(&world, "bob", "phone-1").await, json!([]), "another space");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_may_ask_for_ten_thousand_sequences_and_gets_a_thousand_unless_it_says_more() {
    let world = World::new().await;
    for first in [1, 1001, 2001] {
        world.push("ann", &Batch::new("phone-1", first, first + 999)).await.expect(200);
    }
    let sequences = async |query: &str| {
        let items = items(&world, "ann", &format!("phone-1{query}")).await;
        let items = items.as_array().unwrap().clone();
        let numbers = items.iter().map(|item| item["deviceSequence"].as_u64().unwrap());
        assert!(items.iter().all(|item| item["position"] == item["deviceSequence"]));
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(sequences("").await, (1..=1000).collect::<Vec<_>>());
    assert_eq!(sequences("?from=500").await, (500..=1499).collect::<Vec<_>>());
    assert_eq!(sequences("?from=1&to=10000").await, (1..=3000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_told_of_its_pruned_events_as_of_the_others() {
    let world = World::new().await;
    let bad = EventLine::new("phone-1", 5).with("type", "UNKNOWN").0;
    for (first, last) in [(1, 3), (4, 6), (7, 9), (10, 12)] {
        let batch = Batch::new("phone-1", first, last);
        let batch = if first == 4 { batch.with_line(1, &bad) } else { batch };
        world.push("ann", &batch).await.expect(200);
        world.push("ann", &Batch::new("watch-1", first, last)).await.expect(200);
    }
    let own = EventLine::new("backend", 1).without("deviceSequence").0;
    let body = json!({"userId": "ann", "events": [own]}).to_string();
    let request = world.backend_request(Method::POST, "/v1/spaces/ann/events");
    let pushed = Answer::of(request.header("Content-Type", "application/json").body(body)).await;
    pushed.expect_committed(Some((24, 24)));
    let queries = [
        "phone-1".to_owned(),
        "phone-1?from=2&to=4".to_owned(),
        "phone-1?from=3&to=11".to_owned(),
        "watch-1?from=7".to_owned(),
        "phone-2".to_owned(),
        format!("event:{}", event_id("backend", 1)),
        format!("event:{}", event_id("backend", 2)),
    ];
    let told = async || {
        let mut told = Vec::new();
        for query in &queries {
            told.push(items(&world, "ann", query).await);
        }
        told
    };
    let before = told().await;
    let lengths = before.iter().map(|items| items.as_array().unwrap().len());
    assert_eq!(lengths.collect::<Vec<_>>(), [12, 3, 9, 6, 0, 1, 0]);
    world.merge_segments("ann", 1, 11).await;
    assert_eq!(told().await, before, "merged");
    for through in [11, 17, 24] {
        world.prune("ann", through, 1).await;
        assert_eq!(told().await, before, "pruned through {through}");
    }
    world.push("ann", &Batch::new("phone-1", 13, 13)).await.expect_committed(Some((25, 25)));
    let last = items(&world, "ann", "phone-1?from=12").await;
    assert_eq!(last, json!([at("phone-1", 12, 20), at("phone-1", 13, 25)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_away_is_asked_only_for_what_was_pruned_and_the_caller_may_come_again() {
    let options = WorldOptions::default().set("archive.retry_for_ms", 0);
    let world = options.start().await;
    for (first, last) in [(1, 3), (4, 6)] {
        world.push("ann", &Batch::new("phone-1", first, last)).await.expect(200);
    }
    world.prune("ann", 3, 1).await;
    let (pruned, aside) = (world.archive_folder(), world.archive_folder().with_extension("aside"));
    std::fs::rename(&pruned, &aside).unwrap();
    // Something that is no folder cannot be read, and is not merely empty.
    std::fs::write(&pruned, "not a folder").unwrap();
    let refused = answer(&world, "ann", "phone-1").await;
    refused.expect_refusal(503, "overloaded");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(
        items(&world, "ann", "phone-1?from=4").await,
        json!([at("phone-1", 4, 4), at("phone-1", 5, 5), at("phone-1", 6, 6)])
    );
    assert_eq!(items(&world, "ann", "phone-2").await, json!([]));
    std::fs::remove_file(&pruned).unwrap();
    std::fs::rename(&aside, &pruned).unwrap();
    assert_eq!(items(&world, "ann", "phone-1").await.as_array().unwrap().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_archive_is_not_taken_for_one_that_has_nothing() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    world.prune("ann", 3, 1).await;
    std::fs::remove_dir_all(world.archive_folder()).unwrap();
    answer(&world, "ann", "phone-1").await.expect_refusal(500, "internal");
}
