//! What befalls requests and the server itself.

use tidelog_client::transport::Unreachable;
use tidelog_events::code::Refusal;
use tidelog_events::fold::State;

use super::*;
use crate::server::{Cut, Disturbance};

#[test]
fn a_cut_request_is_acted_on_only_where_it_arrived_whole() {
    let server = server();
    let ann = UserId::new("ann").unwrap();
    let cut = |cut| server.send(&ann, &push("phone", 1, 1), NOW_MS, Some(cut));
    for (at, events) in [(Cut::Before, 0), (Cut::During, 0), (Cut::After, 1)] {
        assert!(matches!(cut(at), Err(Unreachable { .. })));
        assert_eq!(log(&server).len(), events, "{at:?}");
    }
}

#[test]
fn the_next_request_is_refused_and_the_one_behind_it_is_not() {
    let server = server();
    for (status, code) in [(429, Refusal::RateLimited), (503, Refusal::Overloaded)] {
        assert!(server.disturb(&space(), Disturbance::Refuse(status)));
        let refused = refused(&server, &push("phone", 1, 1));
        assert_eq!((refused.status, refused.code), (status, Some(code)));
        assert!(refused.retry_after.is_some());
    }
    assert!(pushed(&server, &push("phone", 1, 1)).committed);
}

#[test]
fn a_push_in_the_broker_is_committed_behind_the_next_request_or_never() {
    let server = server();
    server.disturb(&space(), Disturbance::CommitLate);
    let answer = pushed(&server, &push("phone", 1, 2));
    assert_eq!((answer.committed, answer.head, answer.device), (false, None, None));
    let at_once = lines(&server, &pull(0, 10, None));
    assert_eq!(items(&at_once).0.head, Position::ZERO, "the request behind it sees nothing of it");
    assert_eq!(log(&server).len(), 2);

    server.disturb(&space(), Disturbance::LosePush);
    assert!(!pushed(&server, &push("phone", 3, 3)).committed);
    lines(&server, &pull(0, 10, None));
    assert_eq!(log(&server).len(), 2);
    assert!(pushed(&server, &push("phone", 3, 3)).committed);

    // A retry that overtakes the late batch makes that a duplicate.
    server.disturb(&space(), Disturbance::CommitLate);
    pushed(&server, &push("phone", 4, 4));
    assert!(pushed(&server, &push("phone", 4, 4)).receipts.is_empty());
    assert_eq!(log(&server).len(), 4);
}

#[test]
fn who_is_behind_the_horizon_gets_a_snapshot_and_all_others_the_log() {
    let server = server();
    assert!(!server.disturb(&space(), Disturbance::Prune), "there is nothing to prune");
    pushed(&server, &push("phone", 1, 3));
    pushed(&server, &request_of("tablet", None, 1, &[line("tablet", 0, 1), bad_line("tablet", 2)]));
    assert!(server.disturb(&space(), Disturbance::Prune));
    assert!(!server.disturb(&space(), Disturbance::Prune));
    pushed(&server, &push("phone", 4, 5));
    assert_eq!(log(&server).len(), 6, "an archive keeps what was pruned");

    let schema = Schema::parse(SCHEMA).unwrap();
    for after in [0, 3] {
        let lines = lines(&server, &pull(after, 1, None));
        let (hello, items) = items(&lines);
        assert_eq!((hello.horizon, hello.head, hello.cursor), (Position(4), Position(6), Position(after)));
        let [PullItem::Snapshot(header, entities), PullItem::Segment(segment, _)] = items.as_slice() else {
            panic!("{items:?}")
        };
        assert_eq!((header.through, segment.first), (Position(4), Position(5)));
        assert_eq!(
            (header.devices[&device("phone")], header.devices[&device("tablet")]),
            (Sequence(3), Sequence(1))
        );
        let mut state = State::from_lines(entities.iter().copied(), &schema).unwrap();
        assert_eq!(*state.hash(), header.state_hash);
    }
    let at_the_horizon = lines(&server, &pull(4, 1, None));
    assert!(matches!(items(&at_the_horizon).1.as_slice(), [PullItem::Segment(..)]));
    let filtered = lines(&server, &pull(0, 1, Some(&["tea"])));
    let (_, items) = items(&filtered);
    let [PullItem::Snapshot(_, entities), PullItem::Segment(..)] = items.as_slice() else {
        panic!("{items:?}")
    };
    assert_eq!(entities.len(), 1);
}

#[test]
fn what_was_pruned_is_a_duplicate_by_its_number_alone() {
    let server = server();
    pushed(&server, &push("phone", 1, 3));
    let clone = || request_of("phone", None, 1, &[line("phone", 1, 1), line("phone", 1, 2)]);
    assert_eq!(refused(&server, &clone()).code, Some(Refusal::DeviceForked));
    server.disturb(&space(), Disturbance::Prune);
    assert_eq!(pushed(&server, &clone()).receipts.len(), 2);
    // The watermark's own id is known for ever.
    let clone = request_of("phone", None, 3, &[line("phone", 1, 3)]);
    assert_eq!(refused(&server, &clone).code, Some(Refusal::DeviceForked));
}

#[test]
fn a_restored_space_is_what_it_was_under_a_new_epoch() {
    let server = server();
    assert!(!server.disturb(&space(), Disturbance::Restore), "there is no copy");
    pushed(&server, &push("phone", 1, 2));
    assert!(server.disturb(&space(), Disturbance::KeepCopy));
    let model = server.read_model(&space(), Position(2)).unwrap();
    let epoch = || items(&lines(&server, &pull(0, 1, None))).0.epoch;
    let before = epoch();
    pushed(&server, &request_of("phone", None, 3, &[bad_line("phone", 3), line("phone", 0, 4)]));
    assert!(server.read_model(&space(), Position(2)).is_err(), "the fold has gone on");
    for _ in 0..2 {
        assert!(server.disturb(&space(), Disturbance::Restore));
        assert_ne!(epoch(), before);
        assert_eq!(server.read_model(&space(), Position(2)).unwrap(), model);
        assert_eq!((log(&server).len(), own_events(&server, "phone").len()), (2, 2));
        assert_eq!(refused(&server, &push("phone", 5, 5)).expected, Some(Sequence(3)));
        pushed(&server, &push("phone", 3, 5));
    }
}
