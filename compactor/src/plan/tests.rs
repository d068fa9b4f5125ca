//! Every rule by a table, and what must hold of every plan by properties.

mod merging;
mod properties;
mod pruning;

use std::ops::RangeInclusive;

use tidelog_events::id::SpaceId;

use super::*;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const NOW: UtcTime = UtcTime(20_000 * DAY);

fn policy() -> Policy {
    Policy {
        retention_ms: 30 * DAY,
        keep_events: 10,
        prune_events: 5,
        active_ms: 14 * DAY,
        patience_ms: 20 * DAY,
        merge_after_ms: HOUR,
        merge_events: 100,
        merge_bytes: 65_536,
    }
}

/// Of a space that nothing was ever pushed to.
fn nothing() -> Facts {
    let space = SpaceId::new("ann").unwrap();
    let epoch = serde_json::from_str("\"00000000-0000-0000-0000-000000000000\"").unwrap();
    Facts {
        space: Space { space, head: Position::ZERO, horizon: Position::ZERO, epoch },
        applied: Position::ZERO,
        is_rebuilding: false,
        segments: Vec::new(),
        has_more_segments: false,
        snapshot_bytes: 0,
        merged_through: Position::ZERO,
        mergeable: Vec::new(),
        waiting_for: None,
    }
}

/// A segment that a test adds to a space's log.
#[derive(Debug, Clone, Copy)]
struct Added {
    events: u64,
    age_ms: i64,
    batches: u64,
    content_bytes: Option<u64>,
}

impl Added {
    fn new(events: u64, age_ms: i64) -> Self {
        Self { events, age_ms, batches: 1, content_bytes: Some(events * 100) }
    }
}

impl Facts {
    /// Appends a segment behind the head.
    fn add(&mut self, added: Added) {
        let Added { events, age_ms, batches, content_bytes } = added;
        let first = self.space.head.next();
        let last = Position(self.space.head.0 + events);
        let received_at = UtcTime(NOW.0 - age_ms);
        self.segments.push(SegmentFacts { first, last, received_at, bytes: events * 20 });
        self.mergeable.push(Mergeable { first, last, received_at, batches, content_bytes });
        self.space.head = last;
    }

    /// Does to the facts what the plan does to the log; returns how many events it writes.
    fn carry_out(&mut self, plan: &Plan) -> u64 {
        let mut written = 0;
        for span in &plan.merges {
            let is_in = |first: Position, last: Position| span.first <= first && last <= span.last;
            let mergeable = merge(&mut self.mergeable, |segment| is_in(segment.first, segment.last));
            let merged = Mergeable {
                first: span.first,
                last: span.last,
                received_at: mergeable.iter().map(|segment| segment.received_at).max().unwrap(),
                batches: mergeable.iter().map(|segment| segment.batches).sum(),
                content_bytes: mergeable.iter().map(|segment| segment.content_bytes).sum(),
            };
            written += merged.events();
            put(&mut self.mergeable, merged, |segment| segment.last < merged.first);
            let facts = merge(&mut self.segments, |segment| is_in(segment.first, segment.last));
            let bytes = facts.iter().map(|segment| segment.bytes).sum();
            let Mergeable { first, last, received_at, .. } = merged;
            let merged = SegmentFacts { first, last, received_at, bytes };
            put(&mut self.segments, merged, |segment| segment.last < merged.first);
        }
        self.merged_through = plan.merged_through;
        written
    }
}

/// Takes the segments of a run out.
fn merge<S>(segments: &mut Vec<S>, is_in: impl Fn(&S) -> bool) -> Vec<S> {
    let run: Vec<S> = segments.extract_if(.., |segment| is_in(segment)).collect();
    assert!(!run.is_empty(), "a run of segments that are there");
    run
}

fn put<S>(segments: &mut Vec<S>, segment: S, is_before: impl Fn(&S) -> bool) {
    let place = segments.partition_point(is_before);
    segments.insert(place, segment);
}

fn positions(span: &Span) -> RangeInclusive<u64> {
    span.first.0..=span.last.0
}
