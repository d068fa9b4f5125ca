//! The world harness: everything that a test needs to stand between a device and the log, against real servers.
//! A world has a database and broker subjects of its own on one shared pair of servers, or a pair of its own
//! where a test stops or destroys it.

mod batch;
mod poll;
mod servers;
mod world;

pub use batch::{Batch, EventLine, event_id, frame};
pub use poll::eventually;
pub use servers::{PrivateServers, shared_servers};
pub use world::{Answer, Ingest, World, WorldOptions, token};
