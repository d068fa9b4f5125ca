//! How far a log may go.

use super::*;

/// A log of segments of (events, days old), all of it folded.
fn log(segments: &[(u64, i64)]) -> Facts {
    let mut facts = nothing();
    for (events, days) in segments {
        facts.add(Added::new(*events, days * DAY));
    }
    facts.applied = facts.space.head;
    facts
}

fn check(case: &str, facts: &Facts, expect: &Decision) {
    assert_eq!(plan(facts, &policy(), NOW).prune, *expect, "{case}");
}

fn through(position: u64) -> Decision {
    Decision::Through(Position(position))
}

fn too_few(events: u64) -> Decision {
    Decision::Wait(WhyNot::TooFew { events, at_once: 5 })
}

const YOUNG: Decision = Decision::Wait(WhyNot::Young);

#[test]
fn what_is_past_the_retention_goes_through_the_end_of_a_segment() {
    check("nothing", &nothing(), &YOUNG);
    check("nothing old", &log(&[(50, 29), (10, 0)]), &YOUNG);
    check("on the day", &log(&[(50, 30), (10, 0)]), &through(50));
    check("several", &log(&[(5, 90), (20, 60), (25, 31), (10, 29), (10, 0)]), &through(50));
    check("old behind young stays", &log(&[(5, 90), (20, 0), (25, 31), (10, 0)]), &through(5));
    check("old at the beginning only", &log(&[(5, 0), (20, 90), (10, 0)]), &YOUNG);
}

#[test]
fn so_many_events_stay_however_old_they_are() {
    check("all old", &log(&[(20, 90), (20, 90), (5, 90), (5, 90)]), &through(40));
    check("one event less", &log(&[(20, 90), (20, 90), (5, 90), (4, 90)]), &through(20));
    check("all of them stay", &log(&[(4, 90), (6, 90)]), &too_few(0));
}

#[test]
fn fewer_events_than_are_worth_a_snapshot_wait() {
    check("four", &log(&[(2, 90), (2, 90), (20, 0)]), &too_few(4));
    check("five", &log(&[(2, 90), (3, 90), (20, 0)]), &through(5));
    let mut pruned = log(&[(6, 90), (4, 90), (20, 0)]);
    pruned.space.horizon = Position(6);
    pruned.segments.remove(0);
    check("counted from the horizon", &pruned, &too_few(4));
    let policy = Policy { prune_events: 0, ..policy() };
    let none = plan(&log(&[(20, 90)]), &policy, NOW).prune;
    assert_eq!(none, Decision::Wait(WhyNot::TooFew { events: 0, at_once: 0 }), "nothing is never pruned");
}

#[test]
fn nothing_goes_that_is_not_folded() {
    let folded = |applied| Facts { applied: Position(applied), ..log(&[(10, 90), (10, 90), (20, 0)]) };
    let behind = |applied| Decision::Wait(WhyNot::ProjectorBehind { applied: Position(applied) });
    check("all", &folded(20), &through(20));
    check("within a segment", &folded(19), &through(10));
    check("at its end", &folded(10), &through(10));
    check("too little", &folded(9), &behind(9));
    check("nothing at all", &folded(0), &behind(0));
}

#[test]
fn nothing_goes_that_a_rebuild_may_still_have_to_fold() {
    let rebuilding = Facts { is_rebuilding: true, ..log(&[(10, 90), (20, 0)]) };
    check("old and folded", &rebuilding, &Decision::Wait(WhyNot::Rebuilding));
}

#[test]
fn an_active_device_that_is_behind_is_waited_for_until_patience_ends() {
    let waiting = |cursor, segments: &[_]| Facts { waiting_for: Some(Position(cursor)), ..log(segments) };
    let behind = |cursor, days_from_now| {
        let until = UtcTime(NOW.0 + days_from_now * DAY);
        Decision::Wait(WhyNot::DeviceBehind { cursor: Position(cursor), until })
    };
    let young = (20, 0);
    check("it has them", &waiting(20, &[(10, 40), (10, 40), young]), &through(20));
    check("it has the first", &waiting(10, &[(10, 40), (10, 40), young]), &through(10));
    check("it has one and a half", &waiting(15, &[(10, 40), (10, 40), young]), &through(10));
    check("it has none", &waiting(0, &[(10, 40), (10, 39), young]), &behind(0, 10));
    check("to the day", &waiting(0, &[(10, 50), (10, 49), young]), &through(10));
    check("no longer", &waiting(0, &[(10, 90), (10, 60), young]), &through(20));
    check("until enough may go", &waiting(2, &[(2, 50), (2, 45), (2, 40), (9, 31), young]), &behind(2, 10));
}

#[test]
fn a_plan_says_in_words_what_it_is() {
    let check = |facts: &Facts, expect: &str| assert_eq!(plan(facts, &policy(), NOW).to_string(), expect);
    check(&nothing(), "nothing to merge; do not prune: nothing is older than the retention");
    check(
        &log(&[(2, 90), (10, 90)]),
        "nothing to merge; do not prune: 2 events could go, and they go when there are 5",
    );
    let unfolded = Facts { applied: Position(7), ..log(&[(10, 90), (10, 90)]) };
    check(
        &unfolded,
        "nothing to merge; do not prune: the projector has folded what comes first through 7 only",
    );
    let rebuilding = Facts { is_rebuilding: true, ..log(&[(10, 90), (10, 90)]) };
    check(&rebuilding, "nothing to merge; do not prune: its read model is being rebuilt");
    let waiting = Facts { waiting_for: Some(Position(7)), ..log(&[(10, 40), (10, 40)]) };
    check(
        &waiting,
        "nothing to merge; do not prune: an active device is at 7, and is waited for until 2024-10-14T00:00:00.000Z",
    );
    check(&log(&[(4, 90); 11]), "merge the segments from 1 to 32; prune through 32");
    check(&log(&[(20, 90); 20]), "merge 3 runs of segments between 1 and 300; prune through 380");
}

#[test]
fn all_that_is_read_at_once_goes_however_few_events_it_has() {
    let mut facts = log(&[(1, 90), (1, 90), (1, 90)]);
    facts.space.head = Position(100);
    check("all there is", &facts, &too_few(3));
    facts.has_more_segments = true;
    check("all that is read", &facts, &through(3));
    facts.applied = Position(2);
    let behind = Decision::Wait(WhyNot::ProjectorBehind { applied: Position(2) });
    check("not all of it is folded", &facts, &behind);
}

#[test]
fn little_beside_a_large_snapshot_waits() {
    // Twenty bytes an event.
    let mut facts = log(&[(50, 90), (10, 0)]);
    facts.snapshot_bytes = 16 * 1000;
    check("a sixteenth", &facts, &through(50));
    facts.snapshot_bytes += 16;
    let light = Decision::Wait(WhyNot::TooLight { bytes: 1000, snapshot_bytes: 16_016 });
    check("less", &facts, &light);
    facts.has_more_segments = true;
    check("less, and there is more, which is young", &facts, &light);
}
