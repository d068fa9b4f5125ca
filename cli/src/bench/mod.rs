//! `tidelog bench`: loads the stack that runs here as phones would, and measures it from outside; or services of its own
//! beside it, whose past it makes long and has compacted; or a phone's store.

mod beside;
mod bootstrap;
mod cluster;
mod compact;
mod compactor;
mod connection;
mod device;
mod follow;
mod history;
mod latency;
mod live;
mod load;
mod options;
mod overload;
mod pause;
mod phone;
mod processes;
mod progress;
mod pull;
mod reader;
mod report;
mod run;
mod sizes;
mod storage;
mod target;
mod window;
mod workout;

use anyhow::Result;
pub use options::BenchCommand;

/// Runs a bench and prints its report. Ctrl-C ends it in good order.
pub async fn run(command: BenchCommand) -> Result<()> {
    match command {
        BenchCommand::Stack(bench) => run::run(bench).await,
        BenchCommand::Bootstrap(options) => bootstrap::run(options).await,
        BenchCommand::History(options) => history::run(options).await,
        BenchCommand::Compact(options) => compact::run(options).await,
        BenchCommand::Live(options) => live::run(options).await,
        BenchCommand::Overload(options) => overload::run(options).await,
        BenchCommand::Rolling(options) => cluster::rolling(options).await,
        BenchCommand::Failover(options) => cluster::failover(options).await,
        BenchCommand::Device(options) => device::run(options).await,
    }
}
