//! The section `[rates]` of the configuration; every key is documented in `config/default.toml`.

use serde::Deserialize;
use tidelog_runtime::config::positive;

/// See `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatesConfig {
    /// Requests a second of one address; 0 for no limit.
    pub address_per_second: u32,
    /// Requests of one address at once.
    #[serde(deserialize_with = "positive")]
    pub address_burst: u32,
    /// Requests a second of one user; 0 for no limit.
    pub user_per_second: u32,
    /// Requests of one user at once.
    #[serde(deserialize_with = "positive")]
    pub user_burst: u32,
    /// Requests a second of one trusted backend; 0 for no limit.
    pub backend_per_second: u32,
    /// Requests of one trusted backend at once.
    #[serde(deserialize_with = "positive")]
    pub backend_burst: u32,
    /// Counters of each limit.
    #[serde(deserialize_with = "positive")]
    pub counters: usize,
}
