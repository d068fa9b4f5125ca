//! Tidelog's tables in PostgreSQL: the migrations, and one module a table with all its statements. A service
//! writes only the columns that it owns (see the comments in `migrations/`); the others only read.

pub mod admin_audit;
pub mod archive;
pub mod archive_devices;
pub mod backlogs;
mod columns;
pub mod compactions;
pub mod device_profiles;
pub mod devices;
pub mod entities;
pub mod entity_keys;
pub mod erasures;
pub mod incarnation;
pub mod projections;
pub mod quarantine;
pub mod quarantined_messages;
pub mod rebuilds;
pub mod segment_devices;
pub mod segments;
pub mod skipped_events;
pub mod snapshot_parts;
pub mod snapshots;
pub mod space_logs;
pub mod space_sizes;
pub mod spaces;
pub mod tables;

pub use tables::Tables;
