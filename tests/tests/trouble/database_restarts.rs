//! PostgreSQL goes away under load and comes back.

use futures_util::future::join;
use tidelog_tests::{Batch, History, PrivateServers, WorldOptions};

use super::load::{Load, quarantined};

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_killed_and_stopped_under_load_loses_and_doubles_nothing() {
    let mut servers = PrivateServers::start().await;
    let world =
        WorldOptions::default().on(&servers).ingests(2).set("gateway.commit_wait_ms", 300).start().await;
    let load = Load::new(4, 3, 30, 5);
    let trouble = async {
        load.reaches(20).await;
        servers.postgres.kill().expect("PostgreSQL is killed");
        load.meets_trouble().await;
        servers.postgres.restart().await.expect("PostgreSQL comes back");
        load.reaches(60).await;
        servers.postgres.stop().await.expect("PostgreSQL stops");
        load.meets_trouble().await;
        servers.postgres.restart().await.expect("PostgreSQL comes back");
    };
    join(load.run(&world), trouble).await;
    load.assert_committed_once(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_outage_is_never_taken_as_poison() {
    let mut servers = PrivateServers::start().await;
    // Ingest notices the outage many times, and what it would give up does not come again in this test.
    let world = WorldOptions::default()
        .on(&servers)
        .set("gateway.commit_wait_ms", 50)
        .set("database.acquire_timeout_ms", 100)
        .set("broker.ack_wait_seconds", 600)
        .start()
        .await;
    world.push_until_committed("ann", &Batch::new("phone-0", 1, 1)).await.expect(200);
    servers.postgres.stop().await.expect("PostgreSQL stops");
    for device in 1..=20 {
        let answer = world.push("ann", &Batch::new(&format!("phone-{device}"), 1, 5)).await;
        answer.expect(202);
        assert_eq!(answer.json["committed"], false);
    }
    servers.postgres.restart().await.expect("PostgreSQL comes back");
    // What was answered 202 is in the log without anybody pushing it again.
    let history =
        History::of((0..=20).map(|device| (format!("phone-{device}"), if device == 0 { 1 } else { 5 })));
    tidelog_tests::eventually("all of it is committed", async || {
        let head = sqlx::query_scalar("SELECT head FROM spaces WHERE space_id = 'ann'");
        let head: i64 = head.fetch_one(&world.pool).await.ok()?;
        (head as u64 == history.events()).then_some(())
    })
    .await;
    history.assert_is_log_of(&world, "ann").await;
    assert_eq!(quarantined(&world).await, (0, 0));
}
