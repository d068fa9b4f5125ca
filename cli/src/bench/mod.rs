//! `tidelog bench`: loads the stack that runs here as phones would, and measures it from outside.

mod connection;
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

pub use options::BenchCommand;
pub use run::run;
