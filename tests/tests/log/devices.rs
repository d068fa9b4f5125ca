//! What the server has of a device's own sequences.

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_tests::{Answer, Batch, EventLine, World, event_id};

async fn items(world: &World, user: &str, device_and_query: &str) -> Value {
    let (device, query) = device_and_query.split_once('?').unwrap_or((device_and_query, ""));
    let path = format!("/v1/spaces/me/devices/{device}/events?{query}");
    let answer = Answer::of(world.request(Method::GET, &path, user)).await;
    answer.expect(200);
    answer.json["items"].clone()
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
