//! What is shown of a space, word for word.

use serde_json::json;
use tidelog_events::protocol::UtcTime;

use super::*;

/// 2026-11-22T19:15:20Z.
const NOW: UtcTime = UtcTime(1_795_374_920_000);

const PLAIN: Shown = Shown { colours: false, now: NOW };

fn space() -> Value {
    json!({
        "spaceId": "ann", "head": 150, "horizon": 100, "epoch": "0190b5a0-0000-4000-8000-000000000001",
        "createdAt": "2026-01-02T03:04:05.000Z", "lastReceivedAt": "2026-11-22T19:00:00.000Z",
        "sizes": {"segments": 1, "logBytes": 2048, "archivedObjects": 2, "archivedBytes": 3_500_000,
                  "snapshot": {"through": 100, "entities": 40, "bytes": 900}, "entities": 41, "visibleEntities": 38,
                  "quarantined": 2, "more": false},
        "projection": {"applied": 148, "behind": 2, "schemaVersion": 3, "mixed": false, "stateHash": {},
                       "generation": 1, "rebuilding": true},
        "compaction": {"mergedThrough": 100, "refusal": {"at": "2026-11-20T00:00:00.000Z", "found": {}}},
        "devices": [], "moreDevices": false
    })
}

fn device() -> Value {
    json!({
        "deviceId": "phone-1", "userId": "ann", "name": null, "revoked": false, "lastSequence": 51, "cursor": 150,
        "behind": 0, "lastSeenAt": "2026-11-22T19:15:00.000Z", "pushedAt": "2026-11-22T19:00:00.000Z",
        "appVersion": null, "clockOffsetMs": null, "pending": null, "lastError": null, "gaps": 0, "forks": 0,
        "quarantined": 0, "diverged": null, "why": null
    })
}

/// The device that differs from `device()` in these keys.
fn device_with(keys: &Value) -> Value {
    let mut device = device();
    let both = (device.as_object_mut().unwrap(), keys.as_object().unwrap());
    both.0.extend(both.1.clone());
    device
}

fn page(items: &Value) -> Value {
    json!({"items": items, "next": null})
}

fn quarantine() -> Value {
    json!([
        {"id": "a", "kind": "event", "space": "ann", "deviceId": "tablet", "userId": "ann", "deviceSequence": 8,
         "eventId": "0190b5a0-0000-7000-8000-000000000008", "code": "event-unknown-type",
         "detail": "there is no type `X`", "receivedAt": "2026-11-19T19:15:20.000Z", "schemaVersion": 2, "line": "{}",
         "lineBytes": 2, "lineCut": false, "lineLossy": false, "releasable": true, "dismissed": null},
        {"id": "b", "kind": "event", "space": "ann", "deviceId": "tablet", "userId": "ann", "deviceSequence": 7,
         "eventId": "0190b5a0-0000-7000-8000-000000000007", "code": "event-poison", "detail": "refused",
         "receivedAt": "2026-11-18T19:15:20.000Z", "schemaVersion": 2, "line": "{}", "lineBytes": 2, "lineCut": false,
         "lineLossy": false, "releasable": false, "dismissed": {"at": "2026-11-20T00:00:00.000Z", "by": "support"}},
        {"id": "c", "kind": "message", "space": "ann", "deviceId": null, "userId": null, "deviceSequence": null,
         "eventId": null, "code": null, "detail": "no header", "receivedAt": "2026-11-17T19:15:20.000Z",
         "schemaVersion": null, "line": "", "lineBytes": 7, "lineCut": false, "lineLossy": false, "releasable": false,
         "dismissed": null}
    ])
}

fn events() -> Value {
    json!([
        {"position": 150, "source": "log", "deviceId": "phone-1", "userId": "ann", "deviceSequence": 51,
         "receivedAt": "2026-11-22T19:00:00.000Z", "type": "WORKOUT_CREATED", "entityId": "w-1",
         "timestamp": "2026-11-22T18:59:59.000Z-0000", "payload": {"name": "Bench\u{7}"}},
        {"position": 99, "source": "archive", "deviceId": "event:1", "userId": "ann", "deviceSequence": 1,
         "receivedAt": "2026-11-22T18:00:00.000Z", "released": true, "type": "WORKOUT_DELETED", "entityId": "w-0",
         "timestamp": 1_795_374_000_000_i64}
    ])
}

#[test]
fn a_space_is_shown_as_a_whole() {
    let tablet = device_with(&json!({
        "deviceId": "tablet", "name": "Ann's tablet", "lastSequence": 8, "cursor": 90, "behind": 60, "pending": 1,
        "lastSeenAt": "2026-11-19T19:15:20.000Z", "appVersion": "2.14.0", "quarantined": 1,
        "why": "it has not been heard of for 3 days, and had 1 events to push then"
    }));
    let inspected = Inspected {
        space: space(),
        devices: json!({"items": [device(), tablet], "next": "x"}),
        quarantine: page(&quarantine()),
        events: json!({"items": events(), "next": "x", "head": 150, "horizon": 100}),
    };
    let expected = "\
Space ann
  log         150 events, pruned through position 100
  stored      1 segment with 2.0 KiB; a snapshot through position 100 of 40 entities with 900 B; 2 objects in the archive with 3.3 MiB; 2 events in quarantine
  read model  38 entities, folded through position 148, 2 positions behind, schema version 3, being rebuilt
  compaction  not pruned since its read model differs from its log, found on 2026-11-20T00:00:00.000Z: tidelog compactor doctor
  created 2026-01-02T03:04:05.000Z, last event 2026-11-22T19:00:00.000Z, epoch 0190b5a0-0000-4000-8000-000000000001
Devices
  phone-1 of ann: has all 150, sent 51, seen 20 s ago
  tablet (Ann's tablet) of ann: has 90 of 150, 60 behind, sent 8, seen 3 days ago, app 2.14.0
    it has not been heard of for 3 days, and had 1 events to push then
    1 event not synced, 1 event in quarantine
  … and more
Quarantine
  ⚠  2026-11-19T19:15:20.000Z  tablet #8  event-unknown-type  there is no type `X`  can be released
  ⚠  2026-11-18T19:15:20.000Z  tablet #7  event-poison  refused  dismissed by support at 2026-11-20T00:00:00.000Z
  ⚠  2026-11-17T19:15:20.000Z  message  no header
Last events
  #99       1795374000000  event:1 #1  WORKOUT_DELETED  w-0  received 2026-11-22T18:00:00.000Z  in the archive  released from quarantine
  #150      2026-11-22T18:59:59.000Z-0000  phone-1 #51  WORKOUT_CREATED  w-1  {\"name\":\"Bench\\u0007\"}  received 2026-11-22T19:00:00.000Z
";
    assert_eq!(PLAIN.inspected(&inspected).unwrap(), expected);
}

#[test]
fn under_a_device_stands_what_the_gateway_says_and_what_else_is_known_but_nothing_twice() {
    let check = |keys: Value, expect: &[&str]| {
        let mut text = String::new();
        PLAIN.device(&mut text, &read(&device_with(&keys)).unwrap(), 150);
        let under: Vec<&str> = text.lines().skip(1).map(|line| line.strip_prefix("    ").unwrap()).collect();
        assert_eq!(under, expect, "{keys}");
    };
    let error =
        json!({"code": "clock-ahead", "detail": "set \u{1b}[31mit", "at": "2026-11-22T19:15:00.000Z"});
    let diverged = json!({"position": 7, "since": "2026-11-21T00:00:00.000Z"});
    let refused = "its last push was refused at 2026-11-22T19:15:00.000Z: clock-ahead: set \u{1b}[31mit";
    check(json!({}), &[]);
    check(json!({"clockOffsetMs": -999}), &[]);
    check(json!({"clockOffsetMs": -90_000}), &["its clock is 90 s behind"]);
    check(json!({"clockOffsetMs": 10_803_000, "why": "its clock is 3 h ahead"}), &["its clock is 3 h ahead"]);
    check(
        json!({"why": refused, "lastError": error, "pending": 3, "gaps": 1, "forks": 2, "quarantined": 1000}),
        &[
            "its last push was refused at 2026-11-22T19:15:00.000Z: clock-ahead: set \\u{1b}[31mit",
            "3 events not synced, 1 gap, 2 forks, 1000 events in quarantine",
        ],
    );
    check(
        json!({"revoked": true, "why": "it was revoked by support", "lastError": error, "diverged": diverged}),
        &[
            "it was revoked by support",
            "last error at 2026-11-22T19:15:00.000Z: clock-ahead: set \\u{1b}[31mit",
            "its state differs from the server's since 2026-11-21T00:00:00.000Z, last at position 7",
        ],
    );
    let differs = "its state was found to differ from the server's at 2026-11-21T00:00:00.000Z, last at position 7: a defect";
    check(json!({"why": differs, "diverged": diverged}), &[differs]);
    let itself = json!({"code": null, "detail": "offline: no route", "at": "2026-11-22T19:15:00.000Z"});
    check(json!({"lastError": itself}), &["last error at 2026-11-22T19:15:00.000Z: offline: no route"]);
}

#[test]
fn an_empty_space_is_shown_without_a_word_too_many() {
    let inspected = Inspected {
        space: json!({"spaceId": "ann", "epoch": "e", "createdAt": "2026-01-02T03:04:05.000Z", "lastReceivedAt": null,
                      "projection": null}),
        devices: page(&json!([])),
        quarantine: page(&json!([])),
        events: page(&json!([])),
    };
    let expected = "\
Space ann
  log         0 events
  stored      0 segments with 0 B
  read model  nothing is folded yet
  created 2026-01-02T03:04:05.000Z, last event never, epoch e
Devices
  none
Quarantine
  empty
Last events
  none
";
    assert_eq!(PLAIN.inspected(&inspected).unwrap(), expected);
    let strange = Inspected { devices: json!({"error": "none"}), ..inspected };
    let error = PLAIN.inspected(&strange).unwrap_err();
    assert!(format!("{error:#}").starts_with("the admin API's answer is not understood"), "{error:#}");
}

#[test]
fn events_are_followed_from_the_last_one_and_colours_are_shown_only_where_they_are_wanted() {
    let events = || read::<Page<ShownEvent>>(&page(&events())).unwrap();
    assert_eq!(last_position(&events()), Some(Position(150)));
    assert_eq!(last_position(&read(&page(&json!([]))).unwrap()), None);
    assert!(!PLAIN.in_order(events()).contains('\u{1b}'));
    assert!(Shown { colours: true, ..PLAIN }.in_order(events()).contains('\u{1b}'));
}
