//! `tidelog up`: everything on one machine. Starts NATS, PostgreSQL and the services, and keeps them alive until
//! it is stopped.

mod banner;
mod child;
mod door;
mod folder;
mod gateways;
mod kept;
mod one_address;
mod pair;
mod phones;
mod servers;
mod service;
mod stack;
mod supervise;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::local::Given;
use crate::stack_file::StackFile;
use crate::terminal::{say, warn};
use folder::Folder;
pub(crate) use one_address::lifted_limits;
use phones::Phones;
pub(crate) use service::{Service, program};
use stack::{Replicas, Stack};

/// Options of `tidelog up`.
#[derive(Debug, clap::Args)]
pub struct UpOptions {
    /// Start with no data: what earlier runs stored in `.tidelog/` is deleted
    #[arg(long)]
    fresh: bool,
    /// A configuration file for the services (see config/default.toml); addresses and secret are chosen here
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A production in small: three NATS nodes, a PostgreSQL primary with a synchronous standby, and two of each service
    #[arg(long)]
    cluster: bool,
    /// How many replicas of the gateway; several have one address [default: 1, of a cluster 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16))]
    gateways: Option<u16>,
    /// How many replicas of ingest [default: 1, of a cluster 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16))]
    ingests: Option<u16>,
    /// How many replicas of the projector [default: 1, of a cluster 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16))]
    projectors: Option<u16>,
    /// How many replicas of the compactor [default: 1, of a cluster 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=16))]
    compactors: Option<u16>,
    /// How many simulated phones record workouts and sync, two of each user: something to look at
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=phones::MOST))]
    phones: u16,
}

impl UpOptions {
    fn replicas(&self) -> Replicas {
        let count = |asked: Option<u16>| asked.unwrap_or(if self.cluster { 2 } else { 1 });
        Replicas {
            is_cluster: self.cluster,
            gateways: count(self.gateways),
            ingests: count(self.ingests),
            projectors: count(self.projectors),
            compactors: count(self.compactors),
        }
    }
}

/// Runs the stack until Ctrl-C or SIGTERM.
pub async fn run(options: UpOptions) -> Result<()> {
    let started = Instant::now();
    let given = Given::from_environment();
    let folder = Folder::take(options.fresh).await?;
    let stop = stop_on_signals()?;

    let replicas = options.replicas();
    let start = Stack::start(&folder, given, options.config.as_deref(), replicas);
    let mut stack = tokio::select! {
        stack = start => stack?,
        () = stop.cancelled() => {
            say("tidelog", "stopped before it was up");
            return Ok(());
        }
    };
    stack.file.write(&folder.stack_file())?;
    banner::print(&stack.file, started.elapsed());
    let children = std::mem::take(&mut stack.children);
    let phones = start_phones(options.phones, &folder, &stack.file, &stop).await;
    supervise::run(children, stack.pair, stack.file, &folder.stack_file(), &stop).await?;
    phones.stopped().await;
    folder.forget_stack();
    say("tidelog", "stopped");
    Ok(())
}

/// Without its phones a stack is as good.
async fn start_phones(count: u16, folder: &Folder, stack: &StackFile, stop: &CancellationToken) -> Phones {
    if count == 0 {
        return Phones::default();
    }
    let started = Phones::start(count, folder.path(), stack, stop).await;
    match started.and_then(|phones| banner::print_phones(stack).map(|()| phones)) {
        Ok(phones) => phones,
        Err(error) => {
            warn("phones", &format!("none is in use: {error:#}"));
            Phones::default()
        }
    }
}

/// Signals closer together than this are one: a terminal and `make` may both send theirs.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// A token that the first signal cancels. The second one ends this process at once, and the children with it.
fn stop_on_signals() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut hang_up = listen(SignalKind::hangup())?;
    tokio::spawn(async move {
        let mut first = None;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
            let since = *first.get_or_insert_with(Instant::now);
            if !stopping.is_cancelled() {
                say("tidelog", "stopping; again to stop at once");
                stopping.cancel();
            } else if since.elapsed() > SAME_SIGNAL {
                say("tidelog", "stopped at once");
                std::process::exit(130);
            }
        }
    });
    Ok(stop)
}
