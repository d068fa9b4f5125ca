//! The time that is measured: what the log, the disk and the processes say at its beginning and at its end.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::processes::{Processes, Seconds, own_cpu_seconds};
use super::progress::{self, Moment};
use super::report::{BytesPerEvent, Report};
use super::storage::Stored;
use super::target::Target;

const LOOK_AT_MEMORY_EVERY: Duration = Duration::from_secs(1);

/// What is watched all the time, from before the measurement on.
pub(super) struct Window {
    stop: CancellationToken,
    moments: JoinHandle<Result<Vec<Moment>>>,
    memory: JoinHandle<BTreeMap<String, u64>>,
    processes: Processes,
    names: Vec<String>,
}

/// A measurement that is under way.
pub(super) struct OpenWindow {
    watched: Window,
    stored: Stored,
    before: Costs,
    first: Moment,
}

/// Processor seconds at a moment.
struct Costs {
    stack: Seconds,
    own: f64,
}

/// A measurement.
pub(super) struct ClosedWindow {
    first: Moment,
    last: Moment,
    moments: Vec<Moment>,
    memory: BTreeMap<String, u64>,
    /// Processor seconds that the stack and this process took.
    stack: Seconds,
    own: f64,
    log_bytes: u64,
    broker_bytes: f64,
}

impl Costs {
    fn look(processes: &Processes) -> Self {
        Self { stack: processes.cpu_seconds(), own: own_cpu_seconds() }
    }
}

impl Window {
    /// Begins to watch; `names` are the spaces that count.
    pub(super) fn open(target: &Target, names: Vec<String>) -> Self {
        let stop = CancellationToken::new();
        let processes = Processes::new(target.pids.clone());
        let moments = tokio::spawn(progress::watch(target.pool.clone(), names.clone(), stop.clone()));
        let memory = tokio::spawn(peak_memory(processes.clone(), stop.clone()));
        Self { stop, moments, memory, processes, names }
    }

    /// Begins to measure.
    pub(super) async fn begin(self, target: &Target) -> Result<OpenWindow> {
        let stored = Stored::look(target).await?;
        let before = Costs::look(&self.processes);
        let first = look(target, &self.names).await?;
        Ok(OpenWindow { watched: self, stored, before, first })
    }
}

impl OpenWindow {
    /// Ends it.
    pub(super) async fn close(self, target: &Target) -> Result<ClosedWindow> {
        let Window { stop, moments, memory, processes, names } = self.watched;
        let last = look(target, &names).await?;
        let after = Costs::look(&processes);
        let stored = Stored::look(target).await?;
        stop.cancel();
        let spent =
            |role: &String, seconds: f64| seconds - self.before.stack.get(role).copied().unwrap_or(0.0);
        Ok(ClosedWindow {
            first: self.first,
            last,
            moments: moments.await.context("nobody watched the progress")??,
            memory: memory.await.context("nobody watched the memory")?,
            stack: after
                .stack
                .into_iter()
                .map(|(role, seconds)| (role.clone(), spent(&role, seconds)))
                .collect(),
            own: after.own - self.before.own,
            log_bytes: stored.log_growth(&self.stored),
            broker_bytes: stored.broker_growth(&self.stored),
        })
    }
}

async fn look(target: &Target, names: &[String]) -> Result<Moment> {
    progress::look(&target.pool, &names.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// The most memory that each role had until `stop`.
pub(super) async fn peak_memory(processes: Processes, stop: CancellationToken) -> BTreeMap<String, u64> {
    let mut peak = BTreeMap::new();
    loop {
        for (role, bytes) in processes.memory_bytes() {
            let most = peak.entry(role).or_insert(0);
            *most = bytes.max(*most);
        }
        tokio::select! {
            () = sleep(LOOK_AT_MEMORY_EVERY) => {}
            () = stop.cancelled() => return peak,
        }
    }
}

impl ClosedWindow {
    pub(super) fn from(&self) -> Instant {
        self.first.at
    }

    pub(super) fn to(&self) -> Instant {
        self.last.at
    }

    pub(super) fn committed_events(&self) -> u64 {
        self.last.committed - self.first.committed
    }

    pub(super) fn folded_events(&self) -> u64 {
        self.last.folded - self.first.folded
    }

    fn seconds(&self) -> f64 {
        (self.last.at - self.first.at).as_secs_f64()
    }

    /// What was committed, and what it took on disk.
    pub(super) fn committed(&self, report: &mut Report) {
        let events = self.committed_events() as f64;
        report.committed_events_per_second = Some(events / self.seconds());
        report.bytes_per_event =
            Some(BytesPerEvent { log: self.log_bytes as f64 / events, broker: self.broker_bytes / events });
    }

    /// What was folded, and how long it took to come to that.
    pub(super) fn folded(&self, report: &mut Report) {
        report.folded_events_per_second = Some(self.folded_events() as f64 / self.seconds());
        report.fold_lag_ms = progress::lag(&self.moments, self.first.at, self.last.at);
    }

    /// What so many events cost.
    pub(super) fn costs(&self, report: &mut Report, events: u64) {
        let millions = events as f64 / 1_000_000.0;
        report.cpu_seconds_per_million =
            self.stack.iter().map(|(role, seconds)| (role.clone(), seconds / millions)).collect();
        report.generator_cpu_seconds_per_million = self.own / millions;
        report.peak_memory_bytes.clone_from(&self.memory);
    }
}
