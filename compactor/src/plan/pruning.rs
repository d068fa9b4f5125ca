//! How far a space's log may be pruned: a prefix of its segments, which each rule shortens.

use tidelog_events::protocol::UtcTime;
use tidelog_store::segments::SegmentFacts;

use super::{Decision, Facts, Policy, WhyNot};

/// The longest prefix that every rule lets go, if it is worth a snapshot; else the first rule that stands against it.
pub(super) fn decide(facts: &Facts, policy: &Policy, now: UtcTime) -> Decision {
    let space = &facts.space;
    let events = |prefix: &[SegmentFacts]| {
        prefix.last().map_or(0, |segment| segment.last.0.saturating_sub(space.horizon.0))
    };
    let is_enough = |prefix: &[SegmentFacts]| events(prefix) >= policy.prune_events.max(1);

    let old = prefix(&facts.segments, |segment| segment.received_at.0 <= now.0 - policy.retention_ms);
    if old.is_empty() {
        return Decision::Wait(WhyNot::Young);
    }
    let beyond = prefix(old, |segment| space.head.0.saturating_sub(segment.last.0) >= policy.keep_events);
    if !is_enough(beyond) {
        return Decision::Wait(WhyNot::TooFew { events: events(beyond), at_once: policy.prune_events });
    }
    let folded = prefix(beyond, |segment| segment.last <= facts.applied);
    if !is_enough(folded) {
        return Decision::Wait(WhyNot::ProjectorBehind { applied: facts.applied });
    }
    if facts.is_rebuilding {
        return Decision::Wait(WhyNot::Rebuilding);
    }
    let Some(cursor) = facts.waiting_for else { return through(folded) };
    let waited_for = policy.retention_ms + policy.patience_ms;
    let let_go =
        prefix(folded, |segment| segment.last <= cursor || segment.received_at.0 <= now.0 - waited_for);
    if is_enough(let_go) {
        return through(let_go);
    }
    // When the last segment that it takes to be enough is past all patience.
    let held = folded.iter().filter(|segment| segment.last > cursor);
    let needed = held
        .take_while(|segment| segment.first.0.saturating_sub(space.horizon.0) <= policy.prune_events.max(1));
    let latest = needed.map(|segment| segment.received_at.0).max().unwrap_or(now.0);
    Decision::Wait(WhyNot::DeviceBehind { cursor, until: UtcTime(latest + waited_for) })
}

fn through(prefix: &[SegmentFacts]) -> Decision {
    prefix.last().map_or(Decision::Wait(WhyNot::Young), |segment| Decision::Through(segment.last))
}

/// As many of the first segments as all satisfy it.
fn prefix(segments: &[SegmentFacts], may_go: impl Fn(&SegmentFacts) -> bool) -> &[SegmentFacts] {
    let end = segments.iter().position(|segment| !may_go(segment)).unwrap_or(segments.len());
    &segments[..end]
}
