//! Several projectors on the same spaces, and projectors that come and go: each event is folded once.

use futures_util::future::{join, join_all};
use tidelog_tests::{PrivateServers, Replica, World, WorldOptions, eventually};

use super::workouts::Workouts;

const DEADLOCK: &str = "deadlock detected";

#[tokio::test(flavor = "multi_thread")]
async fn projectors_and_ingests_that_share_a_few_spaces_fold_everything_once_and_never_deadlock() {
    let servers = PrivateServers::start().await;
    let world = WorldOptions::default()
        .on(&servers)
        .projectors(2)
        .ingests(3)
        .set("projector.sweep_interval_ms", 100)
        .set("ingest.gap_wait_ms", 500)
        .start()
        .await;
    let workouts = Workouts::new(6, 7, 25, 2);
    workouts.push_in_disorder(&world, 5).await;
    workouts.assert_folded(&world).await;
    assert!(!servers.postgres_log().contains(DEADLOCK), "{}", servers.postgres_log());
    deadlock(&world).await;
    eventually("a deadlock would have been seen", async || {
        servers.postgres_log().contains(DEADLOCK).then_some(())
    })
    .await;
}

/// Two transactions that lock the same two rows in opposite orders: one of them fails.
async fn deadlock(world: &World) {
    const LOCK: &str = "SELECT FROM projections WHERE space_id = $1 FOR UPDATE";
    let spaces = ["user-0", "user-1"];
    let mut transactions = Vec::new();
    for space in spaces {
        let mut transaction = world.pool.begin().await.unwrap();
        sqlx::query(LOCK).bind(space).execute(&mut *transaction).await.unwrap();
        transactions.push(transaction);
    }
    let crossed = transactions.into_iter().zip(spaces.into_iter().rev());
    let ended = join_all(crossed.map(async |(mut transaction, space)| {
        sqlx::query(LOCK).bind(space).execute(&mut *transaction).await.map(|_| ())
    }))
    .await;
    assert_eq!(ended.iter().filter(|ended| ended.is_err()).count(), 1, "{ended:?}");
}

/// Ends a projector at every twentieth of the load, and starts another.
async fn come_and_go(world: &World, workouts: &Workouts, mut projectors: Vec<Replica>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    for percent in (5..=95).step_by(5) {
        workouts.reaches(percent).await;
        let gone = projectors.swap_remove(random.usize(..projectors.len()));
        if random.u8(..3) > 0 {
            gone.kill();
        } else {
            gone.stop().await;
        }
        projectors.push(world.start_projector());
    }
    workouts.reaches(100).await;
    workouts.assert_folded(world).await;
}

async fn world() -> World {
    WorldOptions::default().ingests(2).set("projector.sweep_interval_ms", 200).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_projector_killed_and_stopped_again_and_again_folds_each_event_once() {
    let world = world().await;
    let workouts = Workouts::new(3, 4, 20, 5);
    let projectors = vec![world.start_projector()];
    join(workouts.push(&world), come_and_go(&world, &workouts, projectors, 11)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_projectors_killed_or_stopped_again_and_again_folds_each_event_once() {
    let world = world().await;
    let workouts = Workouts::new(1, 8, 20, 5);
    let projectors = (0..3).map(|_| world.start_projector()).collect();
    join(workouts.push(&world), come_and_go(&world, &workouts, projectors, 12)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_projector_stops_in_good_order_another_goes_on() {
    let world = world().await;
    let workouts = Workouts::new(2, 4, 20, 5);
    let (first, _second) = (world.start_projector(), world.start_projector());
    let stopping = async {
        workouts.reaches(30).await;
        first.stop().await;
    };
    join(workouts.push(&world), stopping).await;
    workouts.assert_folded(&world).await;
}
