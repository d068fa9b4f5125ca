//! `tidelog simulate`: phones to which everything happens, against the stack that runs here or a server in this
//! process; at the end a plain model says whether anything was lost, came twice, or diverged.

mod cut;
mod kill;
mod live;
mod look;
mod options;
mod pace;
mod report;
mod simulated_time;
mod stack;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::shutdown;
use tidelog_simulation::in_memory;
use tidelog_simulation::plan::{Options, Plan};
use tidelog_simulation::schemas::Schemas;
use tidelog_simulation::{Scene, SeedReport, run_user};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::stack_file::StackFile;
pub use options::SimulateOptions;
use pace::Pace;
use report::{Printer, TimedSeed};
use stack::Stack;

/// Users of a stack whose phones sync at the same time.
const USERS_AT_ONCE: usize = 8;

/// Seeds of a stack that keep pace with its days.
const SEEDS_AT_ONCE: usize = 4;

/// What the last syncs take of simulated time, at most. That runs ahead of the stack's own, which must not be behind it
/// then: the gateway would find stamps of the present in the future.
const SYNCED_WITHIN_MS: i64 = 3_600_000;

/// Simulates. Fails if something is wrong at the end.
pub async fn run(options: SimulateOptions) -> Result<()> {
    let (schemas, live) = (Arc::new(Schemas::fitness()?), options.live);
    let arena = if options.in_process {
        Arena { schemas, stack: None, run: String::new(), live }
    } else {
        let file = StackFile::find()?;
        let pace = seconds(options.pace).context("--pace needs a number of seconds")?;
        let stack = Arc::new(Stack::new(&file, &schemas.server, Pace::new(pace))?);
        let run = format!("{:08x}", fastrand::u32(..));
        Arena { schemas, stack: Some((file.gateway_url, stack)), run, live }
    };
    let mut printer = Printer::new(&options, arena.address());
    let stop = shutdown::on_signal()?;
    let every = seconds(options.kill).context("--kill needs a number of seconds")?;
    let killing = every.map(|every| tokio::spawn(kill::now_and_then(every, stop.clone())));
    let seeds = stream::iter(options.seed.0.clone()).map(|seed| arena.seed(options.of_seed(seed)));
    let mut seeds = seeds.buffered(arena.seeds_at_once(&options));
    let simulated = stop.run_until_cancelled(async {
        while let Some(seed) = seeds.try_next().await? {
            printer.seed(seed)?;
        }
        anyhow::Ok(())
    });
    let simulated = simulated.await;
    stop.cancel();
    let kills = match killing {
        Some(killing) => killing.await?,
        None => BTreeMap::new(),
    };
    simulated.context("stopped before everything was simulated")??;
    printer.finish(&kills)
}

/// A span above zero, where one is asked for.
fn seconds(asked: Option<f64>) -> Result<Option<Duration>> {
    let Some(seconds) = asked else { return Ok(None) };
    let span = Duration::try_from_secs_f64(seconds)?;
    ensure!(!span.is_zero(), "0 is none");
    Ok(Some(span))
}

/// Where seeds are carried out.
struct Arena {
    schemas: Arc<Schemas>,
    /// A running stack and its address; none where each seed has a server of its own in this process.
    stack: Option<(String, Arc<Stack>)>,
    /// Makes the ids of this run others than those of every other run on the stack.
    run: String,
    /// Whether phones pull over live connections.
    live: bool,
}

impl Arena {
    fn address(&self) -> &str {
        self.stack.as_ref().map_or("a server in this process", |(address, _)| address)
    }

    /// A stack has its hands full with one that does not pause; in this process each thread has one.
    fn seeds_at_once(&self, options: &SimulateOptions) -> usize {
        match self.stack {
            Some(_) if options.pace.is_some() => SEEDS_AT_ONCE,
            Some(_) => 1,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    async fn seed(&self, options: Options) -> Result<TimedSeed> {
        let (seed, started) = (options.seed, Instant::now());
        let report = match &self.stack {
            Some((_, stack)) => self.on_stack(options, stack).await,
            None => self.in_process(options).await,
        };
        let report = report.with_context(|| format!("seed {seed} could not be carried out"))?;
        Ok(TimedSeed { report, seconds: started.elapsed().as_secs_f64() })
    }

    async fn in_process(&self, options: Options) -> Result<SeedReport> {
        let (schemas, live) = (Arc::clone(&self.schemas), self.live);
        Ok(spawn_blocking(move || in_memory::simulate_over(options, &schemas, live)).await??)
    }

    async fn on_stack(&self, options: Options, stack: &Arc<Stack>) -> Result<SeedReport> {
        let plan = Arc::new(Plan::of(&options));
        let prefix: Arc<str> = format!("sim-{}-{}-", self.run, options.seed).into();
        let end_ms = Clock::system().now().0 - SYNCED_WITHIN_MS;
        let live = self.live;
        let users = stream::iter(0..plan.users.len()).map(|user| {
            let (plan, prefix) = (Arc::clone(&plan), Arc::clone(&prefix));
            let (schemas, stack) = (Arc::clone(&self.schemas), Arc::clone(stack));
            spawn_blocking(move || {
                let folder = in_memory::phones_folder()?;
                // The log of a stack is too far away to look at it after every step.
                let (schemas, folder) = (&schemas, folder.path());
                let scene = Scene { schemas, prefix: &prefix, end_ms, folder, looks_always: false, live };
                run_user(&plan.users[user], &*stack, &scene)
            })
        });
        let mut users = users.buffered(USERS_AT_ONCE);
        let mut report = SeedReport::new(options);
        while let Some(outcome) = users.next().await {
            report.add(outcome??);
        }
        Ok(report)
    }
}
