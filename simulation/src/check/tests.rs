//! Every check must fail on something that is wrong.

use std::collections::BTreeSet;

use serde_json::json;
use tidelog_events::code::Fault;
use tidelog_events::id::{DeviceId, EventId, Position, Sequence};
use tidelog_events::schema::Schema;
use uuid::Uuid;

use super::log::{Ending, Logged, check_log};
use super::phone::{Truth, check_read_model};
use super::replay::Replay;
use super::stamps::check_stamps;
use crate::finding::{Finding, Wrong};
use crate::model::Model;
use crate::plan::PlannedEvent;
use crate::schemas::FITNESS;
use crate::server::{LogEvent, QuarantinedAt, ReadModel};

const NOON: i64 = 1_754_481_600_000;

fn id(number: u64) -> EventId {
    EventId(Uuid::from_u128(number.into()))
}

fn device() -> DeviceId {
    DeviceId::new("phone").unwrap()
}

/// Event `number`: so many laps, recorded so many seconds after noon.
fn logged(position: u64, number: u64) -> LogEvent {
    let line = format!(
        r#"{{"eventId":"{}","deviceSequence":{number},"type":"LAP_RECORDED","entityId":"w-1","timestamp":"2025-08-06T12:00:{number:02}.000Z-0000","lastSeenEventId":null,"payload":{{"laps":{number}}}}}"#,
        id(number)
    );
    LogEvent { position: Position(position), device: device(), line }
}

fn quarantined(number: u64) -> QuarantinedAt {
    QuarantinedAt {
        device: device(),
        sequence: Sequence(number),
        event_id: id(number),
        code: Fault::UnknownType,
    }
}

/// Events 1 to 3 are good, event 4 is not.
fn model() -> Model {
    let mut model = Model::default();
    for number in 1..=4 {
        let (event_type, entity_id) = ("LAP_RECORDED", "w-1".to_owned());
        let planned =
            PlannedEvent { event_type, entity_id, payload: json!({ "laps": number }), is_valid: number < 4 };
        model.record(id(number), 0, planned);
    }
    model
}

fn check_ending(log: Vec<LogEvent>, quarantine: &[u64], expect: &[Wrong]) {
    let model = model();
    let kept = (1..=4).map(id).collect();
    let quarantine = quarantine.iter().map(|number| quarantined(*number)).collect();
    let ending = Ending { model: &model, kept, log, quarantine };
    let found: Vec<Wrong> = check_log(&ending).iter().map(|finding: &Finding| finding.wrong).collect();
    assert_eq!(found, expect, "{:?}", ending.log);
}

#[test]
fn a_log_that_is_right_is_right() {
    check_ending(vec![logged(1, 1), logged(2, 2), logged(3, 3)], &[4], &[]);
    check_ending(vec![logged(1, 3), logged(2, 1), logged(3, 2)], &[4], &[]);
}

#[test]
fn everything_that_can_be_wrong_with_a_log_is_found() {
    let all = |position| logged(position, position);
    check_ending(vec![all(1), all(3)], &[4], &[Wrong::Disordered, Wrong::Lost]);
    check_ending(vec![logged(1, 1), logged(2, 2), logged(4, 3)], &[4], &[Wrong::Disordered]);
    check_ending(vec![all(1), all(2)], &[4], &[Wrong::Lost]);
    check_ending(vec![all(1), all(2), all(3)], &[], &[Wrong::Lost]);
    check_ending(vec![all(1), all(2), all(3), logged(4, 2)], &[4], &[Wrong::Twice]);
    check_ending(vec![all(1), all(2), all(3)], &[4, 4], &[Wrong::Twice]);
    check_ending(vec![all(1), all(2), all(3), all(4)], &[4], &[Wrong::Divergent]);
    check_ending(vec![all(1), all(2), all(3), logged(4, 9)], &[4], &[Wrong::Divergent]);
    check_ending(vec![all(1), all(2), all(3)], &[4, 3], &[Wrong::Divergent]);
    check_ending(vec![all(1), all(2), all(3)], &[4, 9], &[Wrong::Divergent]);
    let mut other = all(3);
    other.line = other.line.replace(r#""laps":3"#, r#""laps":4"#);
    check_ending(vec![all(1), all(2), other], &[4], &[Wrong::Divergent]);
}

#[test]
fn stamps_that_fall_or_are_ahead_and_numbers_that_come_twice_are_found() {
    let single = BTreeSet::from([device()]);
    let check = |log: &[LogEvent], now_ms, expect: &[Wrong]| {
        let found: Vec<_> = check_stamps(log, &single, now_ms).iter().map(|finding| finding.wrong).collect();
        assert_eq!(found, expect);
    };
    let right = [logged(1, 1), logged(2, 2)];
    check(&right, NOON, &[]);
    check(&right, NOON - 58_500, &[Wrong::Disordered]);
    let mut falling = right.clone();
    falling[1].line = falling[1].line.replace("12:00:02", "12:00:00");
    check(&falling, NOON, &[Wrong::Disordered]);
    assert_eq!(check_stamps(&falling, &BTreeSet::new(), NOON), []);
    check(&[logged(1, 1), logged(2, 1)], NOON, &[Wrong::Twice]);
}

#[test]
fn a_log_that_changes_is_found() {
    let mut known = Logged::default();
    known.update(vec![logged(1, 1)]).unwrap();
    known.update(vec![logged(1, 1), logged(2, 2)]).unwrap();
    assert_eq!(known.positions.get(&id(2)), Some(&Position(2)));
    assert!(known.update(vec![logged(1, 1)]).is_err());
    assert!(known.update(vec![logged(1, 1), logged(2, 3), logged(3, 2)]).is_err());
}

#[test]
fn a_state_that_lacks_an_event_is_found_and_the_event_named() {
    let schema = Schema::parse(FITNESS).unwrap();
    let mut created = logged(1, 1);
    created.line =
        created.line.replace("LAP_RECORDED", "WORKOUT_CREATED").replace(r#""laps":1"#, r#""name":"run""#);
    let log = [created.clone(), logged(2, 2), logged(3, 3)];
    let mut rng = fastrand::Rng::with_seed(1);
    let mut replay = |log: &[LogEvent]| Replay::of(log, &schema, &mut rng).unwrap();
    let read_model = |replay: &Replay| ReadModel { lines: replay.lines.clone(), hash: replay.hash.clone() };
    let (whole, lacking) = (replay(&log), replay(&[created, logged(3, 3)]));
    assert_eq!(whole.check_plainly(&log, &schema), None);
    assert!(whole.check_plainly(&log[..2], &schema).is_some());
    let (right, wrong) = (read_model(&whole), read_model(&lacking));
    let truth = Truth { log: &log, replay: whole, schema: &schema, model: &model(), by_snapshot: false };
    assert_eq!(check_read_model(&right, &truth), []);
    let found = check_read_model(&wrong, &truth);
    assert_eq!(found[0].event, Some(log[1].culprit()));
    // The hash is compared, too.
    assert_eq!(found.len(), 2);
}
