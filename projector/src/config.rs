//! The section `[projector]` of the configuration; every key is documented in `config/default.toml`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use tidelog_runtime::config::{Config, ConfigError, address, at_most, check_common, positive};

/// Checks all that this service reads of a configuration. No file that it names is looked at.
///
/// # Errors
/// The first that is wrong.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    check_common(config)?;
    config.section::<ProjectorConfig>("projector")?;
    Ok(())
}

/// See `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectorConfig {
    /// Address of the operations port.
    #[serde(deserialize_with = "address")]
    pub operations_listen: SocketAddr,
    /// Spaces of one transaction.
    pub transaction_spaces: usize,
    /// Stored bytes of segments that one transaction reads.
    pub transaction_stored_bytes: u64,
    /// Bytes of them, decoded, that one transaction folds.
    pub transaction_bytes: u64,
    /// Bytes of stored entities that one transaction reads and writes.
    pub transaction_entity_bytes: u64,
    /// Milliseconds between the beginnings of two rounds under load, at most.
    #[serde(deserialize_with = "at_most::<_, 1000>")]
    pub linger_ms: u64,
    /// How often spaces are looked for whose log goes on behind what is folded, or that must be rebuilt.
    pub sweep_interval_ms: u64,
    /// How long stopping may take.
    #[serde(deserialize_with = "positive")]
    pub drain_seconds: u64,
}

impl ProjectorConfig {
    /// Between the beginnings of two rounds under load, at most.
    pub fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms)
    }

    /// How often the tables are swept.
    pub fn sweep_interval(&self) -> Duration {
        Duration::from_millis(self.sweep_interval_ms.max(1))
    }

    /// What one transaction may take in.
    pub fn measure(&self) -> Measure {
        Measure {
            stored_bytes: self.transaction_stored_bytes,
            decoded_bytes: self.transaction_bytes,
            entity_bytes: self.transaction_entity_bytes,
        }
    }
}

/// What one transaction may take in; always at least one event.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Stored bytes that are read.
    pub stored_bytes: u64,
    /// Decoded bytes that are folded.
    pub decoded_bytes: u64,
    /// Bytes of the stored entities that they touch.
    pub entity_bytes: u64,
}
