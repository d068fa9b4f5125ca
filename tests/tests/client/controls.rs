//! What the app says to the syncer: networks that come and go, pauses, the end.

use tidelog_client::store::StoreConfig;
use tidelog_client::sync::{SyncFailure, SyncOptions};
use tidelog_client::{Identity, Store, SystemClock};
use tidelog_events::id::UserId;
use tidelog_events::schema::Schema;
use tidelog_tests::{World, eventually};

use super::line::{Line, Meddling};
use super::phone::{Parts, Phone, created, lap, offline, space};

async fn all_is_pushed(phone: &Phone) {
    eventually("everything is pushed", async || (phone.pending().await == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_nothing_is_tried_and_a_network_that_comes_back_is_used_at_once() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    phone.record(created("w-1", "Run")).await;
    let report = phone.syncer.sync_now().await;
    assert_eq!(report.spaces[0].outcome, Err(SyncFailure::Offline));
    assert_eq!(report.pending(), 1);
    let status = phone.syncer.status(&phone.space()).await.unwrap();
    assert!(!status.online && status.next_attempt_at.is_none() && status.pending == 1, "{status:?}");
    assert_eq!(phone.line.requests(), 0);

    phone.syncer.set_connectivity(true);
    all_is_pushed(&phone).await;
    let mut statuses = phone.syncer.subscribe_status(&phone.space()).await.unwrap();
    let synced =
        statuses.wait_for(|status| !status.syncing && status.last_synced_at.is_some()).await.unwrap().clone();
    assert!(synced.online && synced.pending == 0 && synced.last_error.is_none(), "{synced:?}");
    assert_eq!(synced.next_attempt_at.unwrap().0, phone.clock.wall_ms() + 30_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_paused_nothing_leaves_and_then_everything() {
    let world = World::new().await;
    let options = || SyncOptions { paused: true, ..SyncOptions::default() };
    let phone = Phone::with(&world, "ann", Line::to(world.address), |parts| parts.syncer(options())).await;
    phone.record(created("w-1", "Run")).await;
    assert_eq!(phone.sync().await.spaces[0].outcome, Err(SyncFailure::Paused));
    let status = phone.syncer.status(&phone.space()).await.unwrap();
    assert!(status.paused && status.next_attempt_at.is_none(), "{status:?}");
    assert_eq!(phone.line.requests(), 0);
    phone.syncer.resume();
    all_is_pushed(&phone).await;

    // A pause in the middle of an attempt lets no further request out.
    phone.record(lap("w-1")).await;
    phone.synced().await;
    phone.syncer.pause();
    phone.record(lap("w-1")).await;
    assert_eq!(phone.sync().await.spaces[0].outcome, Err(SyncFailure::Paused));
    phone.syncer.resume();
    phone.synced().await;
    phone.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_is_synced_without_being_asked() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::load_or_create(&folder.path().join("identity.json")).unwrap();
    let schema = Schema::parse(&std::fs::read_to_string(&world.schema_file).unwrap()).unwrap();
    let path = folder.path().join("store.sqlite");
    let config = StoreConfig::new(path, UserId::new("ann").unwrap(), schema.into(), &identity);
    let store = Store::open(config.clock(SystemClock)).await.unwrap();
    let line = Line::to(world.address);
    let parts = Parts { store: store.clone(), line, user: "ann".to_owned() };
    let syncer = parts.syncer(SyncOptions::default());
    for sequence in 1..=3 {
        store.record(&space("ann"), lap("w-1")).await.unwrap();
        eventually("it is in the log", async || (world.head("ann").await == sequence).then_some(())).await;
    }
    syncer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_closing_nobody_syncs_and_the_store_still_works() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    phone.record(created("w-1", "Run")).await;
    phone.line.meddle(|_| Meddling::Hang);
    phone.syncer.set_connectivity(true);
    eventually("a request is under way", async || (phone.line.under_way() == 1).then_some(())).await;
    phone.syncer.close().await;
    assert_eq!(phone.line.under_way(), 0);
    assert!(phone.line.is_forgotten(), "no task is left");
    assert_eq!(phone.syncer.sync_space_now(&phone.space()).await, Err(SyncFailure::Closed));
    assert!(phone.syncer.statuses().await.unwrap().is_empty());
    phone.record(lap("w-1")).await;
    assert_eq!(phone.pending().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_when_syncing_ends_is_told() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    phone.line.meddle(|_| Meddling::Hang);
    phone.syncer.set_connectivity(true);
    let closing = async {
        eventually("a request is under way", async || (phone.line.under_way() == 1).then_some(())).await;
        phone.syncer.close().await;
    };
    let (report, ()) = tokio::join!(phone.syncer.sync_now(), closing);
    assert_eq!(report.spaces[0].outcome, Err(SyncFailure::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_syncer_leaves_nothing_behind() {
    let world = World::new().await;
    let Phone { store, syncer, line, .. } = Phone::new(&world, "ann").await;
    line.meddle(|_| Meddling::Hang);
    syncer.set_connectivity(true);
    eventually("a request is under way", async || (line.under_way() == 1).then_some(())).await;
    drop(syncer);
    eventually("no task is left", async || line.is_forgotten().then_some(())).await;
    assert_eq!(store.spaces().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_closed_ends_syncing() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    phone.synced().await;
    phone.store.close().await;
    eventually("no task is left", async || phone.line.is_forgotten().then_some(())).await;
    assert_eq!(phone.syncer.sync_space_now(&phone.space()).await, Err(SyncFailure::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_during_an_attempt_gets_one_of_their_own_and_never_two_at_once() {
    let world = World::new().await;
    let phone = Phone::with(&world, "ann", Line::to(world.address), |parts| parts.syncer(offline())).await;
    let line = phone.line.clone();
    phone.line.meddle(move |_| {
        assert_eq!(line.under_way(), 1, "one request at a time");
        Meddling::Pass
    });
    phone.syncer.set_connectivity(true);
    for _ in 0..20 {
        phone.record(lap("w-1")).await;
        let (one, other) = tokio::join!(phone.syncer.sync_now(), phone.syncer.sync_now());
        assert!(one.is_synced() && other.is_synced(), "{one:?} {other:?}");
        assert_eq!(phone.pending().await, 0);
    }
    phone.line.meddle(|_| Meddling::Pass);
}
