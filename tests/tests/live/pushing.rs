//! Pushes over a live connection.

use serde_json::json;
use tidelog_tests::{Batch, World, WorldOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_answered_by_a_receipt_and_comes_back_as_an_echo() {
    let world = World::new().await;
    let mut live = world.live("ann", "deviceId=phone-1").await;
    live.hello().await;
    live.send(Batch::new("phone-1", 1, 2).frame()).await;
    let receipt = live.notice("receipt").await;
    assert_eq!((&receipt["push"], &receipt["status"]), (&json!(1), &json!(200)), "{receipt}");
    assert_eq!(receipt["answer"]["committed"], true);
    assert_eq!(receipt["answer"]["device"]["lastSequence"], 2);
    live.say(String::from_utf8(Batch::new("phone-1", 3, 3).body()).unwrap()).await;
    assert_eq!(live.notice("receipt").await["push"], 2);
    assert_eq!(world.head("ann").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_of_a_push_see_the_event() {
    let world = World::new().await;
    let (mut one, mut other) = (world.live("ann", "").await, world.live("ann", "").await);
    one.hello().await;
    other.hello().await;
    one.send(Batch::new("phone-1", 1, 1).frame()).await;
    assert_eq!(one.event().await, other.event().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_judged_as_by_post() {
    let world = World::new().await;
    let mut live = world.live("ann", "").await;
    live.hello().await;
    let gap = Batch::new("phone-1", 5, 5).without_after();
    let malformed = "{\"batch\":{\"deviceId\":\"phone-1\"}}\nnonsense\n";
    live.say(malformed).await;
    let refused = live.notice("receipt").await;
    assert_eq!(refused["problem"]["code"], "batch-malformed");
    let request = refused["problem"]["requestId"].as_str().unwrap().to_owned();
    live.send(b"no frame".to_vec()).await;
    let refused = live.notice("receipt").await;
    assert_eq!(refused["status"], 400);
    assert_ne!(refused["problem"]["requestId"], *request, "each push is a request of its own");
    live.send(gap.frame()).await;
    let receipt = live.notice("receipt").await;
    assert_eq!((&receipt["push"], &receipt["status"]), (&json!(3), &json!(409)));
    assert_eq!(
        (&receipt["problem"]["code"], &receipt["problem"]["expected"]),
        (&json!("sequence-gap"), &json!(1))
    );
    live.send(Batch::new("phone-1", 1, 1).frame()).await;
    assert_eq!(live.notice("receipt").await["status"], 200, "the connection goes on");
    let again = Batch::new("phone-1", 1, 1);
    live.send(again.frame()).await;
    assert_eq!(live.notice("receipt").await["answer"]["receipts"][0]["status"], "duplicate");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_pushes_than_a_connection_may_have_under_way_are_refused_and_lose_nothing() {
    let world = WorldOptions::default().ingests(0).set("live.pushes", "1").start().await;
    let mut live = world.live("ann", "").await;
    live.hello().await;
    live.send(Batch::new("phone-1", 1, 1).frame()).await;
    live.send(Batch::new("phone-2", 1, 1).frame()).await;
    let receipt = live.notice("receipt").await;
    assert_eq!((&receipt["push"], &receipt["status"]), (&json!(2), &json!(503)), "{receipt}");
    let first = live.notice("receipt").await;
    assert_eq!(
        (&first["push"], &first["status"], &first["answer"]["committed"]),
        (&json!(1), &json!(202), &json!(false))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_ends_the_connection() {
    let world = WorldOptions::default().set("live.message_bytes", "4096").start().await;
    let mut live = world.live("ann", "").await;
    live.hello().await;
    live.send(vec![7; 5000]).await;
    live.closed().await;
    assert_eq!(world.head("ann").await, 0);
}
