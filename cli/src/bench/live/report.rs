//! What `tidelog bench live` says at its end.

use anyhow::Result;
use serde::Serialize;

use crate::bench::latency::Quantiles;

/// Everything that was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LiveReport {
    pub(super) connections: u64,
    pub(super) devices: u64,
    pub(super) seconds: u64,
    /// What the gateway's memory grew by, for each idle connection.
    pub(super) bytes_per_idle_connection: Option<f64>,
    /// From just before a POST to the event's arrival at the other device.
    pub(super) delivery_ms: Option<Quantiles>,
    pub(super) delivered_events: u64,
    /// Deliveries that were missing at the end.
    pub(super) lost_events: u64,
    pub(super) gateway_peak_memory_bytes: u64,
    pub(super) killed: Option<KillReport>,
}

/// What became of the connections of a gateway that was killed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KillReport {
    /// Until all were connected again.
    pub(super) all_back_seconds: f64,
    /// Tries that it took.
    pub(super) tries: u64,
    /// Events that were pushed meanwhile, one for each connection.
    pub(super) events: u64,
    /// Of these, those that came.
    pub(super) received: u64,
}

impl LiveReport {
    pub(super) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!(
            "bench live: {} idle connections, {} devices of two a space at 1 event/s, {} s",
            self.connections, self.devices, self.seconds
        );
        if let Some(bytes) = self.bytes_per_idle_connection {
            println!("  idle           {:.1} KB of the gateway's memory each", bytes / 1000.0);
        }
        if let Some(Quantiles { p50, p99, max }) = self.delivery_ms {
            println!("  POST→delivered p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms");
        }
        println!("  delivered      {} events, {} lost", self.delivered_events, self.lost_events);
        println!("  gateway        {:.0} MB at most", self.gateway_peak_memory_bytes as f64 / 1e6);
        if let Some(killed) = &self.killed {
            println!(
                "  killed         all back after {:.1} s and {} tries; {} of {} events pushed meanwhile came, each once",
                killed.all_back_seconds, killed.tries, killed.received, killed.events
            );
        }
        Ok(())
    }
}
