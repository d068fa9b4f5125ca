//! Which small segments become one.
//!
//! From front to back, segments form groups that one segment may hold. A group that the next segment no longer fits into
//! is full: it becomes one, and never changes again. The last group is open. If it were merged whenever some more came,
//! each event would be written hundreds of times. So only a run at its end is, when it is of at least `SEGMENTS_MIN`, and
//! so that each segment that was merged before is at most half of the new one. An event is then written when it is first
//! merged, once for each doubling, and once in a full group: at most 2 + log2(500) times, three or four as phones push.
//! In what is left each segment is larger than all behind it, but for the last few: so there are few.

use tidelog_events::id::Position;
use tidelog_events::protocol::UtcTime;
use tidelog_store::segments::mergeable::Mergeable;

use super::{Facts, Policy, Span};

/// So many new segments are worth a look, and so many an open group's merge.
pub(crate) const SEGMENTS_MIN: usize = 8;

/// What a batch takes in a segment's header, about: readers get it along with the events, so it counts like them. It
/// bounds the headers of segments that hold a batch for each event.
pub(crate) const BATCH_BYTES: u64 = 160;

/// The runs to merge, and through where everything is merged then. None reaches across `cut`.
pub(super) fn plan(facts: &Facts, cut: Position, policy: &Policy, now: UtcTime) -> (Vec<Span>, Position) {
    let known = facts.mergeable.partition_point(|segment| segment.last <= facts.merged_through);
    let new = facts.mergeable[known..].iter();
    let old = new.take_while(|segment| segment.received_at.0 <= now.0 - policy.merge_after_ms).count();
    let segments = &facts.mergeable[..known + old];
    let Some(end) = segments.last().filter(|_| old >= SEGMENTS_MIN) else {
        return (Vec::new(), facts.merged_through);
    };
    let (before, behind) = segments.split_at(segments.partition_point(|segment| segment.last <= cut));
    let groups = groups(before, policy).chain(groups(behind, policy));
    (groups.filter_map(Group::run).collect(), end.last)
}

/// Consecutive segments that one may hold.
struct Group<'a> {
    segments: &'a [Mergeable],
    /// Whether the next segment would be too much.
    is_full: bool,
}

fn groups<'a>(mut rest: &'a [Mergeable], policy: &'a Policy) -> impl Iterator<Item = Group<'a>> {
    std::iter::from_fn(move || {
        let (segments, behind) = rest.split_at(fitting(rest, policy));
        rest = behind;
        (!segments.is_empty()).then_some(Group { segments, is_full: !behind.is_empty() })
    })
}

/// How many of the first segments fit into one; the first one always does.
fn fitting(segments: &[Mergeable], policy: &Policy) -> usize {
    let (mut events, mut bytes, mut end) = (0, 0_u64, None);
    for (index, segment) in segments.iter().enumerate() {
        events += segment.events();
        // A frame that does not say its size is damaged, and stays as it is.
        let content_bytes = segment.content_bytes.unwrap_or(u64::MAX);
        bytes = bytes.saturating_add(content_bytes).saturating_add(BATCH_BYTES * segment.batches);
        let follows = end.is_none_or(|end: Position| end.next() == segment.first);
        let fits = events <= policy.merge_events && bytes <= policy.merge_bytes && follows;
        if index > 0 && !fits {
            return index;
        }
        end = Some(segment.last);
    }
    segments.len()
}

impl Group<'_> {
    /// The run of its segments to merge, if there is one.
    fn run(self) -> Option<Span> {
        let (run, min) = if self.is_full { (self.segments, 2) } else { (self.doubling(), SEGMENTS_MIN) };
        let (first, last) = (run.first()?.first, run.last()?.last);
        (run.len() >= min).then_some(Span { first, last })
    }

    /// The longest run at its end in which no segment that was merged before has more than half of the events.
    fn doubling(&self) -> &[Mergeable] {
        let (mut from, mut events, mut largest) = (self.segments.len(), 0, 0);
        for (index, segment) in self.segments.iter().enumerate().rev() {
            events += segment.events();
            if segment.batches > 1 {
                largest = largest.max(segment.events());
            }
            if 2 * largest <= events {
                from = index;
            }
        }
        &self.segments[from..]
    }
}
