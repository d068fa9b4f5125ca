//! More pushes and answers than there is room for.

use tidelog_tests::{Batch, WorldOptions, eventually, token};

use super::line::{ask, connect};

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_finds_no_room_is_refused_before_its_body_comes() {
    let world = WorldOptions::default().set("gateway.in_flight_pushes", 1).start().await;
    let head = format!(
        "POST /v1/spaces/me/events HTTP/1.1\r\nHost: tidelog\r\nContent-Type: application/x-ndjson\r\n\
         Authorization: Bearer {}\r\nContent-Length: 1000000\r\n\r\n",
        token("ann")
    );
    let batch = Batch::new("phone-1", 1, 1);
    // Two pushes whose bodies do not come: one takes the only place, and the other learns that there is none.
    let (mut one, mut other) = (connect(world.address).await, connect(world.address).await);
    let refused = tokio::select! {
        refused = ask(&mut one, &head, "overloaded\"") => refused,
        refused = ask(&mut other, &head, "overloaded\"") => refused,
    };
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1\r\n"), "{refused}");
    world.push("bob", &batch).await.expect_refusal(503, "overloaded");
    drop((one, other));
    eventually("there is room again", async || (world.push("bob", &batch).await.status == 200).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_push_that_sends_its_body_all_the_same_reads_its_refusal_and_goes_on() {
    let world = WorldOptions::default().set("gateway.in_flight_bytes", 0).start().await;
    let large = vec![b' '; 3_000_000];
    for _ in 0..3 {
        let refused = world.push_body("ann", large.clone(), None).await;
        refused.expect_refusal(503, "overloaded");
        assert_eq!(refused.headers["retry-after"], "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_finds_no_room_is_refused_and_small_ones_are_not() {
    let world = WorldOptions::default().set("gateway.answer_bytes", 65_536).start().await;
    world.pull("ann", "after=0").await.expect(200);
    for number in 0..40 {
        let batch = Batch::new(&format!("phone-{number}"), 1, 50);
        world.push("ann", &batch).await.expect(200);
    }
    world.pull("ann", "after=0&limit=2000").await.expect_refusal(503, "overloaded");
    for _ in 0..20 {
        let page = world.pull("ann", "after=0&limit=50").await;
        page.expect(200);
        assert_eq!(page.json["events"].as_array().unwrap().len(), 50);
    }
}
