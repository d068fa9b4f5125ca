//! The configuration of a world's services: one for all, and of a service its own where a test gives it one.

use std::collections::BTreeMap;

use tidelog_runtime::config::Config;

/// What each service is configured with.
pub(crate) struct Configs {
    pub(crate) all: Config,
    pub(crate) own: BTreeMap<&'static str, Config>,
}

impl Configs {
    /// That of a service: `gateway`, `ingest`, `projector` or `compactor`.
    pub(crate) fn of(&self, service: &str) -> &Config {
        self.own.get(service).unwrap_or(&self.all)
    }
}
