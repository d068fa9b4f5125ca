//! `tidelog bench`: loads the stack that runs here as phones would, and measures it from outside; or measures a phone's
//! store.

mod connection;
mod device;
mod follow;
mod latency;
mod load;
mod options;
mod over_tcp;
mod pause;
mod phone;
mod processes;
mod progress;
mod pull;
mod report;
mod run;
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
        BenchCommand::Device(options) => device::run(options).await,
    }
}
