//! A PostgreSQL that is reached over TCP takes large rounds and gives large answers.

use futures_util::future::join_all;
use serde_json::json;
use tidelog_tests::{
    Batch, EventLine, History, Proxy, World, WorldOptions, database_address, everything_is_acknowledged,
};

const DEVICES: usize = 8;
const BATCHES: u64 = 3;
const BATCH_EVENTS: u64 = 10;
/// Characters of an event's text, which nothing compresses below three quarters.
const TEXT: usize = 60_000;

/// The device's batch with that number: several hundred KB, as a frame too.
fn large(device: &str, number: u64) -> Batch {
    let (first, last) = (number * BATCH_EVENTS + 1, (number + 1) * BATCH_EVENTS);
    let mut random = fastrand::Rng::with_seed(first);
    let mut batch = Batch::new(device, first, last);
    for (line, sequence) in batch.lines.iter_mut().zip(first..) {
        let name: String = (0..TEXT).map(|_| random.alphanumeric()).collect();
        let created = EventLine::new(device, sequence).with("type", "WORKOUT_CREATED");
        *line = created.with("payload", json!({"name": name})).0.to_string();
    }
    batch
}

async fn push_all(world: &World, user: &str, device: &str) {
    for number in 0..BATCHES {
        let batch = large(device, number);
        assert!(batch.frame().len() > 300_000, "{}", batch.frame().len());
        world.push_until_committed(user, &batch).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_over_tcp_takes_large_rounds() {
    let address = Proxy::start(database_address().await).await;
    let world = WorldOptions::default().projectors(1).database_through(&address).start().await;
    let devices: Vec<String> = (0..DEVICES).map(|number| format!("phone-{number}")).collect();
    join_all(devices.iter().map(|device| push_all(&world, "ann", device))).await;

    assert!(address.connections() > 0, "the log is reached over TCP");
    everything_is_acknowledged(world.broker.client(), &world.broker.config().push_stream(), "ingest").await;
    let pushed = devices.into_iter().map(|device| (device, BATCHES * BATCH_EVENTS));
    History::of(pushed).assert_is_log_of(&world, "ann").await;
    world.assert_read_model_is_right("ann").await;
}
