//! A replica of ingest or of the projector that is stopped in good order leaves nothing behind: what it had in hand is done,
//! or another one has it at once. In these tests what a replica kept would come again after ten minutes.

use futures_util::future::{join, join_all};
use tidelog_tests::{
    Batch, History, PrivateServers, PushMessage, Replica, World, WorldOptions, eventually,
    everything_is_acknowledged,
};

const NEVER_SECONDS: u64 = 600;

fn options<'a>() -> WorldOptions<'a> {
    WorldOptions::default().set("broker.ack_wait_seconds", NEVER_SECONDS)
}

/// Pushes that many batches one after the other, each of which must be committed when it is answered.
async fn push(world: &World, device: &str, batches: u64) {
    for batch in 0..batches {
        let answer = world.push("ann", &Batch::new(device, batch * 2 + 1, batch * 2 + 2)).await;
        answer.expect(200);
        assert_eq!(answer.json["committed"], true);
    }
}

/// Stops one replica after the other, each when another one has begun and so many more events are in the log.
async fn come_and_go(
    world: &World,
    times: i64,
    mut replica: Replica,
    start: impl Fn() -> Replica,
) -> Replica {
    for time in 1..=times {
        let what = format!("the load goes on, time {time}");
        eventually(&what, async || (world.head("ann").await >= time * 60).then_some(())).await;
        let next = start();
        replica.stop().await;
        replica = next;
    }
    replica
}

async fn all_is_acknowledged(world: &World, stream: &str, consumer: &str) {
    everything_is_acknowledged(world.broker.client(), stream, consumer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_that_stops_under_load_leaves_no_batch_waiting() {
    let world = options().ingests(1).set("gateway.commit_wait_ms", 20_000).start().await;
    let devices: Vec<String> = (0..8).map(|device| format!("phone-{device}")).collect();
    let load = join_all(devices.iter().map(|device| push(&world, device, 40)));
    let trouble = come_and_go(&world, 8, world.start_ingest(), || world.start_ingest());
    let (_, _last) = join(load, trouble).await;
    all_is_acknowledged(&world, &world.broker.config().push_stream(), "ingest").await;
    History::of(devices.into_iter().map(|device| (device, 80))).assert_is_log_of(&world, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_waits_for_its_predecessor_goes_to_another_ingest() {
    let world = options().ingests(0).set("ingest.gap_wait_ms", 600_000).start().await;
    let first = world.start_ingest();
    PushMessage::new("ann", "phone-1", 5, 6).publish(&world).await;
    eventually("it is handed out", async || {
        let standing = world.broker.push_standing().await.ok()?;
        (standing.consumer.in_flight == 1 && standing.consumer.pending == 0).then_some(())
    })
    .await;
    first.stop().await;
    let _second = world.start_ingest();
    PushMessage::new("ann", "phone-1", 1, 4).publish(&world).await;
    eventually("both are in the log", async || (world.head("ann").await == 6).then_some(())).await;
    all_is_acknowledged(&world, &world.broker.config().push_stream(), "ingest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_that_stops_while_the_database_is_away_gives_back_what_it_has() {
    let mut servers = PrivateServers::start().await;
    let options = options().on(&servers).ingests(0).set("gateway.commit_wait_ms", 50);
    let world = options.set("database.acquire_timeout_ms", 200).start().await;
    let first = world.start_ingest();
    world.push_until_committed("ann", &Batch::new("phone-1", 1, 2)).await.expect(200);
    servers.postgres.stop().await.unwrap();
    for batch in 1..=20 {
        PushMessage::new("ann", "phone-1", batch * 2 + 1, batch * 2 + 2).publish(&world).await;
    }
    eventually("they are handed out", async || {
        (world.broker.push_standing().await.ok()?.consumer.in_flight == 20).then_some(())
    })
    .await;
    first.stop().await;
    servers.postgres.restart().await.unwrap();
    let _second = world.start_ingest();
    eventually("all are in the log", async || {
        let head = sqlx::query_scalar("SELECT head FROM spaces WHERE space_id = 'ann'");
        (head.fetch_one(&world.pool).await.ok() == Some(42_i64)).then_some(())
    })
    .await;
    all_is_acknowledged(&world, &world.broker.config().push_stream(), "ingest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_that_stops_under_load_leaves_no_news_waiting() {
    // What was lost would be found by a sweep; there is none.
    let world = options().projectors(1).set("projector.sweep_interval_ms", 600_000).start().await;
    let load = join_all(["phone-1", "phone-2", "phone-3", "phone-4"].map(|device| push(&world, device, 50)));
    let trouble = come_and_go(&world, 5, world.start_projector(), || world.start_projector());
    let (_, _last) = join(load, trouble).await;
    all_is_acknowledged(&world, &world.broker.config().log_stream(), "projector").await;
    let folded = "SELECT applied FROM projections WHERE space_id = 'ann'";
    eventually("all of it is folded", async || {
        (sqlx::query_scalar(folded).fetch_optional(&world.pool).await.unwrap() == Some(400_i64)).then_some(())
    })
    .await;
}
