//! How far a space's log may be pruned: a prefix of its segments, which each rule shortens.

use tidelog_events::protocol::UtcTime;
use tidelog_store::segments::SegmentFacts;

use super::{Decision, Facts, Policy, WhyNot};

/// A snapshot is written for at least this part of its own size: so a log takes no more than that beyond its retention, and
/// what is written for it in all is bounded.
const WEIGHT_MIN: u64 = 16;

/// The longest prefix that every rule lets go, if it is worth a snapshot; else the first rule that stands against it.
pub(super) fn decide(facts: &Facts, policy: &Policy, now: UtcTime) -> Decision {
    let space = &facts.space;
    let events = |prefix: &[SegmentFacts]| {
        prefix.last().map_or(0, |segment| segment.last.0.saturating_sub(space.horizon.0))
    };
    // All that is read at once is enough in any case, or a log of small segments would never go.
    let is_all = |prefix: &[SegmentFacts]| facts.has_more_segments && prefix.len() == facts.segments.len();
    let is_enough = |prefix: &[SegmentFacts]| events(prefix) >= policy.prune_events.max(1) || is_all(prefix);
    let through = |prefix: &[SegmentFacts]| {
        let bytes = prefix.iter().map(|segment| segment.bytes).sum::<u64>();
        let snapshot_bytes = facts.snapshot_bytes;
        match prefix.last() {
            None => Decision::Wait(WhyNot::Young),
            Some(_) if bytes < snapshot_bytes / WEIGHT_MIN && !is_all(prefix) => {
                Decision::Wait(WhyNot::TooLight { bytes, snapshot_bytes })
            }
            Some(segment) => Decision::Through(segment.last),
        }
    };

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

/// As many of the first segments as all satisfy it.
fn prefix(segments: &[SegmentFacts], may_go: impl Fn(&SegmentFacts) -> bool) -> &[SegmentFacts] {
    let end = segments.iter().position(|segment| !may_go(segment)).unwrap_or(segments.len());
    &segments[..end]
}
