//! Hints: what a lost or late one costs, and what arrives in the end.

use tidelog_tests::{Batch, History, World, WorldOptions, eventually};

/// The cursor that is noted of a device, if it has a row.
async fn noted(world: &World, device: &str) -> Option<i64> {
    let row = sqlx::query_scalar("SELECT cursor FROM devices WHERE space_id = 'ann' AND device_id = $1");
    row.bind(device).fetch_optional(&world.pool).await.expect("an answer")
}

/// Pulls until the device's cursor is noted: hints may get lost, so a device that pulls once may stay unnoticed.
async fn pull_until_noted(world: &World, device: &str, after: i64) {
    eventually(&format!("{device} has read through {after}"), async || {
        world.pull("ann", &format!("after={after}&deviceId={device}")).await.expect(200);
        (noted(world, device).await? == after).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_has_read_is_noted() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 9)).await.expect(200);
    for after in [4, 9, 2] {
        pull_until_noted(&world, "phone-1", after).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_makes_no_row() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 9)).await.expect(200);
    world.pull("ann", "after=3&deviceId=watch-1").await.expect(200);
    pull_until_noted(&world, "phone-1", 5).await;
    assert_eq!(noted(&world, "watch-1").await, None);
    world.push("ann", &Batch::new("watch-1", 1, 1)).await.expect_committed(Some((10, 10)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_beyond_the_head_is_not_noted() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect(200);
    world.push("ann", &Batch::new("watch-1", 1, 1)).await.expect(200);
    world.pull("ann", "after=100&deviceId=phone-1").await.expect(200);
    pull_until_noted(&world, "watch-1", 1).await;
    assert_eq!(noted(&world, "phone-1").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_a_push_whose_receipt_comes_too_late_is_settled_by_the_next_try() {
    let world = WorldOptions::default().ingests(0).set("gateway.commit_wait_ms", 20).start().await;
    let batch = Batch::new("phone-1", 1, 5);
    let answer = world.push("ann", &batch).await;
    answer.expect(202);
    assert_eq!(answer.json["committed"], false);
    assert!(answer.json.get("head").is_none(), "{}", answer.json);
    let _ingest = world.start_ingest();
    eventually("the batch is committed", async || (world.head("ann").await == 5).then_some(())).await;
    let again = world.push_until_committed("ann", &batch).await;
    again.expect_committed(None);
    assert!(again.receipts().iter().all(|(_, status, _)| status == "duplicate"));
    History::of([("phone-1", 5)]).assert_is_log_of(&world, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_go_to_the_gateway_that_published() {
    let world = WorldOptions::default().set("gateway.commit_wait_ms", 60_000).start().await;
    let gateways = [world.address, world.start_gateway().await, world.start_gateway().await];
    for (sequence, gateway) in (1..=9).zip(gateways.iter().cycle()) {
        let request = world.push_request(*gateway, "ann", &Batch::new("phone-1", sequence, sequence));
        tidelog_tests::Answer::of(request).await.expect_committed(Some((sequence, sequence)));
    }
}
