//! Who works on a space has claimed it: another one keeps away, and whoever has lost the claim, or finds the log to be
//! another one, prunes nothing.

use std::time::Duration;

use sqlx::{Postgres, Transaction};
use tidelog_compactor::{CompactError, Compactor, Outcome};
use tidelog_tests::{Fault, Proxy, World, database_address, eventually};
use tokio::task::JoinHandle;

use super::archived::archived;
use super::proof::{assert_untouched, old, world_of, world_with};
use super::seen::Seen;
use super::standing::{compact_with, execute, horizon, id, options, prune_through};

type Compacting = JoinHandle<Result<Outcome, CompactError>>;

/// Has the compactor work on ann's space until it waits for a lock.
async fn compact_until_it_waits(world: &World, compactor: Compactor) -> Compacting {
    let mut compacting = tokio::spawn(async move { compactor.compact(&id("ann")).await });
    let ended = tokio::select! {
        () = world.waits_for_locks(1) => None,
        ended = &mut compacting => Some(ended),
    };
    assert!(ended.is_none(), "it ended before it had to wait: {ended:?}");
    compacting
}

/// Waits until the transaction of whoever has failed is gone.
async fn nobody_has_a_claim(world: &World) {
    let locks = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
                 WHERE datname = current_database() AND relation = 'compactions'::regclass";
    eventually("no claim is left", async || {
        (sqlx::query_scalar(locks).fetch_one(&world.pool).await.ok() == Some(0_i64)).then_some(())
    })
    .await;
}

/// A transaction of a hand in the database.
async fn hand(world: &World, statements: &'static str) -> Transaction<'static, Postgres> {
    let mut hand = world.pool.begin().await.unwrap();
    sqlx::raw_sql(statements).execute(&mut *hand).await.unwrap();
    hand
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_another_one_is_at_is_left_alone() {
    let world = world_with(&["ann", "bob"]).await;
    let hand = hand(&world, "SELECT FROM spaces WHERE space_id = 'ann' FOR UPDATE").await;
    let compacting = compact_until_it_waits(&world, world.compactor(|_| {})).await;
    assert_eq!(world.compactor(|_| {}).compact(&id("ann")).await.unwrap(), Outcome::Elsewhere);
    assert_eq!(world.compact().await.pruned, 1, "bob's space is free");
    // Nobody sees anything of what is not committed.
    assert_untouched(&world, &["ann"]).await;
    hand.commit().await.unwrap();
    assert!(matches!(compacting.await.unwrap(), Ok(Outcome::Done { .. })));
    assert_eq!((horizon(&world, "ann").await, archived(&world, "ann").await.1), (4, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_became_another_one_meanwhile_is_not_pruned() {
    let world = world_with(&["ann"]).await;
    let before = Seen::of(&world, "ann").await;
    let changes = [
        "UPDATE spaces SET epoch = gen_random_uuid()",
        "INSERT INTO erasures (space_id) VALUES ('ann')",
        "UPDATE segments SET last = 3 WHERE first = 1",
        "DELETE FROM snapshots",
        "DELETE FROM snapshot_parts",
    ];
    for change in changes {
        // It has planned, proven and archived when it comes to the list.
        let hand = hand(&world, "LOCK TABLE archive IN SHARE MODE").await;
        let compacting = compact_until_it_waits(&world, world.compactor(|_| {})).await;
        execute(&world, change).await;
        hand.commit().await.unwrap();
        let error = compacting.await.unwrap().unwrap_err();
        assert!(matches!(error, CompactError::Changed(_)), "{change}: {error:?}");
        nobody_has_a_claim(&world).await;
        if change.contains("erasures") {
            let erased = world.compactor(|_| {}).compact(&id("ann")).await.unwrap();
            assert_eq!(erased, Outcome::Elsewhere, "nobody touches what is erased");
            nobody_has_a_claim(&world).await;
        }
        execute(&world, "DELETE FROM erasures; UPDATE segments SET last = 4 WHERE first = 1").await;
        assert_untouched(&world, &["ann"]).await;
    }
    prune_through(&world, "ann", 4).await;
    before.assert_same_pruned_through(&world, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compactor_that_is_cut_off_in_the_middle_of_pruning_has_pruned_nothing() {
    let proxy = Proxy::start(database_address().await).await;
    let world = world_of(options().database_through(&proxy), &["ann"]).await;
    let before = Seen::of(&world, "ann").await;
    let hand = hand(&world, "SELECT FROM spaces FOR UPDATE").await;
    let compacting = compact_until_it_waits(&world, world.compactor(|_| {})).await;
    proxy.set(Fault::Cut);
    let error = compacting.await.unwrap().unwrap_err();
    assert!(matches!(error, CompactError::Database(_)), "{error:?}");
    hand.commit().await.unwrap();
    proxy.set(Fault::Pass);
    nobody_has_a_claim(&world).await;
    eventually("the gateway answers", async || {
        (world.pull("ann", "after=0").await.status == 200).then_some(())
    })
    .await;
    assert_untouched(&world, &["ann"]).await;
    assert_eq!(world.compact().await.pruned, 1);
    before.assert_same_pruned_through(&world, 4).await;
}

/// Ends the session that holds the claim.
async fn end_claim(world: &World) {
    let end = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_locks JOIN pg_stat_activity USING (pid)
               WHERE datname = current_database() AND relation = 'compactions'::regclass
                 AND mode = 'RowShareLock' AND state = 'idle in transaction'";
    let ended: i64 = sqlx::query_scalar(end).fetch_one(&world.pool).await.unwrap();
    assert_eq!(ended, 1, "somebody has the claim");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_the_claim_takes_nothing_from_who_has_it_now() {
    let proxy = Proxy::start(database_address().await).await;
    let world = world_of(options().projectors(0).ingests(0).database_through(&proxy), &[]).await;
    let _services = (world.start_ingest(), world.start_projector());
    world.push_until_committed("ann", &old()).await.expect(200);
    let before = Seen::of(&world, "ann").await;
    // One that would prune nothing comes as far as its first look, and loses its claim there.
    let looking = hand(&world, "LOCK TABLE erasures IN ACCESS EXCLUSIVE MODE").await;
    let idle = world.compactor(|deps| deps.retention.keep_events = 1_000_000);
    let delayed = compact_until_it_waits(&world, idle).await;
    end_claim(&world).await;
    proxy.set(Fault::Delay(Duration::from_secs(2)));
    looking.commit().await.unwrap();
    // Another one has written and proven a snapshot when the first goes on.
    let pool = world.pool.clone();
    let pruning = hand(&world, "SELECT FROM spaces FOR UPDATE").await;
    let active = world.compactor(|deps| {
        deps.pool = pool;
        deps.retention.events_days = 0;
    });
    let active = compact_until_it_waits(&world, active).await;
    proxy.set(Fault::Pass);
    let lost = delayed.await.unwrap();
    assert!(matches!(lost, Err(CompactError::Database(_))), "{lost:?}");
    pruning.commit().await.unwrap();
    assert!(matches!(active.await.unwrap(), Ok(Outcome::Done { .. })));
    before.assert_same_pruned_through(&world, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_work_on_a_space_since_one_has_lost_its_claim_prune_it_once() {
    let spaces = ["s-0", "s-1", "s-2", "s-3", "s-4", "s-5"];
    let world = world_with(&spaces).await;
    for space in spaces {
        let before = Seen::of(&world, space).await;
        // Who writes the first part waits for what becomes of another one's.
        let mut writing = hand(&world, "SELECT").await;
        let part = "INSERT INTO snapshot_parts VALUES ($1, 4, 0, 'thing', 'thing', 1, '')";
        sqlx::query(part).bind(space).execute(&mut *writing).await.unwrap();
        let compact = |compactor: Compactor| tokio::spawn(async move { compactor.compact(&id(space)).await });
        let first = compact(world.compactor(|_| {}));
        world.waits_for_locks(1).await;
        end_claim(&world).await;
        let second = compact(world.compactor(|_| {}));
        world.waits_for_locks(2).await;
        writing.rollback().await.unwrap();
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        assert!(first.is_err(), "{first:?}");
        // They may have been in each other's way. Then nothing is pruned, and the next one does it.
        if second.is_err() {
            nobody_has_a_claim(&world).await;
            assert_untouched(&world, &[space]).await;
            compact_with(&world.compactor(|_| {}), space).await;
        }
        before.assert_same_pruned_through(&world, 4).await;
    }
}
