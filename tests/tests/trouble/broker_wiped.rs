//! All that JetStream stored is lost between a push's 202 and its commit.

use tidelog_tests::{Batch, History, PrivateServers, World, WorldOptions};

use super::load::Load;

async fn world(servers: &PrivateServers, ingests: usize) -> World {
    WorldOptions::default().on(servers).ingests(ingests).set("gateway.commit_wait_ms", 100).start().await
}

async fn lose_everything(servers: &mut PrivateServers) {
    servers.nats.wipe_data().expect("the data is gone");
    servers.nats.restart().await.expect("NATS comes back, empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_a_wiped_broker_before_any_ingest_saw_the_push_loses_nothing() {
    let mut servers = PrivateServers::start().await;
    let world = world(&servers, 0).await;
    let batch = Batch::new("phone-1", 1, 10);
    world.push("ann", &batch).await.expect(202);
    lose_everything(&mut servers).await;
    let _ingest = world.start_ingest();
    world.push("bob", &Batch::new("phone-2", 1, 1)).await;
    assert_eq!(world.head("ann").await, 0, "the broker alone had it");

    let repaired = world.push_until_committed("ann", &batch).await;
    repaired.expect(200);
    assert_eq!(repaired.json["head"], 10);
    History::of([("phone-1", 10)]).assert_is_log_of(&world, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_a_wiped_broker_while_the_database_is_away_loses_nothing() {
    let mut servers = PrivateServers::start().await;
    let world = world(&servers, 1).await;
    world.push_until_committed("ann", &Batch::new("phone-1", 1, 3)).await.expect(200);
    servers.postgres.stop().await.expect("PostgreSQL stops");
    let lost = Batch::new("phone-1", 4, 8);
    world.push("ann", &lost).await.expect(202);
    lose_everything(&mut servers).await;
    servers.postgres.restart().await.expect("PostgreSQL comes back");

    world.push_until_committed("ann", &lost).await.expect(200);
    world.push_until_committed("ann", &Batch::new("phone-1", 9, 9)).await.expect(200);
    History::of([("phone-1", 9)]).assert_is_log_of(&world, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_wiped_under_load_is_set_up_again_by_those_who_use_it() {
    let mut servers = PrivateServers::start().await;
    let world = world(&servers, 2).await;
    let load = Load::new(3, 3, 30, 5);
    let trouble = async {
        for percent in [20, 60] {
            load.reaches(percent).await;
            servers.nats.wipe_data().expect("the data is gone");
            load.meets_trouble().await;
            servers.nats.restart().await.expect("NATS comes back, empty");
        }
    };
    futures_util::future::join(load.run(&world), trouble).await;
    load.assert_committed_once(&world).await;
}
