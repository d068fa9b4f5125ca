//! All that JetStream stored is lost between a push's 202 and its commit.

use tidelog_tests::{Batch, History, PrivateServers, World, WorldOptions, eventually};

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
    eventually("the gateway alone sets the streams up again", async || {
        (world.push("bob", &Batch::new("phone-2", 1, 1)).await.status == 202).then_some(())
    })
    .await;
    let _ingest = world.start_ingest();
    world.push_until_committed("bob", &Batch::new("phone-2", 2, 2)).await.expect(200);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_consumer_and_a_deleted_stream_are_made_again_by_a_running_ingest() {
    let world = World::new().await;
    let jetstream = async_nats::jetstream::new(world.broker.client().clone());
    let push = world.broker.config().push_stream();
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect(200);

    let stream = jetstream.get_stream_no_info(&push).await.expect("PUSH");
    stream.delete_consumer("ingest").await.expect("the consumer is gone");
    world.push_until_committed("ann", &Batch::new("phone-1", 4, 6)).await.expect(200);

    jetstream.delete_stream(&push).await.expect("PUSH is gone");
    world.push_until_committed("ann", &Batch::new("phone-1", 7, 9)).await.expect(200);
    History::of([("phone-1", 9)]).assert_is_log_of(&world, "ann").await;
}
