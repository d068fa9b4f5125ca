//! Ingests that are killed and stopped at any moment, and started again.

use futures_util::future::join;
use tidelog_tests::{Ingest, World, WorldOptions};

use super::load::Load;

async fn crash_now_and_then(world: &World, load: &Load, mut ingests: Vec<Ingest>, seed: u64) {
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
