//! Files that were cloned or restored, and servers that were.

use std::sync::Arc;

use tidelog_client::store::{Changed, Notice, StoreError};
use tidelog_client::sync::SyncFailure;
use tidelog_client::transport::Request;
use tidelog_tests::World;
use tokio::runtime::Handle;

use super::line::Meddling;
use super::phone::{Phone, assert_log_holds, created, lap};

/// Takes the log of `ann` back to what it was at that position, as a database that was restored. Positions and
/// sequences of one phone are the same here, and each event is a segment of its own.
async fn restore(world: &World, position: i64, another_epoch: bool) {
    let device: String = sqlx::query_scalar("SELECT device_id FROM devices WHERE space_id = 'ann'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    let log = world.whole_log("ann").await;
    let last = &log[usize::try_from(position).unwrap() - 1];
    assert_eq!((&last["deviceSequence"], &last["deviceId"]), (&position.into(), &device.clone().into()));
    let mut transaction = world.pool.begin().await.unwrap();
    for statement in [
        "DELETE FROM segments WHERE space_id = 'ann' AND first > $1",
        "UPDATE spaces SET head = $1 WHERE space_id = 'ann'",
        "UPDATE devices SET last_sequence = $1 WHERE space_id = 'ann'",
    ] {
        let changed = sqlx::query(statement).bind(position).execute(&mut *transaction).await.unwrap();
        assert!(changed.rows_affected() > 0, "{statement}");
    }
    sqlx::query("UPDATE devices SET last_event_id = $1::uuid WHERE space_id = 'ann'")
        .bind(last["eventId"].as_str().unwrap())
        .execute(&mut *transaction)
        .await
        .unwrap();
    if another_epoch {
        sqlx::query("UPDATE spaces SET epoch = gen_random_uuid() WHERE space_id = 'ann'")
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_restored_is_given_again_what_it_has_lost() {
    let world = World::new().await;
    let (phone, reader) = (Phone::new(&world, "ann").await, Phone::new(&world, "ann").await);
    let mut recorded = Vec::new();
    for event in [created("w-1", "Run"), lap("w-1"), created("w-2", "Swim")] {
        recorded.push(phone.record(event).await);
        phone.synced().await;
    }
    reader.synced().await;
    assert_eq!(reader.workouts().await.len(), 2);
    restore(&world, 1, true).await;
    assert_eq!(world.head("ann").await, 1);

    reader.synced().await;
    assert_eq!(reader.workouts().await.len(), 1, "the log's copy is the truth");
    recorded.push(phone.record(lap("w-2")).await);
    phone.synced().await;
    reader.synced().await;
    assert_log_holds(&world, "ann", &recorded).await;
    assert_eq!(phone.workouts().await, reader.workouts().await);
    phone.assert_is_the_log(&world).await;
    reader.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_opens_between_hello_and_push_is_filled() {
    let world = Arc::new(World::new().await);
    let phone = Phone::new(&world, "ann").await;
    let mut recorded = Vec::new();
    for event in [created("w-1", "Run"), lap("w-1"), lap("w-1")] {
        recorded.push(phone.record(event).await);
        phone.synced().await;
    }
    recorded.push(phone.record(lap("w-1")).await);
    let (restored, mut once) = (world.clone(), true);
    phone.line.meddle(move |request| {
        if matches!(request, Request::Push(_)) && std::mem::take(&mut once) {
            tokio::task::block_in_place(|| Handle::current().block_on(restore(&restored, 1, true)));
        }
        Meddling::Pass
    });
    phone.synced().await;
    assert_log_holds(&world, "ann", &recorded).await;
    phone.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_phone_takes_another_id_for_what_only_it_has() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    let mut recorded = vec![phone.record(created("w-1", "Run")).await];
    phone.synced().await;
    // Pending on both.
    recorded.push(phone.record(lap("w-1")).await);
    let clone = phone.cloned(&world, true).await;
    let mut notices = clone.store.subscribe();
    recorded.push(phone.record(created("w-2", "Swim")).await);
    phone.synced().await;
    recorded.push(clone.record(created("w-3", "Ride")).await);
    recorded.push(clone.record(lap("w-3")).await);
    clone.synced().await;
    phone.synced().await;

    assert_log_holds(&world, "ann", &recorded).await;
    assert_eq!(phone.workouts().await, clone.workouts().await);
    assert_eq!(phone.workouts().await[0].fields["laps"], 1, "the lap that both had counts once");
    let status = clone.store.status(&clone.space()).await.unwrap();
    assert_ne!(status.device_id, *clone.identity().device_id());
    let forked = async {
        loop {
            if let Changed::Notice(Notice::Forked { from, to, renumbered, .. }) =
                notices.next().await.unwrap()
            {
                break (from, to, renumbered);
            }
        }
    };
    assert_eq!(forked.await, (clone.identity().device_id().clone(), status.device_id, 2));
    // Both go on.
    recorded.push(phone.record(lap("w-1")).await);
    recorded.push(clone.record(lap("w-1")).await);
    clone.synced().await;
    phone.synced().await;
    clone.synced().await;
    assert_log_holds(&world, "ann", &recorded).await;
    phone.assert_is_the_log(&world).await;
    clone.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_comes_back_from_a_backup_goes_on_with_what_it_had_then() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    let mut recorded = vec![phone.record(created("w-1", "Run")).await];
    recorded.push(phone.record(lap("w-1")).await);
    let backup = phone.cloned(&world, true).await;
    recorded.push(phone.record(lap("w-1")).await);
    phone.synced().await;
    // The phone is lost, the backup comes up on the same one, then on another.
    for with_identity in [true, false] {
        let restored = backup.cloned(&world, with_identity).await;
        recorded.push(restored.record(lap("w-1")).await);
        restored.synced().await;
        assert_log_holds(&world, "ann", &recorded).await;
        restored.assert_is_the_log(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_was_erased_is_erased_on_the_phone_and_the_app_is_told() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    phone.record(created("w-1", "secret name")).await;
    phone.synced().await;
    phone.record(lap("w-1")).await;
    let mut changes = phone.store.subscribe();
    sqlx::query("INSERT INTO erasures (space_id) VALUES ('ann')").execute(&world.pool).await.unwrap();
    let report = phone.sync().await;
    assert_eq!(report.spaces[0].outcome, Err(SyncFailure::Erased));
    let told = async {
        loop {
            if let Changed::Notice(notice) = changes.next().await.unwrap() {
                break notice;
            }
        }
    };
    assert_eq!(told.await, Notice::SpaceErased { space: phone.space() });
    let gone = phone.store.status(&phone.space()).await;
    assert!(matches!(gone, Err(StoreError::NoSuchSpace(_))), "{gone:?}");
    phone.syncer.close().await;
    phone.store.close().await;
    let file = std::fs::read(phone.path()).unwrap();
    assert!(!file.windows(11).any(|bytes| bytes == b"secret name"), "nothing of it is left in the file");
}
