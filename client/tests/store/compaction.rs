//! Folding away old events of the device's own.

use super::answers::Pulled;
use super::device::{Device, NOON, ann};
use serde_json::json;

const DAY_MS: i64 = 86_400_000;

#[test]
fn own_events_fold_away_when_they_are_old_and_long_confirmed_and_the_state_stays() {
    let mut device = Device::new("phone-1");
    device.record_laps(3);
    let log: Vec<_> = device.events().into_iter().map(|event| event.line).collect();
    let last = device.events()[2].event_id;
    device.take_pull(&Pulled::at(NOON + 25 * DAY_MS).mark(3, last).segment(1, "phone-1", &log).lines());
    let shown = device.store.shown_lines(&ann()).unwrap();

    let sync = |device: &mut Device, days: i64| {
        device.take_pull(&Pulled::at(NOON + days * DAY_MS).behind(3, 3).mark(3, last).lines());
        device.store.compact(&ann()).unwrap()
    };
    assert_eq!(sync(&mut device, 29), 0, "younger than 30 days");
    assert_eq!(sync(&mut device, 31), 0, "confirmed for less than 7 days");
    // Days that pass without a sync count for nothing: the server may have been restored meanwhile.
    device.now.wall_ms = NOON + 400 * DAY_MS;
    assert_eq!(device.store.compact(&ann()).unwrap(), 0);
    assert_eq!(sync(&mut device, 33), 2, "all but the last");
    assert_eq!(device.store.shown_lines(&ann()).unwrap(), shown);
    device.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    let pending = device.pending();
    assert_eq!(sync(&mut device, 400), 0, "pending events stay");
    // The last confirmed event is still known: the same watermark is no fork, and nothing is sent again.
    assert_eq!(device.pending(), pending);
}

#[test]
fn a_server_that_is_restored_to_the_last_event_that_is_old_gets_what_is_behind_it() {
    let mut device = Device::new("phone-1");
    device.record_laps(3);
    let old: Vec<_> = device.events().into_iter().map(|event| (event.event_id, event.line)).collect();
    let log: Vec<String> = old.iter().map(|(_, line)| line.clone()).collect();
    let told = |days: i64| Pulled::at(NOON + days * DAY_MS);
    device.take_pull(&told(1).mark(3, old[2].0).segment(1, "phone-1", &log).lines());
    device.now.wall_ms = NOON + 40 * DAY_MS;
    let new = device.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    let line = device.events()[3].line.clone();
    device.take_pull(&told(40).behind(3, 3).mark(4, new.event_id).segment(4, "phone-1", &[line]).lines());
    assert_eq!(device.store.compact(&ann()).unwrap(), 2);
    assert_eq!(device.pending(), [0; 0]);
    device.take_pull(&told(41).epoch(2).mark(3, old[2].0).segment(1, "phone-1", &log).lines());
    let ids: Vec<_> = device.events().into_iter().map(|event| event.device_id.to_string()).collect();
    assert_eq!((device.pending(), ids), (vec![4], vec!["phone-1".to_owned(); 2]));
}
