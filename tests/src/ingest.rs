//! An ingest of a world, on a runtime of its own: so that it can be ended as SIGKILL would, with every task.

use std::time::Duration;

use tidelog_runtime::broker::Broker;
use tidelog_runtime::config::Config;
use tidelog_runtime::database::{self, DatabaseConfig};
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_runtime::schema_watch::SchemaWatch;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::section;

const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// An ingest. Dropping it ends it where it stands.
pub struct Ingest {
    shutdown: CancellationToken,
    runtime: Option<Runtime>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Ingest {
    /// Starts one with that configuration; it also stops with `shutdown`.
    ///
    /// # Panics
    /// When its parts cannot be made; servers that are away are waited for.
    pub fn start(config: &Config, shutdown: CancellationToken) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let task = runtime.spawn(run(config.clone(), shutdown.clone()));
        Self { shutdown, runtime: Some(runtime), task }
    }

    /// Stops it as SIGTERM would, and waits for its end.
    ///
    /// # Panics
    /// When it ended with an error, or does not end.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(STOP_PATIENCE, &mut self.task).await;
        ended.expect("it stops in time").expect("no panic").expect("no error");
    }

    /// Ends it where it stands, as SIGKILL would: its connections break, whatever it was doing.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let database: DatabaseConfig = section(&config, "database");
    let (schema, _watch) = SchemaWatch::start(&section(&config, "schema"), shutdown.clone())?;
    let deps = tidelog_ingest::Deps {
        pool: database::connect(&database, "ingest")?,
        broker: Broker::connect(&section(&config, "broker"), "ingest").await?,
        schema,
        config: section(&config, "ingest"),
        database,
        readiness: Readiness::new(TOLERANCE),
    };
    tidelog_ingest::run(deps, shutdown).await
}
