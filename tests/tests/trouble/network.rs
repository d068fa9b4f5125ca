//! Every network breaks again and again: between devices and gateway, services and broker, services and database.

use std::time::Duration;

use futures_util::future::join_all;
use tidelog_tests::{
    Batch, History, Playing, Proxy, Script, World, WorldOptions, broker_address, database_address,
    everything_is_acknowledged,
};
use tokio::time::Instant;

use super::load::quarantined;

/// How long devices push while networks break.
const TROUBLE: Duration = Duration::from_secs(6);
const DEVICES: [&str; 5] = ["phone-1", "phone-2", "phone-3", "tablet-1", "watch-1"];
const BATCH_EVENTS: u64 = 5;
/// Connections that each proxy breaks at least, so that the trouble was one.
const BROKEN_MIN: u64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_to_5_connections_cut_every_second_lose_and_double_nothing() {
    survives(Script::cuts, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_to_5_any_trouble_with_the_networks_loses_and_doubles_nothing_seed_1() {
    survives(Script::mixed, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_to_5_any_trouble_with_the_networks_loses_and_doubles_nothing_seed_2() {
    survives(Script::mixed, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_to_5_any_trouble_with_the_networks_loses_and_doubles_nothing_seed_3() {
    survives(Script::mixed, 3).await;
}

/// Plays a script of its own on each network while devices push, and compares the log with what they pushed.
async fn survives(script: impl Fn(u64) -> Script, seed: u64) {
    let broker = Proxy::start(broker_address().await).await;
    let database = Proxy::start(database_address().await).await;
    let world = troubled_world(&broker, &database).await;
    let gateway = Proxy::start(world.address).await;
    let proxies = [&gateway, &broker, &database];

    let playing: Vec<_> = (10 * seed..).zip(proxies).map(|(seed, proxy)| proxy.play(script(seed))).collect();
    let until = Instant::now() + TROUBLE;
    let pushed = join_all(DEVICES.map(|device| push_until(until, &world, &gateway, device))).await;
    join_all(playing.into_iter().map(Playing::end)).await;

    let troubles = proxies.map(Proxy::broken);
    assert!(troubles.iter().all(|broken| *broken >= BROKEN_MIN), "gateway, broker, database: {troubles:?}");
    // Nothing that a broken connection held back can come any more.
    everything_is_acknowledged(world.broker.client(), &world.broker.config().push_stream(), "ingest").await;
    History::of(DEVICES.into_iter().zip(pushed)).assert_is_log_of(&world, "ann").await;
    assert_eq!(quarantined(&world).await, (0, 0));
    world.assert_read_model_is_right("ann").await;
}

/// Silence is noticed, and what was lost comes again, within the test.
async fn troubled_world(broker: &Proxy, database: &Proxy) -> World {
    WorldOptions::default()
        .ingests(2)
        .projectors(2)
        .broker_through(broker)
        .database_through(database)
        .set("broker.ping_interval_seconds", 1)
        .set("broker.ack_wait_seconds", 3)
        .set("broker.publish_timeout_ms", 1000)
        .set("database.statement_timeout_ms", 1000)
        .set("database.acquire_timeout_ms", 1000)
        .set("gateway.commit_wait_ms", 500)
        .start()
        .await
}

/// Pushes one batch after the other through the proxy, each until it is committed. Returns the last sequence.
async fn push_until(until: Instant, world: &World, gateway: &Proxy, device: &str) -> u64 {
    let mut last = 0;
    while Instant::now() < until {
        let batch = Batch::new(device, last + 1, last + BATCH_EVENTS);
        last += BATCH_EVENTS;
        world.push_until_committed_at(gateway.address(), "ann", &batch).await.expect(200);
    }
    last
}
