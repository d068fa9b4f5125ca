//! The compactor as the benches run it: how it is configured, and what it says of itself.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use sqlx::PgPool;
use tidelog_events::id::SpaceId;

use super::beside::{Beside, Settings};
use super::processes::status_bytes;
use super::sizes::Sizes;
use crate::local::Deadline;

const ROLE: &str = "compactor";
/// A sweep takes no longer than this.
const SWEEP_PATIENCE: Duration = Duration::from_mins(30);

/// Everything that is committed goes, but for so many events of each space.
pub(super) fn everything_goes(keep_events: u64) -> Settings {
    vec![
        ("TIDELOG__RETENTION__EVENTS_DAYS", "0".to_owned()),
        ("TIDELOG__RETENTION__KEEP_EVENTS", keep_events.to_string()),
        ("TIDELOG__RETENTION__PRUNE_EVENTS", "1".to_owned()),
        // Phones that only push are waited for otherwise.
        ("TIDELOG__RETENTION__PATIENCE_DAYS", "0".to_owned()),
        ("TIDELOG__COMPACTOR__MERGE_AFTER_HOURS", "0".to_owned()),
    ]
}

/// Nothing is pruned, and what can be merged is.
pub(super) fn everything_merges() -> Settings {
    vec![("TIDELOG__COMPACTOR__MERGE_AFTER_HOURS", "0".to_owned())]
}

/// Runs the compactor again and again until it finds nothing to do: in one run it does so much of a space and no more.
pub(super) async fn compact_fully(
    beside: &Beside,
    pool: &PgPool,
    spaces: &[SpaceId],
    settings: &Settings,
) -> Result<Sizes> {
    let mut before = Sizes::look(pool, spaces).await?;
    loop {
        beside.compact_once(settings).await?;
        let now = Sizes::look(pool, spaces).await?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
}

/// What a compactor did since its start, by its metrics, and took.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Compacted {
    /// Events that it folded: to write snapshots, and to verify them.
    pub(super) folded_events: u64,
    /// The time of its sweeps.
    pub(super) busy_seconds: f64,
    pub(super) folded_events_per_second: f64,
    pub(super) merged_segments: u64,
    pub(super) pruned_events: u64,
    pub(super) archived_bytes: u64,
    /// Spaces that it did not prune since it could not prove their snapshots.
    pub(super) refusals: u64,
    /// Times that it could not work on a space.
    pub(super) failures: u64,
    pub(super) peak_memory_bytes: u64,
}

impl Compacted {
    /// Waits until the compactor that runs beside the others has ended a sweep, asks it, and ends it.
    pub(super) async fn end(beside: &mut Beside) -> Result<Self> {
        let url = beside.stack.operations_urls.get(ROLE).context("no compactor is running")?;
        let first = Metrics::of(url).await?;
        let deadline = Deadline::after(SWEEP_PATIENCE, "the end of a sweep");
        let metrics = loop {
            let now = Metrics::of(url).await?;
            if now.total("sweep_seconds_count") > first.total("sweep_seconds_count") {
                break now;
            }
            deadline.next_look().await?;
        };
        let peak_memory_bytes =
            status_bytes(beside.stack.pids.get(ROLE).copied().unwrap_or_default(), "VmHWM:");
        beside.stop_service(ROLE).await?;
        let busy_seconds = metrics.total("sweep_seconds_sum");
        let folded_events = metrics.total("folded_events_total");
        Ok(Self {
            folded_events: folded_events as u64,
            busy_seconds,
            folded_events_per_second: folded_events / busy_seconds,
            merged_segments: metrics.total("merged_segments_total") as u64,
            pruned_events: metrics.total("pruned_events_total") as u64,
            archived_bytes: metrics.total("archived_bytes_total") as u64,
            refusals: metrics.total("refusals_total") as u64,
            failures: metrics.total("failures_total") as u64,
            peak_memory_bytes,
        })
    }
}

/// A compactor's metrics at a moment, in Prometheus's text format.
struct Metrics(String);

impl Metrics {
    async fn of(operations_url: &str) -> Result<Self> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        let answer = client.get(format!("{operations_url}/metrics")).send().await?;
        Ok(Self(answer.error_for_status()?.text().await?))
    }

    /// What a metric of the compactor comes to over all its labels; 0 where it was never counted.
    fn total(&self, name: &str) -> f64 {
        let name = format!("tidelog_compactor_{name}");
        let samples = self.0.lines().filter_map(|line| line.strip_prefix(&name));
        let samples = samples.filter(|rest| rest.starts_with([' ', '{']));
        samples.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_not_with_others_of_a_longer_name() {
        let metrics = Metrics(
            "# TYPE tidelog_compactor_refusals counter\n\
             tidelog_compactor_refusals{reason=\"different one\"} 2\n\
             tidelog_compactor_refusals{reason=\"skipped\"} 3\n\
             tidelog_compactor_refusals_total 7\n\
             tidelog_compactor_folded 1.5e3\n"
                .to_owned(),
        );
        assert!((metrics.total("refusals") - 5.0).abs() < f64::EPSILON);
        assert!((metrics.total("folded") - 1500.0).abs() < f64::EPSILON);
        assert!(metrics.total("absent").abs() < f64::EPSILON);
    }
}
