//! What a bench says at its end: as text for people, or as one JSON object.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

use super::latency::Quantiles;
use super::load::Pushes;
use super::options::StackBench;

/// Everything that was measured; what a bench does not measure is `None`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    bench: &'static str,
    devices: u32,
    batch: u32,
    spaces: u32,
    seconds: u64,
    pub(super) rate: Option<u64>,
    tcp: bool,
    /// Of one event, on average.
    event: Option<EventBytes>,
    pub(super) committed_events_per_second: Option<f64>,
    pub(super) commit_ms: Option<Quantiles>,
    pub(super) visible_ms: Option<Quantiles>,
    pub(super) pulled_events_per_second: Option<f64>,
    pub(super) decoded_events_per_second: Option<f64>,
    pub(super) lines_events_per_second: Option<f64>,
    pub(super) pull_ms: Option<Quantiles>,
    pub(super) folded_events_per_second: Option<f64>,
    pub(super) fold_lag_ms: Option<Quantiles>,
    pub(super) cpu_seconds_per_million: BTreeMap<String, f64>,
    pub(super) generator_cpu_seconds_per_million: f64,
    pub(super) bytes_per_event: Option<BytesPerEvent>,
    pub(super) peak_memory_bytes: BTreeMap<String, u64>,
    /// Batches that were answered 202, and answers that a limit was reached.
    accepted_batches: u64,
    answers_at_limit: u64,
}

/// Bytes of an event as its phone sends it: its line, and its part of the frame.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EventBytes {
    json_bytes: f64,
    compressed_bytes: f64,
}

/// Bytes that an event takes on disk.
#[derive(Debug, Serialize)]
pub(super) struct BytesPerEvent {
    pub(super) log: f64,
    pub(super) broker: f64,
}

impl Report {
    /// An empty one.
    pub(super) fn new(command: &StackBench) -> Self {
        let load = command.load();
        Self {
            bench: command.name(),
            devices: load.devices,
            batch: load.batch,
            spaces: load.space_count(),
            seconds: load.seconds,
            rate: load.rate,
            tcp: load.tcp,
            ..Self::default()
        }
    }

    /// Notes what was pushed.
    pub(super) fn events(&mut self, pushes: &Pushes) {
        let events = pushes.events as f64;
        self.event = Some(EventBytes {
            json_bytes: pushes.json_bytes as f64 / events,
            compressed_bytes: pushes.frame_bytes as f64 / events,
        });
        (self.accepted_batches, self.answers_at_limit) = (pushes.accepted, pushes.at_limit);
    }

    /// Prints it.
    pub(super) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
        } else {
            print!("{}", self.text()?);
        }
        Ok(())
    }

    fn text(&self) -> Result<String> {
        let mut text = String::new();
        let rate = self.rate.map_or("as fast as answered".to_owned(), |rate| format!("{rate} events/s"));
        let way = if self.tcp { ", PostgreSQL over TCP" } else { "" };
        writeln!(
            text,
            "bench {}: {} devices, {} spaces, batches of {}, {rate}, {} s{way}",
            self.bench, self.devices, self.spaces, self.batch, self.seconds
        )?;
        if let Some(event) = &self.event {
            writeln!(
                text,
                "  an event       {:.0} B of JSON, {:.1} B compressed",
                event.json_bytes, event.compressed_bytes
            )?;
        }
        for (name, rate) in [
            ("committed", self.committed_events_per_second),
            ("pulled", self.pulled_events_per_second),
            ("  decoded here", self.decoded_events_per_second),
            ("  as lines", self.lines_events_per_second),
            ("folded", self.folded_events_per_second),
        ] {
            if let Some(rate) = rate {
                writeln!(text, "  {name:<14} {rate:>9.0} events/s")?;
            }
        }
        for (name, latency) in [
            ("POST→committed", self.commit_ms),
            ("POST→visible", self.visible_ms),
            ("pull", self.pull_ms),
            ("fold lag", self.fold_lag_ms),
        ] {
            if let Some(Quantiles { p50, p99, max }) = latency {
                writeln!(text, "  {name:<14} p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms")?;
            }
        }
        if let Some(bytes) = &self.bytes_per_event {
            writeln!(
                text,
                "  on disk        {:.1} B an event in PostgreSQL, {:.1} B in NATS",
                bytes.log, bytes.broker
            )?;
        }
        writeln!(text, "  CPU-seconds per million events")?;
        for (role, seconds) in &self.cpu_seconds_per_million {
            writeln!(text, "    {role:<12} {seconds:.2}")?;
        }
        writeln!(text, "    {:<12} {:.2}", "all", self.cpu_seconds_per_million.values().sum::<f64>())?;
        writeln!(text, "    {:<12} {:.2}", "(this load)", self.generator_cpu_seconds_per_million)?;
        writeln!(text, "  peak memory")?;
        for (role, bytes) in &self.peak_memory_bytes {
            writeln!(text, "    {role:<12} {:.0} MB", *bytes as f64 / 1e6)?;
        }
        if self.accepted_batches + self.answers_at_limit > 0 {
            writeln!(
                text,
                "  {} batches answered 202, {} answers at a limit",
                self.accepted_batches, self.answers_at_limit
            )?;
        }
        Ok(text)
    }
}
