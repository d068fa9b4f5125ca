//! Pulls: the hello, whole segments, entity types.

use tidelog_events::code::Refusal;
use tidelog_events::protocol::{DeviceState, UtcTime};

use super::*;

/// Each segment as its positions and those of its events.
fn segments(lines: &str) -> Vec<(u64, u64, Vec<u64>)> {
    let (_, items) = items(lines);
    let segment = |item: &PullItem<'_>| match item {
        PullItem::Segment(header, events) => {
            (header.first.0, header.last.0, events.iter().map(|(position, _)| position.0).collect())
        }
        other => panic!("{other:?}"),
    };
    items.iter().map(segment).collect()
}

#[test]
fn a_space_that_nothing_was_pushed_to_has_no_epoch() {
    let server = server();
    let lines = lines(&server, &pull(7, 10, None));
    let (hello, items) = items(&lines);
    assert_eq!((hello.epoch, hello.head, hello.cursor), (None, Position::ZERO, Position::ZERO));
    assert_eq!(hello.device, Some(DeviceState::default()));
    assert_eq!((hello.server_time, hello.schema_version), (UtcTime(NOW_MS), 3));
    assert!(items.is_empty());
}

#[test]
fn whole_segments_come_until_the_limit_and_at_least_one() {
    let server = server();
    for (first, last) in [(1, 3), (4, 5), (6, 9)] {
        pushed(&server, &push("phone", first, last));
    }
    let one = (1, 3, vec![1, 2, 3]);
    let check = |after, limit, expect: &[(u64, u64, Vec<u64>)]| {
        assert_eq!(segments(&lines(&server, &pull(after, limit, None))), expect, "{after} {limit}");
    };
    check(0, 1, std::slice::from_ref(&one));
    check(0, 3, std::slice::from_ref(&one));
    check(0, 4, &[one.clone(), (4, 5, vec![4, 5])]);
    check(0, 100, &[one, (4, 5, vec![4, 5]), (6, 9, vec![6, 7, 8, 9])]);
    check(2, 1, &[(1, 3, vec![3])]);
    check(9, 1, &[]);
    let beyond = lines(&server, &pull(10, 1, None));
    let (hello, items) = items(&beyond);
    assert_eq!((hello.head, hello.cursor, items.len()), (Position(9), Position::ZERO, 0));
}

#[test]
fn the_lines_are_those_that_were_pushed() {
    let server = server();
    let Request::Push(request) = push("phone", 1, 2) else { unreachable!() };
    pushed(&server, &Request::Push(request.clone()));
    let lines = lines(&server, &pull(0, 10, None));
    assert!(lines.ends_with(&String::from_utf8(request.body).unwrap()));
    assert!(lines.contains(r#""userId":"ann","receivedAt":"2025-08-06T10:30:00.000Z"}]}}"#), "{lines}");
}

#[test]
fn a_hello_tells_the_device_its_watermark_and_its_latest_quarantined_events() {
    let server = server();
    let batch: Vec<_> = (1..=102).map(|sequence| bad_line("phone", sequence)).collect();
    for (through, listed, more) in [(100, 100, false), (101, 100, true)] {
        pushed(&server, &request_of("phone", None, 1, &batch[..through]));
        let lines = lines(&server, &pull(0, 10, None));
        let device = items(&lines).0.device.unwrap();
        assert_eq!(device.last_sequence, Sequence(through as u64));
        assert_eq!(device.last_event_id, Some(id("phone", 0, through as u64)));
        assert_eq!((device.quarantined.len(), device.more_quarantined), (listed, more));
        assert_eq!(device.quarantined[0].device_sequence, Sequence(through as u64));
    }
}

#[test]
fn a_filtered_pull_covers_all_positions() {
    let server = server();
    // Cups are odd, tea is even.
    for (first, last) in [(1, 1), (2, 2), (3, 3), (4, 6), (7, 7)] {
        pushed(&server, &push("phone", first, last));
    }
    let check = |after, limit, types: &[&str], expect: &[(u64, u64, Vec<u64>)]| {
        assert_eq!(segments(&lines(&server, &pull(after, limit, Some(types)))), expect, "{after} {limit}");
    };
    check(0, 100, &["tea"], &[(1, 3, vec![2]), (4, 7, vec![4, 6])]);
    check(
        0,
        100,
        &["cup", "tea"],
        &[(1, 1, vec![1]), (2, 2, vec![2]), (3, 3, vec![3]), (4, 6, vec![4, 5, 6]), (7, 7, vec![7])],
    );
    check(4, 1, &["tea"], &[(5, 5, vec![])]);
    check(4, 2, &["tea"], &[(5, 6, vec![6])]);
    check(6, 9, &["tea"], &[(7, 7, vec![])]);
    assert_eq!(refused(&server, &pull(0, 1, Some(&["ghost"]))).code, Some(Refusal::RequestInvalid));
}
