//! One space that everybody writes to, and the others beside it.

use futures_util::future::{join, join_all};
use sqlx::{Connection, PgConnection};
use tidelog_tests::{Batch, History, World, WorldOptions, eventually};

const DEVICES: usize = 200;

/// Locks the space's row until the transaction of the returned connection ends.
async fn lock(world: &World, space: &str) -> PgConnection {
    let options = world.pool.connect_options();
    let mut connection = PgConnection::connect_with(&options).await.expect("a connection");
    let begin = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0";
    sqlx::raw_sql(begin).execute(&mut connection).await.expect("a transaction");
    let locked = sqlx::query("SELECT FROM spaces WHERE space_id = $1 FOR UPDATE").bind(space);
    locked.fetch_one(&mut connection).await.expect("the space");
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_space_with_200_devices_does_not_slow_the_others() {
    let world = WorldOptions::default().ingests(2).set("gateway.commit_wait_ms", 60_000).start().await;
    world.push("hot", &Batch::new("first", 1, 1)).await.expect_committed(Some((1, 1)));
    let lock = lock(&world, "hot").await;
    let devices: Vec<String> = (0..DEVICES).map(|device| format!("phone-{device}")).collect();
    let hot = join_all(devices.iter().map(async |device| {
        world.push("hot", &Batch::new(device, 1, 2)).await.expect(200);
    }));
    let others = async {
        handed_out(&world, DEVICES).await;
        for first in (1..=100).step_by(5) {
            for user in ["ann", "bob", "carl"] {
                let answer = world.push(user, &Batch::new("phone-1", first, first + 4)).await;
                answer.expect_committed(Some((first, first + 4)));
            }
        }
        assert_eq!(world.head("hot").await, 1, "nothing passes the lock");
        lock.close().await.expect("the lock is free");
    };
    join(hot, others).await;

    let hot = devices.into_iter().map(|device| (device, 2)).chain([("first".to_owned(), 1)]);
    History::of(hot).assert_is_log_of(&world, "hot").await;
    for user in ["ann", "bob", "carl"] {
        History::of([("phone-1", 100)]).assert_is_log_of(&world, user).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_space_and_quiet_ones_are_all_served() {
    let world = WorldOptions::default().ingests(2).start().await;
    let devices: Vec<String> = (0..DEVICES).map(|device| format!("phone-{device}")).collect();
    let hot = join_all(devices.iter().map(async |device| {
        for first in [1, 4, 7] {
            world.push_until_committed("hot", &Batch::new(device, first, first + 2)).await.expect(200);
        }
    }));
    let quiet = join_all((0..20).map(async |user| {
        let batch = Batch::new("phone-1", 1, 10);
        world.push_until_committed(&format!("quiet-{user}"), &batch).await.expect(200);
    }));
    join(hot, quiet).await;
    History::of(devices.into_iter().map(|device| (device, 9))).assert_is_log_of(&world, "hot").await;
    for user in 0..20 {
        History::of([("phone-1", 10)]).assert_is_log_of(&world, &format!("quiet-{user}")).await;
    }
}

/// Waits until ingest holds that many batches.
async fn handed_out(world: &World, batches: usize) {
    let jetstream = async_nats::jetstream::new(world.broker.client().clone());
    eventually("ingest holds the batches of the locked space", async || {
        let stream = jetstream.get_stream(world.broker.config().push_stream()).await.ok()?;
        let consumer = stream.consumer_info("ingest").await.ok()?;
        (consumer.num_ack_pending == batches).then_some(())
    })
    .await;
}
