//! Servers that go away while events come and are folded, and come back.

use futures_util::future::join;
use tidelog_tests::{PrivateServers, World, WorldOptions, eventually};

use super::workouts::Workouts;

/// A world whose commits do not wait long for what is away.
async fn world(servers: &PrivateServers) -> World {
    WorldOptions::default()
        .on(servers)
        .projectors(2)
        .ingests(2)
        .set("gateway.commit_wait_ms", 300)
        .set("projector.sweep_interval_ms", 200)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_killed_and_stopped_while_events_come_leave_every_read_model_right() {
    let mut servers = PrivateServers::start().await;
    let world = world(&servers).await;
    let workouts = Workouts::new(3, 3, 30, 5);
    let trouble = async {
        workouts.reaches(20).await;
        servers.postgres.kill().unwrap();
        servers.postgres.restart().await.unwrap();
        workouts.reaches(40).await;
        servers.nats.kill().unwrap();
        servers.nats.restart().await.unwrap();
        workouts.reaches(60).await;
        servers.postgres.stop().await.unwrap();
        servers.postgres.restart().await.unwrap();
        workouts.reaches(80).await;
        servers.nats.wipe_data().unwrap();
        servers.nats.restart().await.unwrap();
    };
    join(workouts.push(&world), trouble).await;
    eventually("the database answers", async || sqlx::query("SELECT 1").execute(&world.pool).await.ok())
        .await;
    workouts.assert_folded(&world).await;
}
