//! What to do with a space: decided from facts, without looking at anything else. `pruning.rs` says how far its log may
//! go, `merging.rs` which of its segments become one.

mod merging;
mod pruning;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use tidelog_events::id::Position;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::Clock;
use tidelog_store::segments::SegmentFacts;
use tidelog_store::segments::mergeable::Mergeable;
use tidelog_store::spaces::Space;

use crate::config::{CompactorConfig, RetentionConfig};

pub(crate) use self::merging::{BATCH_BYTES, SEGMENTS_MIN};

/// A space at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) space: Space,
    /// The position through which the projector has folded it, and has skipped nothing.
    pub(crate) applied: Position,
    /// Whether a rebuild is folding it anew: from the log that a prune would take away from under it.
    pub(crate) is_rebuilding: bool,
    /// Segments behind the horizon, in order; those that are read at once.
    pub(crate) segments: Vec<SegmentFacts>,
    /// Whether there are more of them.
    pub(crate) has_more_segments: bool,
    /// Stored bytes of the snapshot at the horizon.
    pub(crate) snapshot_bytes: u64,
    /// Segments through here were merged as far as they will be, until more come.
    pub(crate) merged_through: Position,
    /// Some segments before that position, and those behind it, in order; those that are read at once.
    pub(crate) mergeable: Vec<Mergeable>,
    /// The least cursor of an active device between horizon and head: it would miss what goes beyond it.
    pub(crate) waiting_for: Option<Position>,
}

/// What the configuration says, in milliseconds of the service's clock.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Events stay so long after they were received.
    pub(crate) retention_ms: i64,
    /// Events that stay in any case.
    pub(crate) keep_events: u64,
    /// Fewer are not worth a snapshot.
    pub(crate) prune_events: u64,
    /// A device that was heard of so recently is active.
    pub(crate) active_ms: i64,
    /// Active devices that are behind are waited for so long beyond the retention.
    pub(crate) patience_ms: i64,
    /// Younger segments are not merged.
    pub(crate) merge_after_ms: i64,
    /// Events of a merged segment, at most.
    pub(crate) merge_events: u64,
    /// Decoded bytes that a reader of a merged segment gets, at most.
    pub(crate) merge_bytes: u64,
}

impl Policy {
    pub(crate) fn new(compactor: &CompactorConfig, retention: &RetentionConfig, clock: &Clock) -> Self {
        let days = |days| milliseconds(clock.days(days));
        Self {
            retention_ms: days(retention.events_days),
            keep_events: retention.keep_events,
            prune_events: retention.prune_events,
            active_ms: days(retention.active_days),
            patience_ms: days(retention.patience_days),
            merge_after_ms: milliseconds(clock.hours(compactor.merge_after_hours)),
            merge_events: compactor.merge_events,
            merge_bytes: compactor.merge_bytes,
        }
    }
}

/// At most two centuries: what lies longer ago is no time of day to PostgreSQL some day, and none of our events.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    const LONGEST: Duration = Duration::from_hours(200 * 365 * 24);
    duration.min(LONGEST).as_millis() as i64
}

/// What to do with a space. The merges come first, and none reaches across the end of what is pruned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Runs of segments each of which becomes one, in order.
    pub merges: Vec<Span>,
    /// Through here they are merged as far as they will be then.
    pub merged_through: Position,
    /// How far the space's log goes.
    pub prune: Decision,
}

/// The positions of a run of segments, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where the first segment begins.
    pub first: Position,
    /// Where the last one ends.
    pub last: Position,
}

/// Whether a space is pruned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Through this position, at which a segment ends.
    Through(Position),
    /// Not now.
    Wait(WhyNot),
}

/// Why a space is not pruned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyNot {
    /// All its events are younger than the retention.
    Young,
    /// There are too few old events beyond those that stay.
    TooFew {
        /// That could go.
        events: u64,
        /// That go at once.
        at_once: u64,
    },
    /// They are little beside the snapshot that would have to be written anew.
    TooLight {
        /// Their stored bytes.
        bytes: u64,
        /// Those of the snapshot.
        snapshot_bytes: u64,
    },
    /// The projector has not folded enough of it.
    ProjectorBehind {
        /// The position through which it has.
        applied: Position,
    },
    /// Its read model is being rebuilt.
    Rebuilding,
    /// An active device has not read it.
    DeviceBehind {
        /// What the device has.
        cursor: Position,
        /// When it is waited for no longer.
        until: UtcTime,
    },
}

/// What to do with a space of which that is known.
pub(crate) fn plan(facts: &Facts, policy: &Policy, now: UtcTime) -> Plan {
    let prune = pruning::decide(facts, policy, now);
    let cut = match prune {
        Decision::Through(position) => position,
        Decision::Wait(_) => Position::ZERO,
    };
    let (merges, merged_through) = merging::plan(facts, cut, policy, now);
    Plan { merges, merged_through, prune }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.merges.as_slice() {
            [] => f.write_str("nothing to merge; ")?,
            [Span { first, last }] => write!(f, "merge the segments from {first} to {last}; ")?,
            [first, .., last] => {
                let runs = self.merges.len();
                write!(f, "merge {runs} runs of segments between {} and {}; ", first.first, last.last)?;
            }
        }
        match &self.prune {
            Decision::Through(position) => write!(f, "prune through {position}"),
            Decision::Wait(why) => write!(f, "do not prune: {why}"),
        }
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Young => f.write_str("nothing is older than the retention"),
            Self::TooFew { events, at_once } => {
                write!(f, "{events} events could go, and they go when there are {at_once}")
            }
            Self::TooLight { bytes, snapshot_bytes } => {
                write!(
                    f,
                    "{bytes} bytes could go, and a snapshot of {snapshot_bytes} bytes would be written for it"
                )
            }
            Self::ProjectorBehind { applied } => {
                write!(f, "the projector has folded what comes first through {applied} only")
            }
            Self::Rebuilding => f.write_str("its read model is being rebuilt"),
            Self::DeviceBehind { cursor, until } => {
                write!(f, "an active device is at {cursor}, and is waited for until {until}")
            }
        }
    }
}
