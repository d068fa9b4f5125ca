//! The world harness: everything that a test needs to stand between a device and the log, against real servers.
//! A world has a database and broker subjects of its own on one shared pair of servers, or a pair of its own
//! where a test stops or destroys it.

#![expect(clippy::expect_used, reason = "what the harness cannot do fails the test")]
#![expect(clippy::needless_pass_by_value, reason = "builders read best with values")]

mod answer;
mod batch;
mod command;
mod compactor;
mod configs;
mod gateway;
mod history;
mod ingest;
mod live;
mod message;
mod metric;
mod options;
mod poll;
mod projector;
mod proxy;
mod pruning;
mod pulled;
mod read_model;
mod replica;
mod replicas;
mod s3;
mod servers;
mod service;
mod stored;
mod world;

pub use answer::Answer;
pub use batch::{Batch, EventLine, event_id, frame};
pub use gateway::Gateway;
pub use history::History;
pub use live::{LiveConnection, Told};
pub use message::PushMessage;
pub use metric::{metric, metric_of};
pub use options::WorldOptions;
pub use poll::{eventually, everything_is_acknowledged, next_message, subscribe};
pub use proxy::{Direction, Fault, Playing, Proxy, Script, Step};
pub use pruning::SpaceEvent;
pub use pulled::Pulled;
pub use read_model::ReadModel;
pub use replica::Replica;
pub use s3::S3Server;
pub use servers::{PrivateServers, broker_address, database_address, shared_servers};
pub use service::{ServiceProcess, built};
pub use stored::{Holdings, StoredQuarantined, StoredSegment};
pub use world::{SECRET, World, token};
