//! What phones noticed, in a stretch of time, of what happened to the stack.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::super::latency::{Latencies, Quantiles};
use super::device::{Push, Pushes};

/// What a rolling restart must keep to.
const FIRST_TRIES_FAILED_MAX: f64 = 0.001;
const PAUSE_MAX_SECONDS: f64 = 3.0;

/// What phones noticed in a stretch of time.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Noticed {
    pushes: u64,
    /// Pushes of which the first try failed.
    first_tries_failed: u64,
    /// Pushes that failed after three retries, or five seconds of them.
    failed_pushes: u64,
    /// Pushes that were answered 202 before they were committed.
    accepted: u64,
    /// Tries that failed, by cause.
    failed_tries: BTreeMap<String, u64>,
    commit_ms: Option<Quantiles>,
    /// The longest time from a push's first try to its commit.
    longest_pause_seconds: f64,
    /// The longest time in which nothing of any phone was committed.
    longest_silence_seconds: f64,
}

impl Noticed {
    /// Of the pushes that were under way at some time between those moments.
    pub(super) fn between(pushes: &Pushes, from: Instant, to: Instant) -> Self {
        let some: Vec<&Push> =
            pushes.all.iter().filter(|push| push.committed >= from && push.began <= to).collect();
        let mut latencies = Latencies::default();
        for push in &some {
            latencies.add(push.committed - push.began);
        }
        let count = |of: fn(&Push) -> bool| some.iter().filter(|push| of(push)).count() as u64;
        let pause = some.iter().map(|push| push.committed - push.began).max().unwrap_or_default();
        Self {
            pushes: some.len() as u64,
            first_tries_failed: count(|push| push.first_try_failed),
            failed_pushes: count(|push| push.has_failed),
            accepted: count(|push| push.was_accepted),
            failed_tries: pushes.causes(from, to),
            commit_ms: latencies.quantiles(),
            longest_pause_seconds: pause.as_secs_f64(),
            longest_silence_seconds: silence(&some, from, to).as_secs_f64(),
        }
    }

    pub(super) fn print(&self, indent: &str) {
        let Self { pushes, first_tries_failed, failed_pushes, accepted, .. } = self;
        let share = self.first_tries_failed_share() * 100.0;
        println!("{indent}pushes         {pushes}; {accepted} answered 202 before they were committed");
        println!("{indent}first try      failed {first_tries_failed} times, {share:.3} %");
        println!("{indent}failed         {failed_pushes} pushes after 3 retries in 5 s");
        for (cause, tries) in &self.failed_tries {
            println!("{indent}  {tries} tries: {cause}");
        }
        if let Some(Quantiles { p50, p99, max }) = self.commit_ms {
            println!("{indent}committed      p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms");
        }
        println!(
            "{indent}longest pause  {:.2} s from a push's first try to its commit",
            self.longest_pause_seconds
        );
        println!(
            "{indent}               {:.2} s without a commit of any phone",
            self.longest_silence_seconds
        );
    }

    fn first_tries_failed_share(&self) -> f64 {
        self.first_tries_failed as f64 / self.pushes.max(1) as f64
    }

    /// What of it a rolling restart must not do.
    pub(super) fn broken_bounds(&self) -> Vec<String> {
        let share = self.first_tries_failed_share();
        let mut broken = Vec::new();
        if share > FIRST_TRIES_FAILED_MAX {
            broken.push(format!("{:.3} % of first tries failed, more than 0.1 %", share * 100.0));
        }
        if self.failed_pushes > 0 {
            broken.push(format!("{} pushes failed in spite of retries", self.failed_pushes));
        }
        let longest = self.longest_pause_seconds.max(self.longest_silence_seconds);
        if longest > PAUSE_MAX_SECONDS {
            broken.push(format!("a pause of {longest:.2} s, more than {PAUSE_MAX_SECONDS} s"));
        }
        broken
    }
}

/// The longest time without a commit.
fn silence(pushes: &[&Push], from: Instant, to: Instant) -> Duration {
    let mut commits: Vec<_> =
        pushes.iter().map(|push| push.committed).filter(|at| *at > from && *at < to).collect();
    commits.extend([from, to]);
    commits.sort_unstable();
    commits.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(start: Instant, began_ms: u64, committed_ms: u64) -> Push {
        let at = |ms| start + Duration::from_millis(ms);
        Push {
            began: at(began_ms),
            committed: at(committed_ms),
            failures: 0,
            first_try_failed: false,
            has_failed: false,
            was_accepted: false,
        }
    }

    #[test]
    fn a_pause_is_one_push_waiting_and_a_silence_is_all_of_them() {
        let start = Instant::now();
        let all = vec![push(start, 0, 100), push(start, 200, 1900), push(start, 1000, 1010)];
        let pushes = Pushes { all, ..Pushes::default() };
        let noticed = Noticed::between(&pushes, start, start + Duration::from_secs(2));
        assert!((noticed.longest_pause_seconds - 1.7).abs() < 1e-6);
        assert!((noticed.longest_silence_seconds - 0.91).abs() < 1e-6);
        assert_eq!(noticed.broken_bounds(), Vec::<String>::new());
        let late =
            Noticed::between(&pushes, start + Duration::from_millis(1500), start + Duration::from_secs(6));
        assert_eq!(late.pushes, 1, "only what was under way then");
        assert_eq!(late.broken_bounds().len(), 1, "silent to the end");
    }

    #[test]
    fn failed_pushes_and_too_many_failed_first_tries_break_a_bound() {
        let start = Instant::now();
        let mut all: Vec<_> = (0..1999).map(|number| push(start, number, number + 1)).collect();
        all[7].first_try_failed = true;
        let pushes = |all: &[Push]| Pushes { all: all.to_vec(), ..Pushes::default() };
        let noticed = |all: &[Push]| Noticed::between(&pushes(all), start, start + Duration::from_secs(2));
        assert!(noticed(&all).broken_bounds().is_empty());
        all[8].first_try_failed = true;
        assert_eq!(noticed(&all).broken_bounds().len(), 1);
        all[8].has_failed = true;
        assert_eq!(noticed(&all).broken_bounds().len(), 2);
    }
}
