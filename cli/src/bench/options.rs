//! What `tidelog bench` is asked for.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// What the stack that runs here does
    #[command(flatten)]
    Stack(StackBench),
    /// How long a fresh device takes to have the state of a space with a long past, on services of the bench's own
    Bootstrap(BootstrapOptions),
    /// What a small pull costs with much and with little behind it, on services of the bench's own
    History(HistoryOptions),
    /// Push for weeks of shortened days, read meanwhile, compact all the time, and check that nothing is lost, on services
    /// of the bench's own
    Compact(CompactOptions),
    /// What idle live connections cost, and how long an event takes from one device to another, on the stack that runs here
    Live(LiveOptions),
    /// Offer the stack that runs here as much as it can take, twice and five times that, and check that what it takes stays
    /// as much, and that nothing acknowledged is lost
    Overload(OverloadOptions),
    /// Restart every service of the stack that runs here, one after the other, while phones push, and check that they hardly
    /// notice: `tidelog up --cluster` has two of each
    Rolling(RollingOptions),
    /// Kill servers of the cluster that runs here while phones push, and check that nothing is lost
    Failover(FailoverOptions),
    /// Measure the device's store, on the disk of this folder; needs no stack
    Device(DeviceOptions),
}

/// What of the stack is measured.
#[derive(Debug, Subcommand)]
pub enum StackBench {
    /// Push as fast as the stack answers, or at `--rate`
    Push(PushOptions),
    /// Pull what was pushed before: whole logs, and 200 events of random spaces, 16 at a time
    Pull(LoadOptions),
    /// Push while the projector sleeps, then measure how fast it catches up
    Project(LoadOptions),
    /// Push at a rate that the projector keeps up with, and follow the logs of some spaces
    Mixed(LoadOptions),
}

/// Options of `tidelog bench push`.
#[derive(Debug, Args)]
pub struct PushOptions {
    #[command(flatten)]
    pub(super) load: LoadOptions,
    /// Let the projector sleep meanwhile
    #[arg(long)]
    pub(super) pause_projector: bool,
}

/// The load.
#[derive(Debug, Clone, Args)]
pub struct LoadOptions {
    /// Phones, each with a connection of its own and one push in flight
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) devices: u32,
    /// Events of a batch
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) batch: u32,
    /// How long each measurement takes, after a second of warming up
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) seconds: u64,
    /// Events a second of all devices together; without it each device pushes again as soon as it is answered
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) rate: Option<u64>,
    /// Spaces that the devices share evenly; without it each device has its own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) spaces: Option<u32>,
    /// Events that each space holds before the measurement begins
    #[arg(long, value_name = "N")]
    pub(super) history: Option<u64>,
    /// Measure services of the bench's own that reach PostgreSQL over TCP, with a database and streams of their own
    #[arg(long)]
    pub(super) tcp: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `tidelog bench bootstrap`.
#[derive(Debug, Args)]
pub struct BootstrapOptions {
    /// Entities of the space
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) entities: u32,
    /// Events about them, as many about each
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(2..=10_000_000))]
    pub(super) updates: u64,
    /// Events that stay in the log; what lies before them is folded into the snapshot
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) keep_events: u64,
    /// Fresh devices that are measured, one after the other
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) runs: u32,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `tidelog bench history`.
#[derive(Debug, Args)]
pub struct HistoryOptions {
    /// Events that the spaces hold, one space for each number; all others are compared with the first
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1000, 1_000_000], num_args = 1..,
          value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(super) events: Vec<u64>,
    /// Pulls that are measured of each space and each kind of past
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) runs: u32,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `tidelog bench compact`.
#[derive(Debug, Args)]
pub struct CompactOptions {
    /// Spaces
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) spaces: u32,
    /// Events that are pushed to all of them together
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(super) events: u64,
    /// Days that pushing takes
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(2..=3650))]
    pub(super) days: u32,
    /// Days that events stay in the log
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(super) retention_days: u32,
    /// Seconds of a day
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(super) day_seconds: u32,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `tidelog bench live`.
#[derive(Debug, Args)]
pub struct LiveOptions {
    /// Idle live connections, each to a space of its own
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=9_000))]
    pub(super) connections: u32,
    /// Devices that push an event a second, two of them to a space
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=2_000))]
    pub(super) devices: u32,
    /// For how long they push
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) seconds: u64,
    /// Then kill the gateway (`tidelog up` starts it again), and see that all connections come back and miss nothing
    #[arg(long)]
    pub(super) kill: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `tidelog bench overload`.
#[derive(Debug, Args)]
pub struct OverloadOptions {
    /// Events a second that the stack can take; without it that is measured first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) rate: Option<u64>,
    /// How long each load is offered
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) seconds: u64,
    /// Phones that offer the simple load, each with a connection and a space of its own; five times as many the greatest
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=3000))]
    pub(super) devices: u32,
    /// Events of a batch
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) batch: u32,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// The load of a bench whose phones try again.
#[derive(Debug, Clone, Args)]
pub struct SteadyOptions {
    /// Events a second of all phones together
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) rate: u64,
    /// Phones, each with a connection and a space of its own
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=3000))]
    pub(super) devices: u32,
    /// Events of a batch
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) batch: u32,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `tidelog bench rolling`.
#[derive(Debug, Args)]
pub struct RollingOptions {
    #[command(flatten)]
    pub(super) load: SteadyOptions,
    /// How often each service is restarted
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) rounds: u32,
}

/// Options of `tidelog bench failover`.
#[derive(Debug, Args)]
pub struct FailoverOptions {
    #[command(flatten)]
    pub(super) load: SteadyOptions,
    /// What is killed
    #[arg(long, value_name = "SERVER", default_value = "both")]
    pub(super) kill: Killed,
}

/// Which server is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Killed {
    /// The NATS node that leads the stream PUSH
    Nats,
    /// The PostgreSQL primary
    Postgres,
    /// The one, and when all is well again, the other
    Both,
}

/// Options of `tidelog bench device`.
#[derive(Debug, Args)]
pub struct DeviceOptions {
    /// Events that the large store has recorded; a sixth of them is not synced
    #[arg(long, value_name = "N", default_value_t = 120_000, value_parser = clap::value_parser!(u64).range(12..=10_000_000))]
    pub(super) events: u64,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(super) json: bool,
    /// Only open this store, ask it, and tell how that went: what the bench starts to have a process of its own measured
    #[arg(long, value_name = "FILE", hide = true)]
    pub(super) open: Option<PathBuf>,
}

impl StackBench {
    /// The load, whatever is measured.
    pub(super) fn load(&self) -> &LoadOptions {
        match self {
            Self::Push(options) => &options.load,
            Self::Pull(load) | Self::Project(load) | Self::Mixed(load) => load,
        }
    }

    /// The word for it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Push(_) => "push",
            Self::Pull(_) => "pull",
            Self::Project(_) => "project",
            Self::Mixed(_) => "mixed",
        }
    }
}

impl LoadOptions {
    /// How many spaces there are.
    pub(super) fn space_count(&self) -> u32 {
        self.spaces.unwrap_or(self.devices)
    }
}
