//! What the bench says at its end: as text for people, or as one JSON object.

use anyhow::Result;
use serde::Serialize;

use super::cold_pull::ColdPull;
use super::large::{LargeStore, Opened};
use super::recording::Recording;

/// Everything that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceReport {
    pub(super) bench: &'static str,
    #[serde(flatten)]
    pub(super) recording: Recording,
    pub(super) large: LargeStore,
    pub(super) opened: Opened,
    pub(super) cold_pull: ColdPull,
}

impl DeviceReport {
    /// Prints it.
    pub(super) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
        } else {
            print!("{}", self.text());
        }
        Ok(())
    }

    fn text(&self) -> String {
        let Self { recording, large, opened, cold_pull, .. } = self;
        let mut lines = vec![format!("bench {}", self.bench)];
        for (name, took) in [("record", recording.record_ms), ("(the disk)", recording.disk_ms)] {
            let (p50, p99, max) = (took.p50, took.p99, took.max);
            lines.push(format!("  {name:<14} p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.2} ms"));
        }
        lines.push(format!(
            "  a large store  {} pending and {} confirmed events, {} workouts, {:.0} MB",
            large.pending,
            large.confirmed,
            opened.workouts,
            large.file_bytes as f64 / 1e6
        ));
        lines.push(format!("    opened       {:.1} ms", opened.open_ms));
        lines.push(format!("    one workout  {:.1} ms since opening began", opened.one_ms));
        lines.push(format!("    all workouts {:.1} ms since opening began", opened.all_ms));
        lines.push(format!("    memory       {:.1} MB", opened.memory_bytes as f64 / 1e6));
        lines.push(format!(
            "  a cold pull    {} events of {} workouts in {} answers: {:.0} ms",
            cold_pull.events, cold_pull.entities, cold_pull.pulls, cold_pull.total_ms
        ));
        lines.join("\n") + "\n"
    }
}
