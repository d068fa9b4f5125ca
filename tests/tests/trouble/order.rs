//! Batches that come in another order than their device sent them.

use futures_util::future::join;
use tidelog_tests::{Batch, History, PushMessage, World, WorldOptions, eventually};

/// Far beyond the patience of `eventually`: nothing that a test sees can come from a wait that ran out.
const FOR_EVER_MS: u64 = 600_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_ahead_of_its_predecessor_is_taken_when_that_comes() {
    let options = WorldOptions::default().set("ingest.gap_wait_ms", FOR_EVER_MS);
    let world = options.set("gateway.commit_wait_ms", 60_000).start().await;
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect_committed(Some((1, 2)));
    let late = async {
        delayed(&world, "phone-1").await;
        world.push("ann", &Batch::new("phone-1", 3, 5)).await
    };
    let early = Batch::new("phone-1", 6, 9);
    let (early, late) = join(world.push("ann", &early), late).await;
    late.expect_committed(Some((3, 5)));
    early.expect_committed(Some((6, 9)));
    History::of([("phone-1", 9)]).assert_is_log_of(&world, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_batches_in_reverse_order_are_all_taken() {
    let options = WorldOptions::default().set("ingest.gap_wait_ms", FOR_EVER_MS);
    let world = options.start().await;
    for batch in (0..10).rev() {
        let first = batch * 5 + 1;
        PushMessage::new("ann", "phone-1", first, first + 4).publish(&world).await;
    }
    eventually("all ten are in the log", async || (world.head("ann").await == 50).then_some(())).await;
    History::of([("phone-1", 50)]).assert_is_log_of(&world, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_predecessor_does_not_come_is_refused_and_told_what_must() {
    let world = WorldOptions::default().set("ingest.gap_wait_ms", 100).start().await;
    let first = world.push("ann", &Batch::new("phone-1", 5, 6)).await;
    first.expect_refusal(409, "sequence-gap");
    assert_eq!(first.json["expected"], 1);

    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    let second = world.push("ann", &Batch::new("phone-1", 5, 6)).await;
    second.expect_refusal(409, "sequence-gap");
    assert_eq!(second.json["expected"], 4);
    assert_eq!(world.head("ann").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_refused_as_a_gap_and_then_repaired_is_taken_at_once() {
    let world = WorldOptions::default().set("ingest.gap_wait_ms", 100).start().await;
    let early = Batch::new("phone-1", 4, 6);
    world.push("ann", &early).await.expect_refusal(409, "sequence-gap");
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    // The very same bytes: neither broker nor ingest may take them for a message that they have dealt with.
    world.push("ann", &early).await.expect_committed(Some((4, 6)));
    History::of([("phone-1", 6)]).assert_is_log_of(&world, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_of_one_device_holds_up_no_other_device_of_the_space() {
    let options = WorldOptions::default().set("ingest.gap_wait_ms", FOR_EVER_MS);
    let world = options.start().await;
    PushMessage::new("ann", "phone-1", 2, 2).publish(&world).await;
    delayed(&world, "phone-1").await;
    for first in 1..=5 {
        let answer = world.push("ann", &Batch::new("watch-1", first, first)).await;
        answer.expect_committed(Some((first, first)));
    }
    History::of([("watch-1", 5)]).assert_is_log_of(&world, "ann").await;
}

/// Waits until ingest has looked at a batch of the space and neither taken nor refused it: it was handed out and
/// is not acknowledged.
async fn delayed(world: &World, device: &str) {
    let jetstream = async_nats::jetstream::new(world.broker.client().clone());
    eventually(&format!("ingest holds a batch of {device}"), async || {
        let stream = jetstream.get_stream(world.broker.config().push_stream()).await.ok()?;
        let consumer = stream.consumer_info("ingest").await.ok()?;
        (consumer.num_pending == 0 && consumer.num_ack_pending == 1).then_some(())
    })
    .await;
    // One round of another device's batch later, the first look is over.
    let probe = format!("probe-of-{device}");
    world.push_until_committed(&probe, &Batch::new(&probe, 1, 1)).await.expect(200);
}
