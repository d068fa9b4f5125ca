//! Seeded simulations of phones that go off and on line, lose answers, are killed, restored and cloned, against any
//! [`Server`]: one in memory, or a running stack. At the end a plain model says whether anything was lost, came twice, or
//! diverged.

mod check;
pub mod fault;
mod finding;
pub mod in_memory;
pub mod memory;
mod model;
pub mod naive;
pub mod plan;
mod report;
mod run;
pub mod schemas;
mod server;

pub use finding::{Culprit, Finding, SimulationError, Wrong};
pub use report::{Failure, SeedReport, Summary};
pub use run::{Counts, Scene, UserOutcome, run_user};
pub use server::{Cut, Disturbance, LogEvent, QuarantinedAt, ReadModel, Server};
