//! Simulations in one process, over servers in memory: thousands of seeds a minute.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tempfile::TempDir;

use crate::fault::FaultSet;
use crate::finding::SimulationError;
use crate::memory::MemoryServer;
use crate::plan::{Options, Plan};
use crate::report::{SeedReport, Summary};
use crate::run::{Scene, run_user};
use crate::schemas::Schemas;

/// The true time at the end of a simulation: 2026-06-01.
const END_MS: i64 = 1_780_272_000_000;

/// A small world with everything that can go wrong: what the many seeds of a test run.
pub fn small(seed: u64) -> Options {
    Options { seed, users: 1, devices: 3, events: 64, days: 50, faults: FaultSet::all() }
}

/// Runs one simulation on this thread, over a server of its own.
pub fn simulate(options: Options, schemas: &Schemas) -> Result<SeedReport, SimulationError> {
    simulate_over(options, schemas, false)
}

/// The same; `live` lets phones pull over live connections.
pub fn simulate_over(options: Options, schemas: &Schemas, live: bool) -> Result<SeedReport, SimulationError> {
    let folder = phones_folder()?;
    let server = MemoryServer::new(schemas.server.clone());
    let prefix = format!("s{}-", options.seed);
    let scene =
        Scene { schemas, prefix: &prefix, end_ms: END_MS, folder: folder.path(), looks_always: true, live };
    let plan = Plan::of(&options);
    let mut report = SeedReport::new(options);
    for user in &plan.users {
        report.add(run_user(user, &server, &scene)?);
    }
    Ok(report)
}

/// Runs many, on so many threads; `live` lets phones pull over live connections.
pub fn simulate_all(
    plans: &[Options],
    threads: usize,
    schemas: &Schemas,
    live: bool,
) -> Result<Summary, SimulationError> {
    let next = AtomicU64::new(0);
    let summary = Mutex::new(Ok(Summary::default()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(options) = plans.get(next.fetch_add(1, Relaxed) as usize) {
                    let report = simulate_over(options.clone(), schemas, live);
                    let mut summary = summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    match (&mut *summary, report) {
                        (Ok(summary), Ok(report)) => summary.add(report),
                        (Err(_), _) => return,
                        (failed, Err(error)) => *failed = Err(error),
                    }
                }
            });
        }
    });
    summary.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A folder in memory, where there is one: what survives a power failure is not what is tried here.
pub fn phones_folder() -> std::io::Result<TempDir> {
    let named = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("tidelog-simulation-");
        builder
    };
    let in_memory = named().tempdir_in(Path::new("/dev/shm"));
    in_memory.or_else(|_| named().tempdir())
}
