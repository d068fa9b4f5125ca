//! What Tidelog's services have in common: configuration, telemetry, the broker, the database, health and
//! shutdown. Nothing here knows what a batch or an entity is; that is `tidelog-events`.

pub mod broker;
pub mod clock;
pub mod config;
pub mod database;
pub mod failpoint;
pub mod metrics;
pub mod operations;
pub mod readiness;
pub mod schema_watch;
pub mod service;
pub mod shutdown;
pub mod telemetry;
