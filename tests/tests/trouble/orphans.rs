//! Batches whose predecessors never come, by the thousand.

use futures_util::{StreamExt, stream};
use serde_json::Value;
use tidelog_tests::{Batch, History, PushMessage, World, WorldOptions, eventually, next_message, subscribe};

const DELAYED_MAX: usize = 1000;

/// One ingest that may delay a thousand batches, each for far longer than the test takes.
async fn world() -> World {
    WorldOptions::default()
        .set("ingest.gap_wait_ms", 600_000)
        .set("ingest.max_replicas", 1)
        .set("broker.max_ack_pending", 10 * DELAYED_MAX)
        .start()
        .await
}

/// Publishes orphans of as many devices of as many users as there are numbers, all at once.
async fn publish_orphans(world: &World, numbers: impl Iterator<Item = usize>, reply_to: &str) {
    let orphans = numbers.map(|number| {
        let message = PushMessage::new(&format!("orphan-{}", number % 100), &format!("phone-{number}"), 2, 3);
        message.with("replyTo", reply_to).with("pushId", number)
    });
    // A broker connection of ours has at most 1024 publishes in flight.
    stream::iter(orphans).for_each_concurrent(500, async |orphan| orphan.publish(world).await).await;
}

/// Orphans that ingest holds: handed out and not acknowledged.
async fn held(world: &World) -> Option<usize> {
    let jetstream = async_nats::jetstream::new(world.broker.client().clone());
    let stream = jetstream.get_stream(world.broker.config().push_stream()).await.ok()?;
    let consumer = stream.consumer_info("ingest").await.ok()?;
    (consumer.num_pending == 0).then_some(consumer.num_ack_pending)
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_by_the_thousand_delay_nobody_else() {
    let world = world().await;
    publish_orphans(&world, 0..DELAYED_MAX - 1, "nobody").await;
    eventually("ingest holds the orphans", async || (held(&world).await? == DELAYED_MAX - 1).then_some(()))
        .await;
    // In spaces of their own, and in the orphans' spaces.
    for user in ["ann", "bob", "orphan-1"] {
        for first in (1..=50).step_by(5) {
            let answer = world.push(user, &Batch::new("watch-1", first, first + 4)).await;
            answer.expect_committed(Some((first, first + 4)));
        }
        History::of([("watch-1", 50)]).assert_is_log_of(&world, user).await;
    }
    // A device that lacks nothing but patience still finds room to wait.
    PushMessage::new("carl", "phone-1", 2, 2).publish(&world).await;
    world.push("carl", &Batch::new("phone-1", 1, 1)).await.expect_committed(Some((1, 1)));
    eventually("the early batch is taken", async || (world.head("carl").await == 2).then_some(())).await;
    eventually("the orphans are waiting still", async || {
        (held(&world).await? == DELAYED_MAX - 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_10_orphans_beyond_the_limit_are_refused_at_once() {
    let world = world().await;
    let reply_to = format!("{}.orphans", world.broker.config().subject_prefix);
    let mut replies = subscribe(&world.broker, reply_to.clone()).await;
    let all = 3 * DELAYED_MAX;
    publish_orphans(&world, 0..all, &reply_to).await;
    let mut refused = Vec::new();
    while refused.len() < all - DELAYED_MAX {
        let reply = next_message("a receipt", &mut replies).await;
        let receipts: Vec<Value> = serde_json::from_slice(&reply.payload).unwrap();
        for receipt in receipts {
            assert_eq!(receipt["outcome"]["refused"]["code"], "sequence-gap");
            assert_eq!(receipt["outcome"]["refused"]["expected"], 1);
            refused.push(receipt["pushId"].as_u64().unwrap());
        }
    }
    eventually("the others wait", async || (held(&world).await? == DELAYED_MAX).then_some(())).await;

    world.push("ann", &Batch::new("phone-1", 1, 5)).await.expect_committed(Some((1, 5)));
    // A refused orphan is forgotten: its device sends everything again.
    let number = refused[0];
    let (user, device) = (format!("orphan-{}", number % 100), format!("phone-{number}"));
    world.push(&user, &Batch::new(&device, 1, 3)).await.expect(200);
    History::of([(device, 3)]).assert_is_log_of(&world, &user).await;
}
