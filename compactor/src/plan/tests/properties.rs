//! What must hold of every plan, whatever the facts.

use proptest::prelude::*;

use super::*;

fn added() -> impl Strategy<Value = Added> {
    let age = prop_oneof![4 => 0..100 * DAY, 1 => 0..2 * HOUR];
    let bytes = prop_oneof![8 => (1..300_u64).prop_map(Some), 1 => Just(None)];
    (1..60_u64, age, 1..4_u64, bytes).prop_map(|(events, age_ms, batches, bytes)| Added {
        events,
        age_ms,
        batches: batches.min(events),
        content_bytes: bytes.map(|bytes| bytes * events),
    })
}

prop_compose! {
    /// Any log, looked at anywhere, folded anywhere, with a device anywhere.
    fn facts()(
        segments in prop::collection::vec(added(), 0..60),
        horizon in 0..50_u64,
        (applied, cursor) in (0..1200_u64, proptest::option::of(0..1200_u64)),
        known in 0..60_usize,
        (in_order, known_is_inside) in any::<(bool, bool)>(),
        is_rebuilding in proptest::bool::weighted(0.1),
    ) -> Facts {
        let mut facts = nothing();
        facts.space.head = Position(horizon);
        facts.space.horizon = Position(horizon);
        let mut segments = segments;
        if in_order {
            segments.sort_by_key(|added| std::cmp::Reverse(added.age_ms));
        }
        for added in segments {
            facts.add(added);
        }
        facts.applied = Position(applied).min(facts.space.head);
        facts.is_rebuilding = is_rebuilding;
        facts.waiting_for = cursor.map(Position);
        let known = facts.mergeable.get(known).map(|segment| segment.last);
        facts.merged_through = known.filter(|_| known_is_inside).unwrap_or_default();
        facts
    }
}

proptest! {
    #[test]
    fn nothing_is_pruned_that_is_young_kept_unfolded_or_waited_for(facts in facts()) {
        let (policy, plan) = (policy(), plan(&facts, &policy(), NOW));
        if let Decision::Through(through) = plan.prune {
            let gone: Vec<_> = facts.segments.iter().filter(|segment| segment.first <= through).collect();
            prop_assert_eq!(gone.last().unwrap().last, through, "at the end of a segment");
            prop_assert!(through <= facts.applied && !facts.is_rebuilding);
            prop_assert!(through.0 + policy.keep_events <= facts.space.head.0);
            prop_assert!(through.0 - facts.space.horizon.0 >= policy.prune_events);
            for segment in gone {
                let age_ms = NOW.0 - segment.received_at.0;
                prop_assert!(age_ms >= policy.retention_ms);
                let was_read = facts.waiting_for.is_none_or(|cursor| segment.last <= cursor);
                prop_assert!(was_read || age_ms >= policy.retention_ms + policy.patience_ms);
            }
        }
    }

    #[test]
    fn merges_are_apart_and_within_bounds_and_on_one_side_of_what_is_pruned(facts in facts()) {
        let (policy, plan) = (policy(), plan(&facts, &policy(), NOW));
        prop_assert!(plan.merged_through >= facts.merged_through);
        let mut end = facts.space.horizon;
        for span in &plan.merges {
            prop_assert!(end < span.first && span.first < span.last, "in order and apart");
            end = span.last;
            let (first, last) = (span.first, span.last);
            let run: Vec<_> =
                facts.mergeable.iter().filter(|s| s.last >= first && s.first <= last).collect();
            prop_assert!(run.len() > 1);
            prop_assert_eq!((run[0].first, run[run.len() - 1].last), (first, last), "whole segments");
            prop_assert!(run.iter().map(|segment| segment.events()).sum::<u64>() <= policy.merge_events);
            let bytes: Option<u64> = run.iter().map(|segment| segment.content_bytes).sum();
            prop_assert!(bytes.is_some_and(|bytes| bytes <= policy.merge_bytes), "and none is damaged");
            if let Decision::Through(through) = plan.prune {
                prop_assert!(last <= through || first > through);
            }
            prop_assert!(last <= plan.merged_through);
        }
    }

    #[test]
    fn a_plan_that_is_carried_out_leaves_nothing_to_merge(facts in facts(), is_noted in any::<bool>()) {
        let mut facts = facts;
        let known = facts.merged_through;
        let plan_one = plan(&facts, &policy(), NOW);
        facts.carry_out(&plan_one);
        // Merged, but nobody could note it: the same again.
        facts.merged_through = if is_noted { facts.merged_through } else { known };
        let plan_two = plan(&facts, &policy(), NOW);
        prop_assert_eq!(&plan_two.merges, &[]);
        if let Decision::Through(_) = plan_one.prune {
            prop_assert_eq!(plan_two.prune, plan_one.prune);
        }
    }

    #[test]
    fn however_a_log_grows_no_event_is_written_often_and_few_segments_are_left(
        sizes in prop::collection::vec(prop_oneof![3 => Just(1_u64), 2 => 1..20_u64, 1 => 1..120_u64], 1..1500),
        looks in prop::collection::vec(1..30_usize, 20..60),
    ) {
        let (policy, mut facts, mut written) = (policy(), nothing(), 0);
        let mut looks = looks.into_iter().cycle();
        let mut sizes = sizes.into_iter().peekable();
        while sizes.peek().is_some() {
            for size in sizes.by_ref().take(looks.next().unwrap()) {
                facts.add(Added::new(size, DAY));
            }
            let plan = plan(&facts, &policy, NOW);
            written += facts.carry_out(&plan);
        }
        let events = facts.space.head.0;
        // log2(100) = 6.6, and the first time and the last.
        prop_assert!(written <= 9 * events, "{written} writes of {events} events");
        // Two neighbours that were full hold more than 100 events together.
        let full = 2 * (events / policy.merge_events) as usize + 1;
        let open = 2 * SEGMENTS_MIN + 7;
        prop_assert!(facts.mergeable.len() <= full + open, "{} of {events} events", facts.mergeable.len());
    }
}

#[test]
fn single_events_are_written_a_few_times_and_end_in_large_segments() {
    let policy = Policy { merge_events: 500, ..policy() };
    let (mut facts, mut written) = (nothing(), 0);
    for _ in 0..10_000 {
        facts.add(Added::new(1, DAY));
        let plan = plan(&facts, &policy, NOW);
        written += facts.carry_out(&plan);
    }
    let (segments, events) = (facts.mergeable.len(), facts.space.head.0);
    assert!(written <= 7 * events, "{written} writes");
    assert!(segments <= 100, "{segments} segments");
    println!("{events} single events: written {written} times, {segments} segments are left");
}
