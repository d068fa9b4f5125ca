//! What the bench says at its end: as text for people, or as one JSON object.

use anyhow::{Result, ensure};
use serde::Serialize;

use super::super::compactor::Compacted;
use super::super::options::CompactOptions;
use super::super::sizes::Sizes;
use super::PHONES;
use super::readers::Witnessed;

/// The spaces when everything past retention was pruned, and nothing else.
#[derive(Debug)]
pub(super) struct Settled {
    sizes: Sizes,
    pub(super) past_retention_events: u64,
    /// Of the batches as they were pushed.
    pub(super) pushed_bytes: u64,
    pub(super) pushed_segments: u64,
}

impl Settled {
    /// Spaces of these sizes.
    pub(super) fn new(sizes: Sizes) -> Self {
        Self { sizes, past_retention_events: 0, pushed_bytes: 0, pushed_segments: 0 }
    }
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CompactReport {
    bench: &'static str,
    spaces: u32,
    phones: u32,
    events: u64,
    entities: u64,
    days: u32,
    day_seconds: u32,
    retention_days: u32,
    push_seconds: f64,
    pushed_events_per_second: f64,
    readers: Readers,
    /// While all others were at work.
    compactor: Compacted,
    /// That pruned the rest in the end, by itself.
    quiet_compactor: Compacted,
    log: Log,
}

/// What readers did, phones among them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Readers {
    answers: u64,
    events: u64,
    snapshots: u64,
    /// Readers that began with nothing.
    fresh: u64,
    /// States that were compared with what was pushed.
    states: u64,
    /// Answers to them that the stack is at a limit, and to what phones pushed.
    answers_at_limit: u64,
}

/// What of it is stored once everything past retention was pruned.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    pushed_bytes: u64,
    bytes: u64,
    pushed_segments: u64,
    segments: u64,
    archive_bytes: u64,
    snapshot_bytes: u64,
    /// Shares of all events: received before the retention, and pruned.
    past_retention_share: f64,
    pruned_share: f64,
    /// The share of the pushed bytes that are in the log no more.
    bytes_fell_share: f64,
}

impl CompactReport {
    pub(super) fn new(
        options: &CompactOptions,
        push_seconds: f64,
        witnessed: &Witnessed,
        entities: u64,
        settled: &Settled,
        compactor: Compacted,
        quiet_compactor: Compacted,
    ) -> Self {
        Self {
            bench: "compact",
            spaces: options.spaces,
            phones: options.spaces * PHONES,
            events: settled.sizes.events,
            entities,
            days: options.days,
            day_seconds: options.day_seconds,
            retention_days: options.retention_days,
            push_seconds,
            pushed_events_per_second: settled.sizes.events as f64 / push_seconds,
            readers: Readers {
                answers: witnessed.reads.answers,
                events: witnessed.reads.events,
                snapshots: witnessed.reads.snapshots,
                fresh: witnessed.fresh,
                states: witnessed.observations.len() as u64,
                answers_at_limit: witnessed.reads.at_limit,
            },
            compactor,
            quiet_compactor,
            log: Log::new(settled),
        }
    }

    /// Whether the compactor did all that it should: what is compared has been by now.
    pub(super) fn verdict(&self) -> Result<()> {
        for compactor in [&self.compactor, &self.quiet_compactor] {
            ensure!(compactor.refusals == 0, "the compactor refused to prune {} times", compactor.refusals);
            ensure!(compactor.failures == 0, "the compactor failed {} times", compactor.failures);
        }
        Ok(())
    }

    /// Prints it.
    pub(super) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
        } else {
            println!("{}", self.text());
        }
        Ok(())
    }

    fn text(&self) -> String {
        let (readers, log) = (&self.readers, &self.log);
        let mut lines = vec![
            format!(
                "bench compact: {} events of {} entities, {} spaces, {} phones, {} days of {} s, {} of retention",
                self.events,
                self.entities,
                self.spaces,
                self.phones,
                self.days,
                self.day_seconds,
                self.retention_days
            ),
            format!(
                "  pushed         {:.0} events/s, {:.0} s",
                self.pushed_events_per_second, self.push_seconds
            ),
            format!(
                "  read           {} events in {} answers, {} snapshots, {} fresh readers, {} answers at a limit",
                readers.events, readers.answers, readers.snapshots, readers.fresh, readers.answers_at_limit
            ),
            format!("  compared       {} states: all are what was pushed", readers.states),
        ];
        for (name, compacted) in [("meanwhile", &self.compactor), ("by itself", &self.quiet_compactor)] {
            lines.push(format!(
                "  {name:<14} {:.0} events/s folded in {:.1} s, {} events pruned, {} segments merged, {:.0} MB, \
                 {} refusals, {} failures",
                compacted.folded_events_per_second,
                compacted.busy_seconds,
                compacted.pruned_events,
                compacted.merged_segments,
                compacted.peak_memory_bytes as f64 / 1e6,
                compacted.refusals,
                compacted.failures
            ));
        }
        lines.push(format!(
            "  the log        {} bytes of {} pushed, {} segments of {}; archive {} bytes, snapshots {} bytes",
            log.bytes,
            log.pushed_bytes,
            log.segments,
            log.pushed_segments,
            log.archive_bytes,
            log.snapshot_bytes
        ));
        lines.push(format!(
            "  shares         {:.1} % past retention, {:.1} % pruned, {:.1} % of the bytes gone from the log",
            log.past_retention_share * 100.0,
            log.pruned_share * 100.0,
            log.bytes_fell_share * 100.0
        ));
        lines.join("\n")
    }
}

impl Log {
    fn new(settled: &Settled) -> Self {
        let sizes = &settled.sizes;
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        Self {
            pushed_bytes: settled.pushed_bytes,
            bytes: sizes.log_bytes,
            pushed_segments: settled.pushed_segments,
            segments: sizes.segments,
            archive_bytes: sizes.archive_bytes,
            snapshot_bytes: sizes.snapshot_bytes,
            past_retention_share: share(settled.past_retention_events, sizes.events),
            pruned_share: share(sizes.pruned, sizes.events),
            bytes_fell_share: 1.0 - share(sizes.log_bytes, settled.pushed_bytes),
        }
    }
}
