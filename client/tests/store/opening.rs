//! Whose store it is, and on which device.

use serde_json::json;
use tidelog_client::store::{Bound, bound_to, set_aside};
use tidelog_client::{EventStore, OpenError};
use tidelog_events::id::UserId;

use super::device::{Device, options};

#[test]
fn another_users_token_does_not_open_a_store() {
    let mut device = Device::new("phone-1");
    device.record_laps(2);
    let file = device.file();
    let refused = EventStore::open(&file, options("bob", "phone-1")).err();
    assert!(
        matches!(&refused, Some(OpenError::OtherUser { bound_to, pending: 2 }) if bound_to.as_str() == "ann"),
        "{refused:?}"
    );
    let bound = Bound { user: UserId::new("ann").unwrap(), app: "fitness".to_owned(), pending: 2 };
    assert_eq!(bound_to(&file).unwrap(), Some(bound));
    assert_eq!(device.pending(), [1, 2]);
}

#[test]
fn a_store_that_is_set_aside_keeps_everything() {
    let mut device = Device::new("phone-1");
    device.record_laps(3);
    let (file, pending) = (device.file(), device.pending());
    let folder = device.folder;
    drop(device.store);
    let aside = set_aside(&file).unwrap();
    let again = EventStore::open(&file, options("bob", "phone-1")).unwrap();
    drop(again);
    assert_ne!(set_aside(&file).unwrap(), aside);
    let store = EventStore::open(&aside, options("ann", "phone-1")).unwrap();
    let kept = Device { folder, store, now: device.now };
    assert_eq!(kept.pending(), pending);
}

#[test]
fn a_store_that_is_open_elsewhere_is_not_set_aside() {
    let mut device = Device::new("phone-1");
    device.record_laps(3);
    let (file, pending) = (device.file(), device.pending());
    let reader = rusqlite::Connection::open(&file).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM events;").unwrap();
    device.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    let (folder, now) = (device.folder, device.now);
    drop(device.store);
    assert!(matches!(set_aside(&file), Err(OpenError::InUse)));
    drop(reader);
    let store = EventStore::open(&file, options("ann", "phone-1")).unwrap();
    let kept = Device { folder, store, now };
    assert_eq!(kept.pending().len(), pending.len() + 1);
}

#[test]
fn what_is_no_store_is_refused_and_stays_as_it_is() {
    let device = Device::new("phone-1");
    let foreign = device.folder.path().join("foreign.sqlite");
    let connection = rusqlite::Connection::open(&foreign).unwrap();
    connection.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    drop(connection);
    let before = std::fs::read(&foreign).unwrap();
    let refused = EventStore::open(&foreign, options("ann", "phone-1")).err();
    assert!(matches!(refused, Some(OpenError::NotAStore)), "{refused:?}");
    assert_eq!(std::fs::read(&foreign).unwrap(), before);

    let newer = device.folder.path().join("newer.sqlite");
    drop(EventStore::open(&newer, options("ann", "phone-1")).unwrap());
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let refused = EventStore::open(&newer, options("ann", "phone-1")).err();
    assert!(matches!(refused, Some(OpenError::TooNew { found: 2 })), "{refused:?}");
}

#[test]
fn a_backup_on_another_phone_sends_what_it_holds_and_numbers_its_own_events() {
    let mut device = Device::new("phone-1");
    device.record_laps(2);
    let mut restored = device.reopen(options("ann", "phone-2"));
    let recorded = restored.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    assert_eq!((recorded.device_id.as_str(), recorded.device_sequence.0), ("phone-2", 1));
    let sent: Vec<_> = restored
        .events()
        .iter()
        .map(|event| (event.device_id.to_string(), event.device_sequence.0))
        .collect();
    let expected = [("phone-1", 1), ("phone-1", 2), ("phone-2", 1)];
    assert_eq!(sent, expected.map(|(device, sequence)| (device.to_owned(), sequence)));
    assert_eq!(restored.fields("workout", "w-1").unwrap()["laps"], 2);

    // The backup of that, back on the first phone: its id has a past here.
    let mut back = restored.reopen(options("ann", "phone-1"));
    let recorded = back.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    assert!(!["phone-1", "phone-2"].contains(&recorded.device_id.as_str()));
    assert_eq!(recorded.device_sequence.0, 1);
}
