//! The handle: what apps see of a store, its thread and its end.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use tidelog_events::id::Sequence;

use super::*;
use crate::store::Notice;

const SCHEMA: &str = include_str!("../../../../config/fitness.yaml");

struct Device {
    folder: TempDir,
    identity: Identity,
}

impl Device {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_create(&folder.path().join("identity.json")).unwrap();
        Self { folder, identity }
    }

    fn config(&self, user: &str) -> StoreConfig {
        let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
        let path = self.folder.path().join("store.sqlite");
        StoreConfig::new(path, UserId::new(user).unwrap(), schema, &self.identity)
    }

    async fn open(&self, user: &str) -> Store {
        Store::open(self.config(user)).await.unwrap()
    }
}

fn ann() -> SpaceId {
    SpaceId::new("ann").unwrap()
}

fn workout(id: &str) -> NewEvent {
    NewEvent::new("WORKOUT_CREATED", EntityId::new(id).unwrap(), json!({"name": id}))
}

#[tokio::test]
async fn what_was_recorded_is_shown_and_still_there_after_closing() {
    let device = Device::new();
    let store = device.open("ann").await;
    let recorded = store.record(&ann(), workout("w-1")).await.unwrap();
    assert_eq!(recorded.device_sequence, Sequence(1));
    assert_eq!(recorded.device_id, *device.identity.device_id());
    store.close().await;
    let store = device.open("ann").await;
    let shown = store.entity(&ann(), "workout", &EntityId::new("w-1").unwrap()).await.unwrap().unwrap();
    assert!(shown.pending && shown.fields["name"] == "w-1", "{shown:?}");
    assert_eq!(store.entities(&ann(), Query::all("workout")).await.unwrap(), [shown]);
    assert_eq!(store.events(&ann(), EventsQuery::pending()).await.unwrap()[0].event_id, recorded.event_id);
    assert_eq!(store.status(&ann()).await.unwrap().pending, 1);
}

#[tokio::test]
async fn subscribers_are_told_what_changes_and_that_the_store_is_closed() {
    let device = Device::new();
    let store = device.open("ann").await;
    let mut changes = store.subscribe();
    store.record(&ann(), workout("w-1")).await.unwrap();
    let entity_id = EntityId::new("w-1").unwrap();
    let expect = Changed::Entity { space: ann(), entity_type: "workout".into(), entity_id };
    assert_eq!(changes.next().await, Some(expect));
    let team = SpaceId::new("team-9").unwrap();
    store.join(&team, Filter::default()).await.unwrap();
    assert_eq!(changes.next().await, Some(Changed::Space { space: team }));
    store.close().await;
    assert_eq!(changes.next().await, None);
    assert_eq!(store.subscribe().next().await, None);
}

#[tokio::test]
async fn a_subscriber_that_is_too_slow_is_told_so_and_nothing_waits_for_it() {
    let store = Device::new().open("ann").await;
    let mut changes = store.subscribe();
    let notice = Changed::Notice(Notice::SpaceErased { space: ann() });
    let sender = store.changes.upgrade().unwrap();
    for _ in 0..2000 {
        sender.send(notice.clone()).unwrap();
    }
    drop(sender);
    assert_eq!(changes.next().await, Some(Changed::Lagged));
    assert_eq!(changes.next().await, Some(notice));
}

#[tokio::test]
async fn after_closing_every_clone_says_so_and_closing_again_does_no_harm() {
    let device = Device::new();
    let store = device.open("ann").await;
    let clone = store.clone();
    // Made before, so carried out before.
    let space = ann();
    let (recorded, ()) = tokio::join!(store.record(&space, workout("w-1")), clone.close());
    recorded.unwrap();
    let refused = store.record(&ann(), workout("w-2")).await.unwrap_err();
    assert!(matches!(refused, RecordError::Store(StoreError::Closed(Closed))), "{refused}");
    assert!(matches!(clone.spaces().await, Err(StoreError::Closed(Closed))));
    store.close().await;
    assert!(!device.folder.path().join("store.sqlite-wal").exists(), "the file is closed");
    assert_eq!(device.open("ann").await.status(&ann()).await.unwrap().pending, 1);
}

#[tokio::test]
async fn a_call_is_carried_out_although_its_caller_is_gone() {
    let store = Device::new().open("ann").await;
    let space = ann();
    tokio::select! {
        biased;
        _ = store.record(&space, workout("w-1")) => {}
        () = std::future::ready(()) => {}
    }
    assert_eq!(store.status(&ann()).await.unwrap().pending, 1);
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused() {
    let device = Device::new();
    fs::write(device.config("ann").path, "no database").unwrap();
    assert!(Store::open(device.config("ann")).await.is_err());
}

/// The files in the folder, without the identity.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("store")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn another_user_gets_another_file_and_pending_events_are_given_up_only_by_force() {
    let device = Device::new();
    let store = device.open("ann").await;
    store.record(&ann(), workout("w-1")).await.unwrap();
    store.close().await;

    let refused = Store::open(device.config("bob")).await.err().unwrap();
    assert!(matches!(refused, OpenError::OtherUser { pending: 1, .. }), "{refused}");
    let refused = Store::switch_user(device.config("bob"), false).await.err().unwrap();
    assert!(matches!(refused, OpenError::OtherUser { pending: 1, .. }), "{refused}");
    assert_eq!(files(device.folder.path()), ["store.sqlite"]);

    let Switched { store, set_aside } = Store::switch_user(device.config("bob"), true).await.unwrap();
    let aside = set_aside.unwrap();
    assert_eq!(store.spaces().await.unwrap()[0].space.as_str(), "bob");
    store.close().await;
    let kept = Store::open(StoreConfig { path: aside, ..device.config("ann") }).await.unwrap();
    assert_eq!(kept.status(&ann()).await.unwrap().pending, 1, "nothing is deleted");
    kept.close().await;

    // Bob has nothing pending, so Ann may come back without force; and to herself she needs no switch.
    let switched = Store::switch_user(device.config("ann"), false).await.unwrap();
    assert!(switched.set_aside.is_some());
    switched.store.close().await;
    let again = Store::switch_user(device.config("ann"), false).await.unwrap();
    assert_eq!(again.set_aside, None);
}
