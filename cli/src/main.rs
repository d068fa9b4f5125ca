//! The command `tidelog`. Only wires: each command is a module of the library.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tidelog_cli::local::{Given, Toolbox};
use tidelog_cli::{
    bench, compactor, config, device, history, inspect, migrate, projector, replay, schema, simulate, tail,
    token, traces, up,
};

/// Runs, fills and looks into a Tidelog on this machine.
#[derive(Debug, Parser)]
#[command(name = "tidelog", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything on this machine and keep it running until Ctrl-C
    Up(up::UpOptions),
    /// Bring the tables and streams that the configuration names to this version
    Migrate(migrate::MigrateOptions),
    /// Print a token for the stack that runs here
    Token(token::TokenOptions),
    /// Push recorded traces to the stack that runs here, as their devices would
    Replay(replay::ReplayOptions),
    /// Show the committed events of the stack that runs here
    Tail(tail::TailOptions),
    /// Show every event of a space, also those that were pruned from the log
    ///
    /// Reads PostgreSQL and the archive: those that the configuration names, or those of the stack that runs here.
    History(history::HistoryOptions),
    /// Show a space as the admin API has it: its log, why each device does not sync, quarantine, the last events
    Inspect(inspect::InspectOptions),
    /// Take the traces that services export, and show each as a tree
    Traces(traces::TracesOptions),
    /// Load the stack that runs here, and measure it
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Simulate phones to which everything happens, and check that nothing is lost
    Simulate(simulate::SimulateOptions),
    /// Look into the store of a device
    #[command(subcommand)]
    Device(device::DeviceCommand),
    /// Work on read models
    #[command(subcommand)]
    Projector(projector::ProjectorCommand),
    /// Compact by hand, and find out why a space is not pruned
    #[command(subcommand)]
    Compactor(compactor::CompactorCommand),
    /// Check a configuration before services start with it
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Fetch nats-server and PostgreSQL now, not at the first start
    Toolbox,
    /// Check schema files, and generate types from them
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidelog: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(options) => up::run(options).await,
        Command::Migrate(options) => migrate::command(options).await,
        Command::Token(options) => token::run(options),
        Command::Replay(options) => replay::run(options).await,
        Command::Tail(options) => tail::run(options).await,
        Command::History(options) => history::run(options).await,
        Command::Inspect(options) => inspect::run(options).await,
        Command::Traces(options) => traces::run(options).await,
        Command::Bench(command) => bench::run(command).await,
        Command::Simulate(options) => simulate::run(options).await,
        Command::Device(command) => device::run(command).await,
        Command::Projector(command) => projector::run(command).await,
        Command::Compactor(command) => compactor::run(command).await,
        Command::Config(command) => config::run(command),
        Command::Toolbox => toolbox(),
        Command::Schema(command) => schema::run(&command),
    }
}

fn toolbox() -> Result<()> {
    let given = Given::from_environment();
    if given.nats_url.is_some() && given.database_url.is_some() {
        println!("nothing to fetch: the environment names a NATS and a PostgreSQL");
        return Ok(());
    }
    Toolbox::fetch(&given, |line| println!("{line}"))?;
    Ok(())
}
