//! The epoch of every log rotates when PostgreSQL is another one than before, and only then.

use serde_json::Value;
use tidelog_tests::{Batch, World, WorldOptions};

const SPACES: [&str; 2] = ["ann", "bob"];

/// A world with two logs and no ingest any more.
async fn world(synchronous_failover: bool) -> World {
    let options = WorldOptions::default().ingests(0);
    let world = options.set("database.synchronous_failover", synchronous_failover).start().await;
    let ingest = world.start_ingest();
    for user in SPACES {
        world.push_until_committed(user, &Batch::new("phone-1", 1, 2)).await.expect(200);
    }
    ingest.stop().await;
    world
}

async fn epochs(world: &World) -> [Value; 2] {
    let [ann, bob] = SPACES.map(async |user| world.pull(user, "after=0").await.json["epoch"].clone());
    [ann.await, bob.await]
}

/// The server that the table names from here on is another one than this.
async fn pretend(world: &World, change: &'static str) {
    let changed = sqlx::query(change).execute(&world.pool).await.unwrap();
    assert_eq!(changed.rows_affected(), 1, "an ingest has recorded the server");
}

/// Starts an ingest and pushes, so that it has looked at the server; returns the epochs then.
async fn epochs_after_start(world: &World) -> [Value; 2] {
    let ingest = world.start_ingest();
    for user in SPACES {
        let answer = world.push_until_committed(user, &Batch::new("phone-1", 3, 4)).await;
        answer.expect(200);
        assert_eq!(answer.json["head"], 4, "the log goes on");
    }
    ingest.stop().await;
    epochs(world).await
}

const ANOTHER_SERVER: &str = "UPDATE incarnation SET system_identifier = system_identifier - 1";
const EARLIER_TIMELINE: &str = "UPDATE incarnation SET timeline = timeline - 1";

#[tokio::test(flavor = "multi_thread")]
async fn the_epochs_stay_while_the_server_is_the_same() {
    let world = world(false).await;
    let before = epochs(&world).await;
    assert!(before.iter().all(Value::is_string) && before[0] != before[1], "{before:?}");
    assert_eq!(epochs_after_start(&world).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_epoch_rotates_when_the_server_is_another() {
    for synchronous_failover in [false, true] {
        let world = world(synchronous_failover).await;
        let before = epochs(&world).await;
        pretend(&world, ANOTHER_SERVER).await;
        let after = epochs_after_start(&world).await;
        assert!(after[0] != before[0] && after[1] != before[1], "{before:?} {after:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_timeline_rotates_epochs_unless_failovers_are_synchronous() {
    for synchronous_failover in [false, true] {
        let world = world(synchronous_failover).await;
        let before = epochs(&world).await;
        pretend(&world, EARLIER_TIMELINE).await;
        let after = epochs_after_start(&world).await;
        assert_eq!(after[0] == before[0], synchronous_failover);
        assert_eq!(after[1] == before[1], synchronous_failover);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_ingests_that_see_another_server_at_once_rotate_once() {
    let world = world(false).await;
    sqlx::raw_sql(
        "CREATE TABLE rotations (at timestamptz DEFAULT now());
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO rotations DEFAULT VALUES; RETURN NULL; END $$;
         CREATE TRIGGER note AFTER UPDATE OF epoch ON spaces FOR EACH STATEMENT EXECUTE FUNCTION note()",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    pretend(&world, ANOTHER_SERVER).await;
    let mut lock = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM incarnation FOR UPDATE").execute(&mut *lock).await.unwrap();
    let ingests = [world.start_ingest(), world.start_ingest(), world.start_ingest()];
    world.waits_for_locks(3).await;
    lock.rollback().await.unwrap();
    world.push_until_committed("ann", &Batch::new("phone-1", 3, 3)).await.expect(200);
    for ingest in ingests {
        // A stopping ingest has looked at the server before.
        ingest.stop().await;
    }
    let rotations = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM rotations");
    assert_eq!(rotations.fetch_one(&world.pool).await.unwrap(), 1);
}
