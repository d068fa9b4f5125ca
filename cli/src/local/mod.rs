//! Real NATS and PostgreSQL servers on this machine, with nothing to install by hand: for `tidelog up` and for
//! the tests. Every server can be killed, stopped and restarted on the port and data that it had.

mod given;
mod leftover;
mod nats;
mod ports;
mod postgres;
mod process;
mod servers;
mod toolbox;
mod wait;

pub use given::Given;
pub use leftover::{end_leftover, is_running};
pub use nats::{NatsPeers, NatsServer};
pub use ports::{free_port, is_free};
pub use postgres::{Durability, FoundMember, PairMember, Postgres, Replication};
pub use process::{Process, command};
pub use servers::{Servers, create_database, url_with_database};
pub use toolbox::{Toolbox, root};
pub use wait::Deadline;
