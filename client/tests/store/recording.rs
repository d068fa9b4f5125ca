//! Recording.

use std::time::Duration;

use serde_json::json;
use tidelog_client::RecordError;
use tidelog_client::inspect::{Inspector, Look, Sight};
use tidelog_client::store::{Changed, EventState};
use tidelog_events::code::Fault;

use super::device::{Device, NOON, ann, id, options};

#[test]
fn an_event_is_stored_and_shown_at_once_and_after_reopening() {
    let mut device = Device::new("phone-1");
    let recorded = device.record("WORKOUT_CREATED", "w-1", json!({"name": "run"}));
    device.record("LAP_RECORDED", "w-1", json!({"laps": 2}));
    device.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    assert_eq!((recorded.device_sequence.0, recorded.timestamp.millis()), (1, NOON));

    let shown = json!({"name": "run", "laps": 3, "createdAt": recorded.timestamp});
    assert_eq!(device.fields("workout", "w-1"), Some(shown.clone()));
    let device = device.reopen(options("ann", "phone-1"));
    assert_eq!(device.fields("workout", "w-1"), Some(shown));
    assert_eq!(device.pending(), [1, 2, 3]);
    let status = device.store.space(&ann()).unwrap();
    assert_eq!((status.pending, status.rejected, status.cursor.0), (3, 0, 0));
    assert!(
        device.events().iter().all(|event| event.state == EventState::Pending && event.position.is_none())
    );
}

#[test]
fn stamps_increase_although_the_wall_clock_stands_or_goes_back() {
    let mut device = Device::new("phone-1");
    device.record_laps(3);
    device.now.wall_ms = NOON - 86_400_000;
    device.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    device.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    assert!(device.events().is_sorted_by(|one, next| one.timestamp < next.timestamp));
}

#[test]
fn what_the_server_would_not_take_is_refused_and_leaves_no_trace() {
    let mut device = Device::new("phone-1");
    let mut refused = |event_type: &str, payload| match device.try_record(event_type, "w-1", payload) {
        Err(RecordError::Invalid { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused("NO_SUCH_TYPE", json!({})), Fault::UnknownType);
    assert_eq!(refused("WORKOUT_CREATED", json!({})), Fault::PayloadInvalid);
    assert_eq!(refused("WORKOUT_CREATED", json!({"name": null})), Fault::PayloadInvalid);
    assert_eq!(refused("WORKOUT_CREATED", json!({"name": "a", "b": 1})), Fault::UnknownKey);
    assert_eq!(refused("WORKOUT_CREATED", json!({"name": "\u{0}"})), Fault::TextInvalid);
    assert_eq!(refused("LAP_RECORDED", json!({"laps": 9_007_199_254_740_992_u64})), Fault::NumberOutOfRange);
    let large = json!({"name": "x".repeat(65_536)});
    assert!(matches!(
        device.try_record("WORKOUT_CREATED", "w-1", large),
        Err(RecordError::TooLarge { bytes }) if bytes > 65_536
    ));
    assert!(device.events().is_empty());
    // The numbering has no gap, and the clock did not run ahead.
    let recorded = device.record("WORKOUT_CREATED", "w-1", json!({"name": "run"}));
    assert_eq!((recorded.device_sequence.0, recorded.timestamp.counter()), (1, 0));
}

#[test]
fn subscribers_are_told_what_changed() {
    let mut device = Device::new("phone-1");
    device.store.take_changes();
    device.record("WORKOUT_CREATED", "w-1", json!({"name": "run"}));
    let expected = Changed::Entity { space: ann(), entity_type: "workout".into(), entity_id: id("w-1") };
    assert_eq!(device.store.take_changes(), [expected]);
    assert_eq!(device.store.take_changes(), []);
}

#[tokio::test]
async fn a_store_can_be_followed_while_the_app_records() {
    let mut device = Device::new("phone-1");
    device.record_laps(2);
    let recorded = |look: Look| -> Vec<u64> {
        let events = look.sights.into_iter().filter_map(|sight| match sight {
            Sight::Event(seen) => Some(seen.event.device_sequence.0),
            Sight::Space(_) => None,
        });
        events.collect()
    };
    let mut follow = Inspector::new(device.file(), None).follow(Duration::from_millis(1));
    assert_eq!(recorded(follow.next().await.unwrap()), [1, 2]);
    // Whoever stops waiting misses nothing.
    assert!(tokio::time::timeout(Duration::from_millis(20), follow.next()).await.is_err());
    device.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    assert_eq!(recorded(follow.next().await.unwrap()), [3]);
}
