//! What a hello lists, what news is, and where an answer begins.

use tidelog_events::code::Fault;
use tidelog_events::id::{EventId, Sequence};
use uuid::Uuid;

use super::*;
use crate::pull::testing;

fn state(quarantined: u64) -> DeviceState {
    let event = |sequence| QuarantinedEvent {
        device_sequence: Sequence(sequence),
        event_id: EventId(Uuid::nil()),
        code: Fault::UnknownType,
        detail: String::new(),
    };
    DeviceState { quarantined: (1..=quarantined).map(event).collect(), ..DeviceState::default() }
}

#[test]
fn a_hello_lists_the_latest_hundred_quarantined_events_and_says_whether_there_are_more() {
    for (found, listed, more) in [(0, 0, false), (1, 1, false), (100, 100, false), (101, 100, true)] {
        let mut state = state(found);
        keep_latest_quarantined(&mut state);
        assert_eq!((state.quarantined.len(), state.more_quarantined), (listed, more), "{found}");
        assert_eq!(state.quarantined.first().map_or(0, |event| event.device_sequence.0), found);
    }
}

#[test]
fn a_cursor_behind_or_beyond_the_head_is_news_and_one_at_the_head_is_none() {
    let read = LogRead { head: Position(5), ..LogRead::default() };
    let news = |after| read.is_news(Position(after));
    assert_eq!((news(4), news(5), news(6)), (true, false, true));
    assert!(!LogRead::default().is_news(Position::ZERO));
}

#[test]
fn a_device_that_the_server_does_not_know_has_pushed_nothing() {
    let device = DeviceId::new("phone-1").unwrap();
    let read = LogRead::default();
    assert_eq!(read.hello(None, 1, UtcTime(0)).device, None);
    assert_eq!(read.hello(Some(&device), 1, UtcTime(0)).device, Some(DeviceState::default()));
}

#[test]
fn segments_begin_behind_the_snapshot_where_there_is_one() {
    let (snapshot, parts) = testing::snapshot(4, &[]);
    let read = LogRead { head: Position(9), cursor: Position(2), ..LogRead::default() };
    assert_eq!(read.segments_after(), Position(2));
    let read = LogRead { snapshot: Some(SnapshotRead { snapshot, parts }), ..read };
    assert_eq!(read.segments_after(), Position(4));
}
