//! What a caller may ask, and what an item looks like.

use tidelog_events::code::Fault;
use tidelog_events::id::{EventId, Position};
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
fn an_item_says_where_the_event_is_or_why_it_is_not_in_the_log() {
    let event = |position, quarantined| DeviceEvent {
        device_sequence: Sequence(1),
        event_id: EventId(Uuid::from_u128(1)),
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
