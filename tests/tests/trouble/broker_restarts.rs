//! NATS goes away under load and comes back.

use futures_util::future::join;
use tidelog_tests::{PrivateServers, WorldOptions};

use super::load::Load;

#[tokio::test(flavor = "multi_thread")]
async fn nats_killed_and_stopped_under_load_loses_and_doubles_nothing() {
    let mut servers = PrivateServers::start().await;
    let world = WorldOptions::default().on(&servers).ingests(2).start().await;
    let load = Load::new(4, 3, 30, 5);
    let trouble = async {
        load.reaches(20).await;
        servers.nats.kill().expect("NATS is killed");
        load.meets_trouble().await;
        servers.nats.restart().await.expect("NATS comes back");
        load.reaches(60).await;
        servers.nats.stop().await.expect("NATS stops");
        load.meets_trouble().await;
        servers.nats.restart().await.expect("NATS comes back");
    };
    join(load.run(&world), trouble).await;
    load.assert_committed_once(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_servers_killed_at_once_under_load_lose_and_double_nothing() {
    let mut servers = PrivateServers::start().await;
    let world = WorldOptions::default().on(&servers).ingests(2).start().await;
    let load = Load::new(4, 3, 30, 5);
    let trouble = async {
        load.reaches(30).await;
        servers.nats.kill().expect("NATS is killed");
        servers.postgres.kill().expect("PostgreSQL is killed");
        load.meets_trouble().await;
        let (nats, postgres) = join(servers.nats.restart(), servers.postgres.restart()).await;
        nats.expect("NATS comes back");
        postgres.expect("PostgreSQL comes back");
    };
    join(load.run(&world), trouble).await;
    load.assert_committed_once(&world).await;
}
