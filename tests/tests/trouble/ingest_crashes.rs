//! Ingests that are killed and stopped at any moment, and started again.

use futures_util::future::{join, join_all};
use tidelog_tests::{Batch, History, PushMessage, Replica, World, WorldOptions, eventually};

use super::load::Load;

async fn crash_now_and_then(world: &World, load: &Load, mut ingests: Vec<Replica>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    for percent in (5..=95).step_by(5) {
        load.reaches(percent).await;
        let gone = ingests.swap_remove(random.usize(..ingests.len()));
        if random.bool() {
            gone.kill();
        } else {
            gone.stop().await;
        }
        ingests.push(world.start_ingest());
    }
    load.reaches(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_ingest_killed_and_stopped_again_and_again_loses_and_doubles_nothing() {
    let world = crashing_world().await;
    let load = Load::new(4, 4, 20, 5);
    let ingests = vec![world.start_ingest()];
    join(load.run(&world), crash_now_and_then(&world, &load, ingests, 7)).await;
    load.assert_committed_once(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_ingests_killed_or_stopped_again_and_again_loses_and_doubles_nothing() {
    let world = crashing_world().await;
    let load = Load::new(2, 8, 20, 5);
    let ingests = (0..3).map(|_| world.start_ingest()).collect();
    join(load.run(&world), crash_now_and_then(&world, &load, ingests, 8)).await;
    load.assert_committed_once(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ingest_held_when_it_was_killed_is_committed_by_the_next_one() {
    let world = crashing_world().await;
    let devices: Vec<String> = (0..20).map(|device| format!("phone-{device}")).collect();
    join_all(devices.iter().map(async |device| {
        world.push("ann", &Batch::new(device, 1, 5)).await.expect(202);
    }))
    .await;
    let mut lock = world.pool.begin().await.expect("a transaction");
    sqlx::raw_sql("LOCK TABLE segments IN EXCLUSIVE MODE").execute(&mut *lock).await.expect("the lock");
    let ingest = world.start_ingest();
    world.waits_for_locks(1).await;
    ingest.kill();
    lock.rollback().await.expect("the lock is free");

    let _next = world.start_ingest();
    let history = History::of(devices.into_iter().map(|device| (device, 5)));
    eventually("all of it is committed, without another push", async || {
        (world.head("ann").await as u64 == history.events()).then_some(())
    })
    .await;
    history.assert_is_log_of(&world, "ann").await;
}

/// What a killed ingest held comes again soon.
async fn crashing_world() -> World {
    WorldOptions::default()
        .ingests(0)
        .set("broker.ack_wait_seconds", 3)
        .set("database.statement_timeout_ms", 1000)
        .set("gateway.commit_wait_ms", 300)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopping_ingest_holds_is_handed_on_without_waiting_for_the_broker_to_miss_it() {
    let options = WorldOptions::default().ingests(0).set("ingest.gap_wait_ms", 500_000);
    let world = options.set("broker.ack_wait_seconds", 600).start().await;
    let first = world.start_ingest();
    PushMessage::new("ann", "phone-1", 2, 2).publish(&world).await;
    // What comes behind is settled, so the early batch was taken and is held.
    world.push_until_committed("bob", &Batch::new("phone-1", 1, 1)).await.expect(200);
    first.stop().await;
    let _second = world.start_ingest();
    world.push_until_committed("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    eventually("the early batch is taken", async || (world.head("ann").await == 2).then_some(())).await;
}
