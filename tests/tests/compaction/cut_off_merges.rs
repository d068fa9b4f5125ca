//! A merge that is cut off leaves everything as it was, and is done again.

use tidelog_tests::{World, eventually};

use super::busy::{busy_world, device_events, log_in_frames, size};

/// Ends the session that waits for a lock; returns once there is none.
async fn kill_waiting(world: &World) {
    world.waits_for_locks(1).await;
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'";
    sqlx::query(kill).execute(&world.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_is_killed_before_its_commit_leaves_everything_as_it_was() {
    let (world, _) = busy_world().await;
    let (log, before) = (log_in_frames(&world, 0).await, size(&world).await);
    let devices = [device_events(&world, "phone-1").await, device_events(&world, "watch-1").await];

    // The segments of the first merge cannot all go as long as one of them is locked.
    let mut lock = world.pool.begin().await.unwrap();
    let statement = "SELECT FROM segments WHERE space_id = 'ann' ORDER BY last LIMIT 1 OFFSET 3 FOR UPDATE";
    sqlx::query(statement).execute(&mut *lock).await.unwrap();
    let compactor = world.start_compactor();
    for _ in 0..3 {
        kill_waiting(&world).await;
        assert_eq!(log_in_frames(&world, 0).await, log);
        assert_eq!(size(&world).await, before);
    }
    world.waits_for_locks(1).await;
    let of_merged = "SELECT count(*) FROM segment_devices";
    assert_eq!(sqlx::query_scalar::<_, i64>(of_merged).fetch_one(&world.pool).await.unwrap(), 0);

    lock.rollback().await.unwrap();
    eventually("the log is merged", async || (size(&world).await.0 <= before.0 / 5).then_some(())).await;
    drop(compactor);
    assert_eq!(log_in_frames(&world, 0).await, log);
    assert_eq!([device_events(&world, "phone-1").await, device_events(&world, "watch-1").await], devices);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_compactors_merge_each_segment_once() {
    let (world, _) = busy_world().await;
    let log = log_in_frames(&world, 0).await;
    let before = size(&world).await.0 as u64;
    let swept = tokio::join!(world.compact(), world.compact(), world.compact());
    let merged = swept.0.merged + swept.1.merged + swept.2.merged;
    assert_eq!((swept.0.failed, swept.1.failed, swept.2.failed), (0, 0, 0));
    assert_eq!(merged, before - size(&world).await.0 as u64);
    assert_eq!(log_in_frames(&world, 0).await, log);
}
