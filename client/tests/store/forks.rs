//! Forks, as the store settles them. Whole syncs of forked devices are run by the simulation.

use std::time::Duration;

use serde_json::json;
use tidelog_client::sync::{Cycle, CycleOptions, Progress};
use tidelog_client::transport::{Answer, Refused, Request};
use tidelog_events::code::Refusal;
use tidelog_events::id::{EventId, Position, Sequence};
use tidelog_events::protocol::DeviceEvent;
use uuid::Uuid;

use super::answers::{Pulled, refused};
use super::device::{Device, ann};

/// Runs a cycle to its next request, which must be one of the two that a fork leads to.
fn next(cycle: &mut Cycle, device: &mut Device) -> Request {
    cycle.next(&mut device.store).unwrap().expect("there is something to ask")
}

fn answer(cycle: &mut Cycle, device: &mut Device, request: &Request, answer: &Answer) {
    device.later(1);
    let now = device.now.clone();
    let progress = cycle.take(&mut device.store, request, answer, &now, &now).unwrap();
    assert_eq!(progress, Progress::GoOn);
}

/// A device whose numbers 3 and 4 are taken by other events, asked for what the server has.
fn forked(device: &mut Device) -> (Cycle, Request) {
    let (cycle, asked) = forked_with(device, 0);
    assert!(
        matches!(&asked, Request::OwnEvents(asked) if (asked.from, asked.to) == (Sequence(1), Sequence(4))),
        "{asked:?}"
    );
    (cycle, asked)
}

/// The same, where it has pulled that much of the log before.
fn forked_with(device: &mut Device, cursor: u64) -> (Cycle, Request) {
    let mut cycle = Cycle::new(ann(), CycleOptions::default());
    let hello = next(&mut cycle, device);
    let stranger = EventId(Uuid::from_u128(99));
    let taken = Pulled::at(device.now.wall_ms).behind(cursor, cursor).mark(4, stranger).lines();
    answer(&mut cycle, device, &hello, &Answer::Pulled(taken));
    let asked = next(&mut cycle, device);
    (cycle, asked)
}

#[test]
fn a_fork_settles_what_the_server_has_and_renumbers_the_rest() {
    let mut device = Device::new("phone-1");
    device.record_laps(4);
    let (shown, events) = (device.fields("workout", "w-1"), device.events());
    let (mut cycle, asked) = forked(&mut device);
    let known = (1..=2).map(|sequence| DeviceEvent {
        device_sequence: Sequence(sequence),
        event_id: events[sequence as usize - 1].event_id,
        position: Some(Position(sequence)),
        quarantined: None,
    });
    answer(&mut cycle, &mut device, &asked, &Answer::OwnEvents(known.collect()));
    let hello = next(&mut cycle, &mut device);
    let Request::Pull(pull) = &hello else { panic!("{hello:?}") };
    assert_ne!(pull.device.as_str(), "phone-1");
    assert_eq!(device.pending(), [1, 2]);
    let rest: Vec<_> =
        device.events()[2..].iter().map(|event| (event.event_id, event.device_id.clone())).collect();
    assert_eq!(rest, [(events[2].event_id, pull.device.clone()), (events[3].event_id, pull.device.clone())]);
    assert!(device.events()[2].line.contains("\"deviceSequence\":1,"));
    assert_eq!(device.fields("workout", "w-1"), shown);
    let recorded = device.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    assert_eq!((&recorded.device_id, recorded.device_sequence), (&pull.device, Sequence(3)));
}

#[test]
fn what_is_recorded_while_the_server_is_asked_moves_too() {
    let mut device = Device::new("phone-1");
    device.record_laps(4);
    let (mut cycle, asked) = forked(&mut device);
    device.record("LAP_RECORDED", "w-1", json!({"laps": 1}));
    answer(&mut cycle, &mut device, &asked, &Answer::OwnEvents(Vec::new()));
    let hello = next(&mut cycle, &mut device);
    assert!(matches!(&hello, Request::Pull(pull) if pull.device.as_str() != "phone-1"), "{hello:?}");
    assert_eq!(device.pending(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_server_that_tells_of_fewer_events_at_once_is_asked_for_fewer() {
    let mut device = Device::new("phone-1");
    device.record_laps(4);
    let (mut cycle, asked) = forked(&mut device);
    let refused = Answer::Refused(refused(Refusal::RequestInvalid));
    let mut request = asked;
    let mut asked_for = Vec::new();
    while let Request::OwnEvents(own) = &request {
        let sequences = own.to.0 + 1 - own.from.0;
        asked_for.push(sequences);
        let answered = if sequences > 2 { refused.clone() } else { Answer::OwnEvents(Vec::new()) };
        answer(&mut cycle, &mut device, &request, &answered);
        request = next(&mut cycle, &mut device);
    }
    assert!(asked_for.ends_with(&[2, 2]), "{asked_for:?}");
}

#[test]
fn an_overloaded_server_is_left_alone_and_then_asked_for_fewer_down_to_a_batch() {
    let mut device = Device::new("phone-1");
    device.record_laps(400);
    let (mut cycle, mut asked) = forked_with(&mut device, 0);
    let wait = Some(Duration::from_secs(7));
    let overloaded = Answer::Refused(Refused { retry_after: wait, ..refused(Refusal::Overloaded) });
    let mut asked_for = Vec::new();
    for _ in 0..5 {
        let Request::OwnEvents(own) = &asked else { panic!("{asked:?}") };
        asked_for.push(own.to.0 + 1 - own.from.0);
        device.later(1);
        let now = device.now.clone();
        let progress = cycle.take(&mut device.store, &asked, &overloaded, &now, &now).unwrap();
        assert!(matches!(&progress, Progress::Retry(failure) if failure.retry_after == wait), "{progress:?}");
        cycle = Cycle::new(ann(), cycle.options());
        asked = next(&mut cycle, &mut device);
    }
    assert_eq!(asked_for, [400, 200, 100, 50, 50]);
}

#[test]
fn without_the_servers_answer_a_fork_waits() {
    let mut device = Device::new("phone-1");
    device.record_laps(4);
    drop(forked(&mut device));
    assert_eq!(device.pending(), [1, 2, 3, 4]);
    let (_, asked) = forked(&mut device);
    assert_eq!(asked.space(), &ann());
}

#[test]
fn two_lives_that_share_what_is_left_send_it_as_one_device() {
    let mut one = Device::new("phone-1");
    one.record_laps(4);
    let copy = tempfile::TempDir::new().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("ann.sqlite{suffix}");
        std::fs::copy(one.folder.path().join(&name), copy.path().join(&name)).unwrap();
    }
    let store = tidelog_client::EventStore::open(
        &copy.path().join("ann.sqlite"),
        super::device::options("ann", "phone-1"),
    );
    let mut other = Device { folder: copy, store: store.unwrap(), now: one.now.clone() };
    let mut left = Vec::new();
    for device in [&mut one, &mut other] {
        let (mut cycle, asked) = forked(device);
        answer(&mut cycle, device, &asked, &Answer::OwnEvents(Vec::new()));
        next(&mut cycle, device);
        left.push(device.events().into_iter().map(|event| (event.device_id, event.line)).collect::<Vec<_>>());
    }
    assert_eq!(left[0], left[1]);
}

#[test]
fn what_another_life_has_brought_into_the_log_is_shown_once_and_as_the_log_has_it() {
    let mut device = Device::new("phone-1");
    device.record_laps(4);
    let shown = device.fields("workout", "w-1");
    let own: Vec<_> = device.events().into_iter().map(|event| event.line).collect();
    // Another life has sent events 3 and 4 as the first of a new device, with other stamps.
    let renumber = |line: &str, sequence: u64, number: u64| {
        line.replace(&format!("\"deviceSequence\":{sequence}"), &format!("\"deviceSequence\":{number}"))
            .replace("T10:30:0", "T10:29:0")
    };
    let twins = [renumber(&own[2], 3, 1), renumber(&own[3], 4, 2)];
    let log = Pulled::at(device.now.wall_ms).segment(1, "phone-1", &own[..2]).segment(3, "twin", &twins);
    device.take_pull(&log.lines());
    assert_eq!(device.fields("workout", "w-1"), shown);
    assert_eq!(device.pending(), [3, 4]);

    let (mut cycle, asked) = forked_with(&mut device, 4);
    assert!(matches!(&asked, Request::OwnEvents(asked) if asked.from == Sequence(3)), "{asked:?}");
    answer(&mut cycle, &mut device, &asked, &Answer::OwnEvents(Vec::new()));
    let hello = next(&mut cycle, &mut device);
    let last = device.events()[3].event_id;
    let taken = Pulled::at(device.now.wall_ms).behind(4, 4).mark(2, last).lines();
    answer(&mut cycle, &mut device, &hello, &Answer::Pulled(taken));
    assert!(device.pending().is_empty());
    assert_eq!(device.fields("workout", "w-1"), shown);
    let lines: Vec<_> = device.events().into_iter().skip(2).map(|event| event.line).collect();
    assert_eq!(lines, twins);
}
