//! A replica of a service, on a runtime of its own: so that it can be ended as SIGKILL would, with every task.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// A replica. Dropping it ends it where it stands.
pub struct Replica {
    shutdown: CancellationToken,
    runtime: Option<Runtime>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Replica {
    /// Runs the service that `service` makes of its stop signal; it also stops with `shutdown`.
    pub(crate) fn start<S>(shutdown: CancellationToken, service: impl FnOnce(CancellationToken) -> S) -> Self
    where
        S: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let task = runtime.spawn(service(shutdown.clone()));
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

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
