//! What the benches say at their end: as text for people, or as one JSON object.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;
use tokio::time::Instant;

use super::noticed::Noticed;
use super::{Load, Loaded};

/// One service, ended and back.
#[derive(Debug, Serialize)]
pub(super) struct Restart {
    pub(super) role: String,
    /// Until it was ready again.
    pub(super) seconds: f64,
}

/// Everything about a rolling restart.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RollingReport {
    bench: &'static str,
    rate: u64,
    devices: u32,
    batch: u32,
    rounds: u32,
    restarts: Vec<Restart>,
    #[serde(flatten)]
    noticed: Noticed,
    verified_events: u64,
    /// What it did not keep to.
    broken_bounds: Vec<String>,
}

/// One server that was killed.
pub(super) struct Kill {
    pub(super) what: String,
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// Until everything was there as before.
    pub(super) whole_again: Duration,
}

/// Everything about kills.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FailoverReport {
    bench: &'static str,
    rate: u64,
    devices: u32,
    batch: u32,
    kills: Vec<KillReport>,
    verified_events: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct KillReport {
    killed: String,
    whole_again_seconds: f64,
    #[serde(flatten)]
    noticed: Noticed,
}

impl RollingReport {
    pub(super) fn new(load: &Load, rounds: u32, restarts: Vec<Restart>, loaded: &Loaded) -> Self {
        let noticed = Noticed::between(&loaded.pushes, loaded.from, loaded.to);
        let broken_bounds = noticed.broken_bounds();
        let options = &load.options;
        Self {
            bench: "rolling",
            rate: options.rate,
            devices: options.devices,
            batch: options.batch,
            rounds,
            restarts,
            noticed,
            verified_events: loaded.verified_events,
            broken_bounds,
        }
    }

    /// Prints it, and fails if it did not keep to a bound.
    pub(super) fn conclude(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
        } else {
            self.print();
        }
        ensure!(self.broken_bounds.is_empty(), "{}", self.broken_bounds.join("; "));
        Ok(())
    }

    fn print(&self) {
        let Self { rate, devices, batch, rounds, .. } = self;
        println!("bench rolling: {rate} events/s of {devices} phones, batches of {batch}, {rounds} rounds");
        for Restart { role, seconds } in &self.restarts {
            println!("  {role:<14} back after {seconds:.1} s");
        }
        self.noticed.print("  ");
        println!("  in the log     all {} events, each once, and all folded", self.verified_events);
    }
}

impl FailoverReport {
    pub(super) fn new(load: &Load, kills: Vec<Kill>, loaded: &Loaded) -> Self {
        let kills = kills.into_iter().map(|kill| KillReport {
            noticed: Noticed::between(&loaded.pushes, kill.began, kill.ended),
            killed: kill.what,
            whole_again_seconds: kill.whole_again.as_secs_f64(),
        });
        let options = &load.options;
        Self {
            bench: "failover",
            rate: options.rate,
            devices: options.devices,
            batch: options.batch,
            kills: kills.collect(),
            verified_events: loaded.verified_events,
        }
    }

    pub(super) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let Self { rate, devices, batch, .. } = self;
        println!("bench failover: {rate} events/s of {devices} phones, batches of {batch}");
        for kill in &self.kills {
            println!("  killed {}; all there again after {:.1} s", kill.killed, kill.whole_again_seconds);
            kill.noticed.print("    ");
        }
        println!("  in the log     all {} events, each once, and all folded", self.verified_events);
        Ok(())
    }
}
