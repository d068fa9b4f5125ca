//! What the environment says about this machine's own servers and tools.

use std::path::PathBuf;

/// Servers and folders that are there already, so that nothing is started or fetched for them.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// `TIDELOG_NATS_URL`: a NATS server with JetStream.
    pub nats_url: Option<String>,
    /// `TIDELOG_DATABASE_URL`: a PostgreSQL database; the tests also create others beside it.
    pub database_url: Option<String>,
    /// `TIDELOG_TOOLBOX`: where fetched servers are kept, instead of `.toolbox/`.
    pub toolbox: Option<PathBuf>,
}

impl Given {
    /// Reads the process's environment; an empty variable counts as none.
    pub fn from_environment() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            nats_url: text("TIDELOG_NATS_URL"),
            database_url: text("TIDELOG_DATABASE_URL"),
            toolbox: text("TIDELOG_TOOLBOX").map(PathBuf::from),
        }
    }
}
