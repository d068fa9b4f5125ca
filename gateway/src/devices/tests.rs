//! What a device is told of its own events.

use tidelog_events::code::Fault;
use tidelog_events::frame::{Decoder, Encoder, SegmentBatch, SegmentHeader};
use tidelog_events::id::{SpaceId, UserId};
use tidelog_events::protocol::UtcTime;
use uuid::Uuid;

use super::*;

#[test]
fn a_range_has_defaults_and_a_limit() {
    let check = |from: Option<u64>, to: Option<u64>, limit: u64, expect: Option<(u64, u64)>| {
        let found = range(&RangeParams { from, to }, limit);
        assert_eq!(
            found.as_ref().ok().map(|range| (range.first.0, range.last.0)),
            expect,
            "{from:?} {to:?} {limit}"
        );
        if let Err(problem) = found {
            assert_eq!(problem.code, Refusal::RequestInvalid);
        }
    };
    check(None, None, 10_000, Some((1, 1000)));
    check(Some(51), None, 10_000, Some((51, 1050)));
    check(None, None, 500, Some((1, 500)));
    check(Some(5), Some(5), 10_000, Some((5, 5)));
    check(None, Some(10_000), 10_000, Some((1, 10_000)));
    check(None, Some(10_001), 10_000, None);
    check(Some(0), None, 10_000, None);
    check(Some(5), Some(4), 10_000, None);
    check(Some(1), Some(u64::MAX), 10_000, None);
    check(Some(u64::MAX), None, 10_000, None);
}

#[test]
fn chunks_are_the_whole_range_without_overlap() {
    let check = |first, last, expect: &[(u64, u64)]| {
        let range = SequenceRange { first: Sequence(first), last: Sequence(last) };
        let found: Vec<_> = chunks(range).map(|range| (range.first.0, range.last.0)).collect();
        assert_eq!(found, expect);
    };
    check(1, 1, &[(1, 1)]);
    check(1, 1000, &[(1, 1000)]);
    check(1, 1001, &[(1, 1000), (1001, 1001)]);
    check(500, 2600, &[(500, 1499), (1500, 2499), (2500, 2600)]);
}

fn id(number: u64) -> EventId {
    EventId(Uuid::from_u128(u128::from(number)))
}

fn line(number: u64, sequence: Option<u64>) -> String {
    let sequence = sequence.map(|sequence| format!(r#""deviceSequence":{sequence},"#)).unwrap_or_default();
    format!("{{\"eventId\":\"{}\",{sequence}\"type\":\"X\"}}\n", id(number))
}

/// A segment from position 11 on, its batches by their first positions and devices.
fn segment(batches: &[(u64, &str)], lines: &[String]) -> Segment {
    let batch = |&(first, device): &(u64, &str)| SegmentBatch {
        first: Position(first),
        device_id: DeviceId::new(device).unwrap(),
        user_id: UserId::new("ann").unwrap(),
        received_at: UtcTime(1),
        released: false,
    };
    let header = SegmentHeader {
        first: Position(11),
        last: Position(10 + lines.len() as u64),
        lines: lines.len() as u64,
        batches: batches.iter().map(batch).collect(),
        positions: None,
    };
    Segment { header, frame: Encoder::new().unwrap().encode(lines.concat().as_bytes()).unwrap() }
}

#[test]
fn a_device_is_told_of_its_own_sequences_alone() {
    let check = |device: &str, (first, last), segment: Segment, expect: &[(u64, u64, u64)]| {
        let wanted = DeviceRange {
            space: SpaceId::new("ann").unwrap(),
            device: DeviceId::new(device).unwrap(),
            range: SequenceRange { first: Sequence(first), last: Sequence(last) },
        };
        let mut codec = Codec { encoder: Encoder::new().unwrap(), decoder: Decoder::new().unwrap() };
        let stored = Stored { segments: vec![segment], quarantined: Vec::new() };
        let expect: Vec<_> = expect
            .iter()
            .map(|&(sequence, number, position)| DeviceEvent {
                device_sequence: Sequence(sequence),
                event_id: id(number),
                position: Some(Position(position)),
                quarantined: None,
            })
            .collect();
        assert_eq!(events(stored, &wanted, &mut codec).unwrap(), expect, "{device} {first}-{last}");
    };
    let numbered = [line(1, Some(4)), line(2, Some(5)), line(3, Some(7))];
    let one_batch = || segment(&[(11, "phone-1")], &numbered);
    check("phone-1", (1, 1000), one_batch(), &[(4, 1, 11), (5, 2, 12), (7, 3, 13)]);
    check("phone-1", (5, 6), one_batch(), &[(5, 2, 12)]);
    check("phone-2", (1, 1000), one_batch(), &[]);
    let own = [line(1, None), line(2, None)];
    let two = || segment(&[(11, "event:1"), (12, "event:2")], &own);
    check("event:2", (1, 1000), two(), &[(1, 2, 12)]);
    check("event:2", (2, 1000), two(), &[]);
}

#[test]
fn an_item_says_where_the_event_is_or_why_it_is_not_in_the_log() {
    let event = |position, quarantined| DeviceEvent {
        device_sequence: Sequence(1),
        event_id: id(1),
        position,
        quarantined,
    };
    let items = vec![event(Some(Position(9)), None), event(None, Some(Fault::UnknownType))];
    let nil = "\"deviceSequence\":1,\"eventId\":\"00000000-0000-0000-0000-000000000001\"";
    assert_eq!(
        serde_json::to_string(&DeviceEvents { items }).unwrap(),
        format!(r#"{{"items":[{{{nil},"position":9}},{{{nil},"quarantined":"event-unknown-type"}}]}}"#)
    );
}
