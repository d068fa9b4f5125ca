//! The archive: where the segments go that are pruned from PostgreSQL, a folder or a bucket of any S3. An object is
//! written before anything is pruned, read back, and never changed. History is archive and log, read as one.

mod backward;
mod config;
mod device;
mod history;
mod name;
mod place;
mod store;

pub use backward::BackwardReader;
pub use config::ArchiveConfig;
pub use device::DeviceReader;
pub use history::{History, HistoryChunk, HistoryError, HistoryReader, Source};
pub use store::{Archive, ArchiveError, StoredObject};
