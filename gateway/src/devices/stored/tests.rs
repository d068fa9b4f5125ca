//! What a device is told of its own events.

use tidelog_events::frame::{Decoder, Encoder, SegmentBatch, SegmentHeader};
use tidelog_events::id::{SpaceId, UserId};
use tidelog_events::protocol::UtcTime;
use uuid::Uuid;

use super::*;

#[test]
fn what_the_watermark_covers_and_nobody_has_was_pruned() {
    let check = |watermark, found: &[u64], (first, last), expect: Option<(u64, u64)>| {
        let event = |&sequence: &u64| DeviceEvent {
            device_sequence: Sequence(sequence),
            event_id: id(sequence),
            position: Some(Position(sequence)),
            quarantined: None,
        };
        let events = found.iter().map(|sequence| (Sequence(*sequence), event(sequence))).collect();
        let stored = Stored { watermark: Sequence(watermark), events };
        let pruned = stored.pruned(SequenceRange { first: Sequence(first), last: Sequence(last) });
        let pruned = pruned.map(|range| (range.first.0, range.last.0));
        assert_eq!(pruned, expect, "{found:?} of {watermark}, {first}-{last}");
    };
    check(0, &[], (1, 1000), None);
    check(3, &[1, 2, 3], (1, 1000), None);
    check(9, &[7, 8, 9], (7, 1000), None);
    check(9, &[7, 8, 9], (1, 1000), Some((1, 6)));
    check(9, &[3, 7, 8, 9], (2, 5), Some((2, 5)));
    check(9, &[3], (3, 4), Some((4, 4)));
    check(9, &[3], (10, 20), None);
}

#[test]
fn chunks_are_the_whole_range_without_overlap() {
    let check = |first, last, expect: &[(u64, u64)]| {
        let range = SequenceRange { first: Sequence(first), last: Sequence(last) };
        let found: Vec<_> = chunks(range).map(|range| (range.first.0, range.last.0)).collect();
        assert_eq!(found, expect);
    };
    check(1, 1, &[(1, 1)]);
    check(1, 250, &[(1, 250)]);
    check(1, 251, &[(1, 250), (251, 251)]);
    check(500, 1100, &[(500, 749), (750, 999), (1000, 1100)]);
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
        let expect: Vec<_> = expect
            .iter()
            .map(|&(sequence, number, position)| DeviceEvent {
                device_sequence: Sequence(sequence),
                event_id: id(number),
                position: Some(Position(position)),
                quarantined: None,
            })
            .collect();
        assert_eq!(events(&[segment], &wanted, &mut codec).unwrap(), expect, "{device} {first}-{last}");
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
