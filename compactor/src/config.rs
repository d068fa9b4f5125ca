//! The section `[compactor]` of the configuration; every key is documented in `config/default.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tidelog_runtime::clock::Clock;
pub use tidelog_runtime::config::RetentionConfig;
use tidelog_runtime::config::{Config, ConfigError, address, at_most, check_common, positive};

/// Checks all that this service reads of a configuration. No file that it names is looked at.
///
/// # Errors
/// The first that is wrong.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    check_common(config)?;
    Clock::from_config(&config.section("clock")?)
        .map_err(|error| config.refused("clock.day_seconds", &error))?;
    config.section::<tidelog_archive::ArchiveConfig>("archive")?;
    config.section::<RetentionConfig>("retention")?;
    config.section::<CompactorConfig>("compactor")?;
    Ok(())
}

/// See `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompactorConfig {
    /// Address of the operations port.
    #[serde(deserialize_with = "address")]
    pub operations_listen: SocketAddr,
    /// How often spaces are looked for that have something to compact.
    #[serde(deserialize_with = "positive")]
    pub interval_ms: u64,
    /// Hours after which segments may be merged.
    pub merge_after_hours: u64,
    /// Events of a merged segment, at most.
    #[serde(deserialize_with = "at_most::<_, 10_000>")]
    pub merge_events: u64,
    /// Decoded bytes of a merged segment, at most; no more than of a batch, which every reader has room for.
    #[serde(deserialize_with = "at_most::<_, 4_194_304>")]
    pub merge_bytes: u64,
    /// Decoded bytes of events that are folded in memory at once.
    #[serde(deserialize_with = "positive")]
    pub fold_bytes: u64,
    /// Decoded bytes of a snapshot, at most: a space with more is not pruned.
    #[serde(deserialize_with = "at_most::<_, 134_217_728>")]
    pub snapshot_bytes: u64,
    /// Stored bytes of an object of the archive.
    #[serde(deserialize_with = "positive")]
    pub archive_bytes: u64,
    /// Where what does not fit in memory is folded; empty: the system's folder for temporary files.
    pub work_folder: PathBuf,
    /// How long a snapshot stays after a later one took its place.
    pub snapshot_grace_seconds: u64,
    /// How long a stopping compactor lets the step in hand finish.
    #[serde(deserialize_with = "positive")]
    pub drain_seconds: u64,
}

impl CompactorConfig {
    /// How often spaces are looked for.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }
}
