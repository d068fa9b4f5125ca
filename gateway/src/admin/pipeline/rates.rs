//! Rates, from counters that were read from time to time. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What had passed through the pipeline, ever, at one moment. Only differences mean something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Batches that PUSH has taken.
    pub(crate) pushed_batches: u64,
    /// Batches that ingest is done with.
    pub(crate) settled_batches: u64,
    /// Segments that LOG has taken.
    pub(crate) committed_batches: u64,
    /// Their events.
    pub(crate) committed_events: u64,
    /// Segments that the projector is done with.
    pub(crate) folded_batches: u64,
    /// Their events.
    pub(crate) folded_events: u64,
}

impl Passed {
    fn counters(&self) -> [u64; 6] {
        [
            self.pushed_batches,
            self.settled_batches,
            self.committed_batches,
            self.committed_events,
            self.folded_batches,
            self.folded_events,
        ]
    }

    /// Whether nothing counts backwards from `before` to this: a stream that was made anew begins at 1 again.
    pub(crate) fn follows(&self, before: &Self) -> bool {
        self.counters().iter().zip(before.counters()).all(|(now, before)| *now >= before)
    }
}

/// What has passed at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    pub(crate) passed: Passed,
}

/// How much has passed over a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    pub(super) over: Duration,
    pub(super) passed: Passed,
}

/// How much has passed from the latest sample that is at least `span` old, else from the first one, to the last one. `None`
/// where there are fewer than two.
pub(super) fn pace(samples: &VecDeque<Sample>, span: Duration) -> Option<Pace> {
    let last = samples.back()?;
    let is_old = |sample: &&Sample| last.at.duration_since(sample.at) >= span;
    let first = samples.iter().rev().find(is_old).or(samples.front())?;
    let over = last.at.duration_since(first.at);
    if over.is_zero() {
        return None;
    }
    let [pushed_batches, settled_batches, committed_batches, committed_events, folded_batches, folded_events] = {
        let (now, before) = (last.passed.counters(), first.passed.counters());
        std::array::from_fn(|index| now[index].saturating_sub(before[index]))
    };
    let passed = Passed {
        pushed_batches,
        settled_batches,
        committed_batches,
        committed_events,
        folded_batches,
        folded_events,
    };
    Some(Pace { over, passed })
}

/// Up to `most` of the numbers behind `from` through `to`, evenly spread; all of them where they are not more.
pub(super) fn spread(from: u64, to: u64, most: u64) -> Vec<u64> {
    let count = to.saturating_sub(from);
    let taken = count.min(most);
    (0..taken).map(|index| from + 1 + (2 * index + 1) * count / (2 * taken)).map(|at| at.min(to)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(events: &[(u64, u64)]) -> VecDeque<Sample> {
        let begin = Instant::now();
        let sample = |&(second, committed_events): &(u64, u64)| Sample {
            at: begin + Duration::from_secs(second),
            passed: Passed { committed_events, ..Passed::default() },
        };
        events.iter().map(sample).collect()
    }

    #[test]
    fn a_pace_is_taken_over_the_span_or_over_what_there_is() {
        let check = |events: &[(u64, u64)], expect: Option<(u64, u64)>| {
            let pace = pace(&samples(events), Duration::from_secs(10));
            let found = pace.map(|pace| (pace.over.as_secs(), pace.passed.committed_events));
            assert_eq!(found, expect, "{events:?}");
        };
        check(&[], None);
        check(&[(0, 5)], None);
        check(&[(0, 5), (5, 25)], Some((5, 20)));
        check(&[(0, 5), (5, 25), (10, 25), (15, 125)], Some((10, 100)));
        check(&[(0, 5), (5, 25), (17, 125)], Some((12, 100)));
    }

    #[test]
    fn samples_of_a_stream_are_spread_over_what_is_new_and_are_all_of_it_where_that_is_little() {
        assert_eq!(spread(5, 5, 8), Vec::<u64>::new());
        assert_eq!(spread(5, 4, 8), Vec::<u64>::new());
        assert_eq!(spread(5, 6, 8), [6]);
        assert_eq!(spread(5, 13, 8), [6, 7, 8, 9, 10, 11, 12, 13]);
        assert_eq!(spread(0, 800, 4), [101, 301, 501, 701]);
        assert!(spread(0, 1_000_000, 8).iter().all(|at| (1..=1_000_000).contains(at)));
    }

    #[test]
    fn counters_that_go_back_follow_nothing() {
        let passed = |pushed_batches| Passed { pushed_batches, ..Passed::default() };
        assert!(passed(2).follows(&passed(2)) && passed(3).follows(&passed(2)));
        assert!(!passed(1).follows(&passed(2)));
    }
}
