//! What the bench says at its end: as text for people, or as one JSON object.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tokio::time::Instant;

use super::super::latency::{Latencies, Quantiles};
use super::super::options::OverloadOptions;
use super::devices::Done;

/// Everything that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OverloadReport {
    bench: &'static str,
    /// That offer the simple load.
    devices: u32,
    batch: u32,
    seconds: u64,
    /// Measured, or told.
    capacity_events_per_second: f64,
    capacity_measured: bool,
    pub(super) phases: Vec<Phase>,
    pub(super) gateway_peak_memory_bytes: Option<u64>,
    /// Acknowledged events, each of which was found in the log once.
    pub(super) verified_events: u64,
}

/// One load.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Phase {
    factor: u32,
    offered_events_per_second: f64,
    goodput_events_per_second: f64,
    /// Of the most that was measured: as capacity, or else at the simple load.
    goodput_ratio: f64,
    /// Of batches that were committed at their first try.
    commit_ms: Option<Quantiles>,
    /// Answers 429 and 503.
    refusals: u64,
    /// Answers 202.
    accepted: u64,
    /// Connections that could not be made, or broke.
    failures: u64,
    /// From the end of the load until all goes well; absent if it does not.
    recovery_seconds: Option<f64>,
}

impl Phase {
    pub(super) fn new(
        factor: u32,
        capacity: f64,
        time: Range<Instant>,
        done: &[Done],
        recovery: Option<Duration>,
    ) -> Self {
        let commits = done.iter().flat_map(|done| &done.commits);
        let events: u64 =
            commits.filter(|(at, _)| time.contains(at)).map(|(_, events)| u64::from(*events)).sum();
        let mut latencies = Latencies::default();
        for done in done {
            latencies.extend(done.latencies.clone());
        }
        let sum = |of: fn(&Done) -> u64| done.iter().map(of).sum();
        Self {
            factor,
            offered_events_per_second: capacity * f64::from(factor),
            goodput_events_per_second: events as f64 / (time.end - time.start).as_secs_f64(),
            goodput_ratio: 0.0,
            commit_ms: latencies.quantiles(),
            refusals: sum(|done| done.refusals),
            accepted: sum(|done| done.accepted),
            failures: sum(|done| done.failures),
            recovery_seconds: recovery.map(|recovery| recovery.as_secs_f64()),
        }
    }
}

impl OverloadReport {
    pub(super) fn new(options: &OverloadOptions, capacity: f64) -> Self {
        Self {
            bench: "overload",
            devices: options.devices,
            batch: options.batch,
            seconds: options.seconds,
            capacity_events_per_second: capacity,
            capacity_measured: options.rate.is_none(),
            phases: Vec::new(),
            gateway_peak_memory_bytes: None,
            verified_events: 0,
        }
    }

    /// Compares each goodput with the most that there is.
    pub(super) fn compare(&mut self) {
        let measured = if self.capacity_measured { self.capacity_events_per_second } else { 0.0 };
        let simple = self.phases.first().map_or(0.0, |phase| phase.goodput_events_per_second);
        for phase in &mut self.phases {
            phase.goodput_ratio = phase.goodput_events_per_second / measured.max(simple);
        }
    }

    pub(super) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let Self { devices, batch, seconds, capacity_events_per_second: capacity, .. } = self;
        let how = if self.capacity_measured { "measured" } else { "told" };
        println!("bench overload: {devices} devices and more, batches of {batch}, {seconds} s each");
        println!("  capacity       {capacity:.0} events/s, {how}");
        for phase in &self.phases {
            let Phase {
                factor, offered_events_per_second: offered, goodput_events_per_second: goodput, ..
            } = phase;
            println!("  {factor}× offered     {offered:.0} events/s");
            println!("    goodput      {goodput:.0} events/s, {:.0} %", phase.goodput_ratio * 100.0);
            if let Some(Quantiles { p50, p99, max }) = phase.commit_ms {
                println!("    committed    p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms");
            }
            println!(
                "    refused      {} times; {} answers 202, {} failures of the network",
                phase.refusals, phase.accepted, phase.failures
            );
            match phase.recovery_seconds {
                Some(seconds) => println!("    itself again {seconds:.1} s after"),
                None => println!("    not itself again in time"),
            }
        }
        if let Some(bytes) = self.gateway_peak_memory_bytes {
            println!("  gateway        {:.0} MB of memory at most", bytes as f64 / 1e6);
        }
        println!("  in the log     all {} acknowledged events, each once", self.verified_events);
        Ok(())
    }
}
