//! PUSH with no room left: committed messages make way, uncommitted ones do not.

use futures_util::future::join_all;
use serde_json::json;
use tidelog_tests::{Batch, EventLine, History, World, WorldOptions, eventually};

const PUSH_MAX_BYTES: u64 = 256 << 10;
/// Of one event; random, so that a frame is hardly smaller.
const NAME_BYTES: usize = 20 << 10;

fn large(device: &str, sequence: u64) -> Batch {
    let mut random = fastrand::Rng::with_seed(sequence);
    let name: String = (0..NAME_BYTES).map(|_| random.alphanumeric()).collect();
    let line = EventLine::new(device, sequence)
        .with("type", "WORKOUT_CREATED")
        .with("payload", json!({"name": name}));
    Batch::new(device, sequence, sequence).with_line(0, line.0)
}

async fn stored_bytes(world: &World) -> u64 {
    world.broker.push_fill().await.expect("PUSH can be looked at").bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn push_full_of_committed_messages_refuses_nothing() {
    let world = WorldOptions::default()
        .set("broker.push_max_bytes", PUSH_MAX_BYTES)
        .set("ingest.trim_interval_ms", 600_000)
        .set("gateway.commit_wait_ms", 60_000)
        .start()
        .await;
    let devices = ["phone-1", "phone-2", "watch-1"];
    let pushed: Vec<usize> = join_all(devices.iter().map(async |device| {
        let mut bytes = 0;
        for sequence in 1..=60 {
            let batch = large(device, sequence);
            bytes += batch.frame().len();
            world.push("ann", &batch).await.expect(200);
        }
        bytes
    }))
    .await;
    assert!(pushed.iter().sum::<usize>() as u64 > 8 * PUSH_MAX_BYTES, "far more than PUSH can hold");
    assert!(stored_bytes(&world).await <= PUSH_MAX_BYTES);
    History::of(devices.map(|device| (device, 60))).assert_is_log_of(&world, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn above_its_threshold_push_is_trimmed_before_anyone_finds_it_full() {
    let world = WorldOptions::default()
        .set("broker.push_max_bytes", PUSH_MAX_BYTES)
        .set("broker.push_trim_percent", 40)
        .set("ingest.trim_interval_ms", 20)
        .start()
        .await;
    for sequence in 1..=8 {
        world.push_until_committed("ann", &large("phone-1", sequence)).await.expect(200);
    }
    // 20 points below the threshold, and one message for the rounding.
    let most = PUSH_MAX_BYTES * 20 / 100 + 2 * NAME_BYTES as u64;
    eventually("PUSH is trimmed", async || (stored_bytes(&world).await <= most).then_some(())).await;
    assert!(stored_bytes(&world).await > 0, "the window in which a restored database heals is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_10_push_full_of_uncommitted_messages_refuses_with_retry_after() {
    let world = WorldOptions::default()
        .ingests(0)
        .set("broker.push_max_bytes", PUSH_MAX_BYTES)
        .set("gateway.commit_wait_ms", 20)
        .start()
        .await;
    let mut taken = 0;
    let refused = loop {
        let answer = world.push("ann", &large("phone-1", taken + 1)).await;
        if answer.status != 202 {
            break answer;
        }
        assert_eq!(answer.json["committed"], false);
        taken += 1;
    };
    refused.expect_refusal(503, "overloaded");
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(taken >= 8, "PUSH had room for more than {taken} messages");

    let _ingest = world.start_ingest();
    for sequence in taken + 1..=taken + 20 {
        world.push_until_committed("ann", &large("phone-1", sequence)).await.expect(200);
    }
    History::of([("phone-1", taken + 20)]).assert_is_log_of(&world, "ann").await;
}
