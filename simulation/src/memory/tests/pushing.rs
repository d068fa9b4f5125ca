//! Pushes: watermark rules, quarantine, refusals.

use tidelog_events::code::{Fault, Refusal};
use tidelog_events::protocol::{EventStatus, UtcTime};

use super::*;

#[test]
fn every_watermark_rule_holds() {
    let server = server();
    let committed = |request: &Request, first, last, mark, duplicates| {
        let answer = pushed(&server, request);
        assert!(answer.committed);
        assert_eq!((answer.first, answer.last), (first, last));
        assert_eq!(answer.device.unwrap().last_sequence, Sequence(mark));
        assert_eq!(answer.receipts.len(), duplicates);
        assert!(answer.receipts.iter().all(|receipt| receipt.status == EventStatus::Duplicate));
    };
    let at = |position| Some(Position(position));
    let gap = refused(&server, &push("phone", 3, 4));
    assert_eq!((gap.code, gap.expected), (Some(Refusal::SequenceGap), Some(Sequence(1))));
    committed(&push("phone", 1, 3), at(1), at(3), 3, 0);
    committed(&push("phone", 1, 3), None, None, 3, 3);
    committed(&push("tablet", 1, 2), at(4), at(5), 2, 0);
    committed(&push("phone", 2, 5), at(6), at(7), 5, 2);
    let gap = refused(&server, &push("phone", 7, 8));
    assert_eq!((gap.code, gap.expected, gap.status), (Some(Refusal::SequenceGap), Some(Sequence(6)), 409));
    let in_order = ["phone 1", "phone 2", "phone 3", "tablet 1", "tablet 2", "phone 4", "phone 5"];
    assert_eq!(log(&server), in_order);
}

#[test]
fn sequences_that_are_taken_by_others_are_a_fork() {
    let server = server();
    pushed(&server, &push("phone", 1, 3));
    let code = |request: &Request| refused(&server, request).code;
    // The clone's own third event; its fourth behind its own third; and somebody else with the same phone.
    assert_eq!(code(&request_of("phone", None, 3, &[line("phone", 1, 3)])), Some(Refusal::DeviceForked));
    let after = After { device_sequence: Sequence(3), event_id: Some(id("phone", 1, 3)) };
    assert_eq!(
        code(&request_of("phone", Some(after), 4, &[line("phone", 1, 4)])),
        Some(Refusal::DeviceForked)
    );
    let bob = server.send(&UserId::new("bob").unwrap(), &push("phone", 4, 4), NOW_MS, None);
    assert!(matches!(bob, Ok(Answer::Refused(refused)) if refused.code == Some(Refusal::DeviceForked)));
    assert_eq!(log(&server).len(), 3);
}

#[test]
fn a_bad_event_is_quarantined_alone_and_answered_so_again() {
    let server = server();
    let batch = [line("phone", 0, 1), bad_line("phone", 2), line("phone", 0, 3)];
    for again in [false, true] {
        let answer = pushed(&server, &request_of("phone", None, 1, &batch));
        let status: Vec<_> = answer
            .receipts
            .iter()
            .map(|receipt| (receipt.device_sequence.unwrap().0, receipt.status))
            .collect();
        let bad = (2, EventStatus::Quarantined);
        let good = |sequence| (sequence, EventStatus::Duplicate);
        assert_eq!(status, if again { vec![good(1), bad, good(3)] } else { vec![bad] });
    }
    assert_eq!(log(&server), ["phone 1", "phone 3"]);
    let places: Vec<_> =
        own_events(&server, "phone").iter().map(|event| (event.position, event.quarantined)).collect();
    let in_log = |position| (Some(Position(position)), None);
    assert_eq!(places, [in_log(1), (None, Some(Fault::UnknownType)), in_log(2)]);
    let found = server.quarantined(&space(), &device("phone"), Sequence(3)).unwrap();
    assert_eq!((found.len(), found[0].sequence, found[0].code), (1, Sequence(2), Fault::UnknownType));
    assert!(server.quarantined(&space(), &device("phone"), Sequence(1)).unwrap().is_empty());
}

#[test]
fn a_batch_of_bad_events_alone_moves_the_watermark_and_no_head() {
    let server = server();
    let answer = pushed(&server, &request_of("phone", None, 1, &[bad_line("phone", 1)]));
    assert_eq!((answer.head, answer.first, answer.last), (Some(Position::ZERO), None, None));
    assert_eq!(answer.device.unwrap().last_sequence, Sequence(1));
    assert_eq!(pushed(&server, &push("phone", 2, 2)).first, Some(Position(1)));
}

#[test]
fn what_cannot_be_read_is_refused_whole() {
    let server = server();
    let good = line("phone", 0, 1);
    let check = |lines: &[String], after: Option<After>, expect: Refusal| {
        let refused = refused(&server, &request_of("phone", after, 1, lines));
        assert_eq!((refused.code, refused.status), (Some(expect), expect.status()), "{lines:?}");
        refused
    };
    let malformed = Refusal::BatchMalformed;
    check(&[], None, malformed);
    check(&["{}".to_owned()], None, malformed);
    check(&[good.replace("\"deviceSequence\":1,", "")], None, malformed);
    check(&[good.clone(), line("phone", 0, 3)], None, malformed);
    let nobody = After { device_sequence: Sequence(1), event_id: None };
    check(std::slice::from_ref(&good), Some(nobody), malformed);
    check(&vec![good.clone(); 1001], None, Refusal::BodyTooLarge);
    check(&[good.replace("phone", &"x".repeat(70_000))], None, Refusal::BodyTooLarge);
    let ahead = check(&[good.replace("10:00:00", "10:31:01")], None, Refusal::ClockAhead);
    assert_eq!(ahead.server_time, Some(UtcTime(NOW_MS)));
    assert!(log(&server).is_empty());
    // A stamp that is not too far ahead is taken.
    pushed(&server, &request_of("phone", None, 1, &[good.replace("10:00:00", "10:31:00")]));
}

#[test]
fn nobody_pushes_in_another_users_name() {
    let server = server();
    let Request::Push(mut request) = push("phone", 1, 1) else { unreachable!() };
    let user_id = Some(UserId::new("bob").unwrap());
    let header = BatchHeader { device_id: Some(device("phone")), user_id, after: None };
    request.body = write_batch(&header, [line("phone", 0, 1)]);
    assert_eq!(refused(&server, &Request::Push(request)).code, Some(Refusal::Forbidden));
}
