//! Taking pulls in.

use serde_json::json;
use tidelog_client::store::{EventState, Filter, Notice, Taken};
use tidelog_client::transport::{Answer, PushRequest, Request};
use tidelog_events::code::Fault;
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId};
use tidelog_events::protocol::{DeviceMark, EventReceipt, EventStatus, PushAnswer, UtcTime};

use super::answers::{Pulled, event, lap};
use super::device::{Device, NOON, ann, options};

fn lines(device: &Device) -> Vec<String> {
    device.events().into_iter().map(|event| event.line).collect()
}

#[test]
fn an_echo_moves_an_event_from_the_overlay_into_the_confirmed_state() {
    let mut device = Device::new("phone-1");
    device.record_laps(3);
    let (shown, ids) = (device.store.shown_lines(&ann()).unwrap(), device.events());
    assert!(device.store.confirmed_lines(&ann()).unwrap().is_empty());

    let log = lines(&device);
    let answer = Pulled::noon().mark(3, ids[2].event_id).segment(1, "phone-1", &log).lines();
    assert!(matches!(device.take_pull(&answer), Taken::Pulled { .. }));
    assert_eq!(device.store.confirmed_lines(&ann()).unwrap(), shown);
    assert_eq!(device.store.shown_lines(&ann()).unwrap(), shown);
    assert!(device.pending().is_empty());
    let positions: Vec<_> =
        device.events().iter().map(|event| event.position.map(|position| position.0)).collect();
    assert_eq!(positions, [Some(1), Some(2), Some(3)]);
    assert!(device.store.space(&ann()).unwrap().last_synced_at.is_some());
}

#[test]
fn a_merged_segment_brings_own_and_others_events_from_the_middle_of_it_on() {
    let mut device = Device::new("phone-1");
    device.record_laps(3);
    let log = lines(&device);
    let (one, two) = ([lap(1, 5)], [lap(2, 6)]);
    device.take_pull(&Pulled::noon().segment(1, "watch", &one).segment(2, "phone-1", &log[..1]).lines());
    assert_eq!(device.pending(), [2, 3]);

    let batches: [(&str, &[_]); 4] =
        [("watch", &one), ("phone-1", &log[..2]), ("watch", &two), ("phone-1", &log[2..])];
    device.take_pull(&Pulled::noon().behind(2, 5).merged(1, &batches).lines());
    assert!(device.pending().is_empty());
    let positions: Vec<_> = device.events().iter().map(|event| event.position.unwrap().0).collect();
    assert_eq!(positions, [2, 3, 5]);
    assert_eq!(device.fields("workout", "w-1").unwrap()["laps"], 4, "two of each");
    assert_eq!(device.store.space(&ann()).unwrap().cursor, Position(5));
    assert_eq!(device.store.shown_lines(&ann()).unwrap(), device.store.confirmed_lines(&ann()).unwrap());
}

#[test]
fn an_answer_taken_twice_or_late_changes_nothing() {
    let mut device = Device::new("phone-1");
    device.record_laps(2);
    let log = lines(&device);
    let first = Pulled::noon().segment(1, "phone-1", &log).segment(3, "watch", &[lap(1, 5)]).lines();
    let request = Request::Pull(device.pull_request());
    let sent = device.now.clone();
    device.take_pull(&first);
    device.take_pull(&Pulled::noon().behind(3, 3).segment(4, "watch", &[lap(2, 6)]).lines());
    let state = device.store.shown_lines(&ann()).unwrap();
    for _ in 0..2 {
        device.store.take(&request, &Answer::Pulled(first.clone()), &sent, &device.now).unwrap();
        assert_eq!(device.store.shown_lines(&ann()).unwrap(), state);
        let status = device.store.space(&ann()).unwrap();
        assert_eq!((status.cursor.0, status.head.0), (4, 4));
    }
    assert_eq!(device.fields("workout", "w-1").unwrap()["laps"], 3);
}

#[test]
fn a_watermark_ends_resending_and_only_the_echo_ends_the_overlay() {
    let mut device = Device::new("phone-1");
    device.record_laps(2);
    let shown = device.store.shown_lines(&ann()).unwrap();
    let last = device.events()[1].event_id;
    device.take_pull(&Pulled::noon().mark(2, last).lines());
    assert!(device.pending().is_empty());
    assert_eq!(device.store.shown_lines(&ann()).unwrap(), shown);
    assert!(device.store.confirmed_lines(&ann()).unwrap().is_empty());
}

#[test]
fn a_watermark_of_other_events_retires_nothing() {
    let mut device = Device::new("phone-1");
    device.record_laps(2);
    let stranger = tidelog_events::id::EventId(uuid::Uuid::from_u128(99));
    device.take_pull(&Pulled::noon().mark(2, stranger).lines());
    assert_eq!(device.pending(), [1, 2]);
    device.take_pull(&Pulled::noon().mark(7, stranger).lines());
    assert_eq!(device.pending(), [1, 2]);
}

#[test]
fn where_the_log_differs_from_our_copy_the_log_wins() {
    let mut device = Device::new("phone-1");
    device.record("WORKOUT_CREATED", "w-1", json!({"name": "run"}));
    let logged = lines(&device)[0].replace("2025-08-06T10:30:00.000Z-0000", "2025-08-06T10:29:00.000Z-0007");
    device.take_pull(&Pulled::noon().segment(1, "phone-1", std::slice::from_ref(&logged)).lines());
    assert_eq!(lines(&device), [logged]);
    assert_eq!(device.events()[0].timestamp.to_string(), "2025-08-06T10:29:00.000Z-0007");
    assert_eq!(device.fields("workout", "w-1").unwrap()["createdAt"], "2025-08-06T10:29:00.000Z-0007");
}

#[test]
fn a_rejected_event_leaves_the_overlay_and_comes_back_when_it_is_released() {
    let mut device = Device::new("phone-1");
    device.record_laps(3);
    let events = device.events();
    device.store.take_changes();
    let id = events[1].event_id;
    device.take_pull(&Pulled::noon().mark(3, events[2].event_id).quarantined(2, id).lines());
    let detail = "schema version 3 has no event type `X`".to_owned();
    let state = EventState::Rejected { code: Some(Fault::UnknownType), detail: detail.clone() };
    assert_eq!(device.events()[1].state, state);
    assert_eq!(device.fields("workout", "w-1").unwrap()["laps"], 1);
    let notice = Notice::Rejected { space: ann(), event_id: id, code: Some(Fault::UnknownType), detail };
    assert!(device.store.take_changes().contains(&tidelog_client::store::Changed::Notice(notice)));
    assert_eq!(device.store.space(&ann()).unwrap().rejected, 1);

    let log = lines(&device);
    let echo = Pulled::noon().segment(1, "phone-1", &[log[0].clone(), log[2].clone(), log[1].clone()]);
    device.take_pull(&echo.lines());
    assert_eq!(device.events()[1].state, EventState::Synced);
    assert_eq!(device.fields("workout", "w-1").unwrap()["laps"], 2);
}

#[test]
fn where_more_lies_in_quarantine_than_the_hello_lists_the_receipts_tell() {
    let mut device = Device::new("phone-1");
    device.record_laps(3);
    let events = device.events();
    let hello =
        || Pulled::noon().mark(3, events[2].event_id).quarantined(3, events[2].event_id).more_quarantined();
    device.take_pull(&hello().lines());
    assert_eq!(device.pending(), [1, 2]);
    // Which of them a snapshot holds is not known before that: it is left for later.
    device.take_pull(&hello().snapshot(2, &[], &[("phone-1", 2)]).lines());
    assert_eq!(device.store.space(&ann()).unwrap().cursor.0, 0);
    assert_eq!(device.fields("workout", "w-1").unwrap()["laps"], 1);

    let push = Request::Push(PushRequest {
        space: ann(),
        device: DeviceId::new("phone-1").unwrap(),
        first: Sequence(1),
        last: Sequence(2),
        body: Vec::new(),
    });
    let receipt = EventReceipt {
        device_sequence: Some(Sequence(2)),
        event_id: events[1].event_id,
        status: EventStatus::Quarantined,
        code: Some(Fault::PayloadInvalid),
        detail: Some("no".to_owned()),
    };
    let answer = Answer::Pushed(PushAnswer {
        committed: true,
        head: Some(Position(2)),
        first: None,
        last: None,
        device: Some(DeviceMark { last_sequence: Sequence(3), last_event_id: events[2].event_id }),
        server_time: UtcTime(NOON),
        receipts: vec![receipt],
    });
    let now = device.now.clone();
    device.store.take(&push, &answer, &now, &now).unwrap();
    let states: Vec<_> = device.events().into_iter().map(|event| event.state).collect();
    let rejected = |state: &EventState| matches!(state, EventState::Rejected { .. });
    assert_eq!(states[0], EventState::Synced);
    assert!(rejected(&states[1]) && rejected(&states[2]), "{states:?}");
}

#[test]
fn half_an_answer_stores_what_was_whole() {
    let mut device = Device::new("phone-1");
    let created = event("WORKOUT_CREATED", 1, 0, &json!({"name": "run"}));
    let whole =
        Pulled::noon().segment(1, "watch", &[created]).segment(2, "watch", &[lap(2, 1), lap(3, 2)]).lines();
    let torn = &whole[..whole.len() - 20];
    assert_eq!(device.take_pull(torn), Taken::Torn);
    assert_eq!(device.store.space(&ann()).unwrap().cursor.0, 1);
    assert_eq!(device.take_pull("{\"hello\":"), Taken::Torn);
    assert!(matches!(device.take_pull(&whole), Taken::Pulled { .. }));
    assert_eq!(device.fields("workout", "w-1").unwrap()["laps"], 2);
}

#[test]
fn a_snapshot_replaces_the_confirmed_state_and_covers_what_is_ours() {
    let mut device = Device::new("phone-1");
    device.record_laps(3);
    let events = device.events();
    let log = lines(&device);
    // A reader who has everything, for the snapshot's lines.
    let mut reader = Device::new("watch");
    reader.take_pull(&Pulled::noon().segment(1, "phone-1", &log[..2]).lines());
    let entities = reader.store.confirmed_lines(&ann()).unwrap();

    let answer = Pulled::noon().mark(2, events[1].event_id).snapshot(2, &entities, &[("phone-1", 2)]).lines();
    device.take_pull(&answer);
    assert_eq!(device.store.confirmed_lines(&ann()).unwrap(), entities);
    assert_eq!(device.fields("workout", "w-1").unwrap()["laps"], 2);
    assert_eq!(device.pending(), [3]);
    device.take_pull(&Pulled::noon().behind(2, 2).segment(3, "phone-1", &log[2..]).lines());
    assert_eq!(device.fields("workout", "w-1").unwrap()["laps"], 2);
    assert!(device.pending().is_empty());
}

#[test]
fn a_snapshot_covers_nothing_of_ours_before_the_watermark_was_compared() {
    let mut device = Device::new("phone-1");
    device.record_laps(2);
    // Another life of this device has pushed other events under the same numbers.
    let stranger = tidelog_events::id::EventId(uuid::Uuid::from_u128(99));
    device.take_pull(&Pulled::noon().mark(2, stranger).snapshot(2, &[], &[("phone-1", 2)]).lines());
    assert_eq!(device.fields("workout", "w-1").unwrap()["laps"], 1);
    assert_eq!(device.pending(), [1, 2]);
    assert_eq!(device.store.space(&ann()).unwrap().cursor.0, 0, "it is left for the pull behind the answer");
}

#[test]
fn a_damaged_snapshot_is_not_taken() {
    let mut device = Device::new("phone-1");
    let mut reader = Device::new("watch");
    reader.record_laps(2);
    let entities = reader.store.shown_lines(&ann()).unwrap();
    let answer = Pulled::noon().snapshot(2, &entities, &[]).lines().replacen("\"run\"", "\"rum\"", 1);
    assert_eq!(device.take_pull(&answer), Taken::Torn);
    assert_eq!(device.store.space(&ann()).unwrap().cursor.0, 0);
}

#[test]
fn a_restored_server_is_sent_again_what_it_lost() {
    let mut device = Device::new("phone-1");
    device.record_laps(4);
    let (events, log) = (device.events(), lines(&device));
    device.take_pull(&Pulled::noon().mark(4, events[3].event_id).segment(1, "phone-1", &log).lines());
    let shown = device.store.shown_lines(&ann()).unwrap();

    // Another incarnation, which has the first two: until it was fetched, the state stays as it is.
    device.take_pull(&Pulled::noon().epoch(2).behind(0, 2).mark(2, events[1].event_id).lines());
    assert_eq!(device.pending(), [3, 4]);
    assert_eq!(device.store.shown_lines(&ann()).unwrap(), shown);
    let restored =
        Pulled::noon().epoch(2).mark(2, events[1].event_id).segment(1, "phone-1", &log[..2]).lines();
    device.take_pull(&restored);
    assert_eq!(device.store.shown_lines(&ann()).unwrap(), shown);
    assert_eq!(device.store.space(&ann()).unwrap().cursor.0, 2);
    // An answer of the same incarnation never takes a watermark back.
    device.take_pull(&Pulled::noon().epoch(2).behind(2, 2).mark(1, events[0].event_id).lines());
    assert_eq!(device.pending(), [3, 4]);
}

#[test]
fn a_clock_that_was_wrong_is_corrected_before_anything_is_sent() {
    let mut device = Device::new("phone-1");
    let year = 365 * 86_400_000;
    device.now.wall_ms += year;
    device.record_laps(3);
    device.later(10_000);
    let asked = device.now.clone();
    let request = Request::Pull(device.pull_request());
    device.later(10);
    let answer = Answer::Pulled(Pulled::at(NOON).lines());
    device.store.take(&request, &answer, &asked, &device.now).unwrap();
    let stamps: Vec<_> = device.events().iter().map(|event| event.timestamp.millis() - NOON).collect();
    assert!(
        stamps.iter().zip([-12_000, -11_000, -10_000]).all(|(stamp, expected)| (stamp - expected).abs() < 50),
        "{stamps:?}"
    );
    assert!(lines(&device).iter().zip(&stamps).all(|(line, _)| line.contains("2025-08-06T10:29:")));
    // The clock goes on from there, not from next year.
    device.now.wall_ms = NOON;
    let recorded = device.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    assert_eq!(recorded.timestamp.millis(), NOON);
}

#[test]
fn a_received_stamp_from_a_lying_clock_does_not_push_ours_ahead() {
    let mut device = Device::new("phone-1");
    let created = event("WORKOUT_CREATED", 1, 3_600_000, &json!({"name": "run"}));
    device.take_pull(&Pulled::noon().segment(1, "watch", &[created, lap(2, 30_000)]).lines());
    let recorded = device.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    assert_eq!((recorded.timestamp.millis() - NOON, recorded.timestamp.counter()), (30_000, 1));
}

#[test]
fn a_filter_shows_and_pulls_its_types_alone_and_pushes_everything() {
    let mut device = Device::new("phone-1");
    device.record_laps(2);
    let filter = Filter { types: Some(["note".to_owned()].into()), recent: None };
    device.store.join(&ann(), &filter).unwrap();
    assert_eq!(device.pull_request().types, filter.types);
    device.take_pull(&Pulled::noon().lines());
    assert_eq!(device.fields("workout", "w-1"), None);
    device.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    device.record("NOTE_WRITTEN", "n-1", json!({"text": "hot"}));
    assert_eq!(device.fields("workout", "w-1"), None);
    assert_eq!(device.fields("note", "n-1"), Some(json!({"text": "hot"})));
    assert_eq!(device.pending(), [1, 2, 3, 4]);

    device.store.join(&ann(), &Filter::default()).unwrap();
    device.take_pull(&Pulled::noon().lines());
    assert_eq!(device.fields("workout", "w-1").unwrap()["laps"], 2);
}

#[test]
fn another_schema_fetches_the_state_anew_and_shows_the_old_one_until_then() {
    let mut device = Device::new("phone-1");
    let created = event("WORKOUT_CREATED", 1, 0, &json!({"name": "run"}));
    device.take_pull(&Pulled::noon().segment(1, "watch", std::slice::from_ref(&created)).lines());
    let mut newer = options("ann", "phone-1");
    let schema = super::device::SCHEMA.replace("version: 3", "version: 4");
    newer.schema = tidelog_events::schema::Schema::parse(&schema).unwrap().into();
    let mut device = device.reopen(newer);
    assert!(device.fields("workout", "w-1").is_some());
    assert!(device.store.space(&ann()).unwrap().refetching);
    let answer = Pulled::noon().segment(1, "watch", std::slice::from_ref(&created)).lines();
    assert_eq!(device.take_pull(&answer[..answer.len() - 9]), Taken::Torn);
    assert!(device.fields("workout", "w-1").is_some(), "half an answer replaces nothing");
    device.take_pull(&Pulled::noon().segment(1, "watch", &[created]).lines());
    assert!(!device.store.space(&ann()).unwrap().refetching);
    assert_eq!(device.fields("workout", "w-1").unwrap()["name"], "run");
}

#[test]
fn spaces_have_logs_of_their_own() {
    let mut device = Device::new("phone-1");
    let team = SpaceId::new("team-9").unwrap();
    device.store.join(&team, &Filter::default()).unwrap();
    device.record_laps(2);
    assert_eq!(device.store.space(&team).unwrap().pending, 0);
    let spaces = device.store.spaces().unwrap();
    assert_eq!(spaces.iter().map(|space| space.space.as_str()).collect::<Vec<_>>(), ["ann", "team-9"]);
}
