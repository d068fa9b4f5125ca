//! Stopping: the signal that asks for it, and waiting, with an end, for work in flight.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Exit code of a process that was told twice to stop, as shells count it for SIGINT.
const INTERRUPTED: i32 = 130;

/// A token that the first SIGINT or SIGTERM cancels. The second ends the process at once: somebody is waiting.
///
/// # Errors
/// The signals cannot be listened to.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if first {
                tracing::info!("stopping");
                cancelled.cancel();
            }
        }
        tracing::warn!("told twice to stop: ending at once");
        std::process::exit(INTERRUPTED);
    });
    Ok(token)
}

/// The tasks that a stopping service waits for, at most so long.
#[derive(Debug, Clone)]
pub struct Drain {
    tasks: TaskTracker,
    limit: Duration,
}

impl Drain {
    /// [`Drain::finish`] will wait `limit` at most.
    pub fn new(limit: Duration) -> Self {
        Self { tasks: TaskTracker::new(), limit }
    }

    /// Starts a task that will be waited for.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Waits until all tasks have ended; false if some had not at the limit. They are then left to the end of the
    /// process: everything here is safe to be cut off.
    pub async fn finish(&self) -> bool {
        self.tasks.close();
        let finished = tokio::time::timeout(self.limit, self.tasks.wait()).await.is_ok();
        if !finished {
            tracing::warn!(left = self.tasks.len(), "stopping with work in flight");
        }
        finished
    }
}

/// A service's worker ended, and nobody had asked for it: whoever runs the service should start another.
#[derive(Debug, thiserror::Error)]
pub enum WorkerEnded {
    /// It has a defect.
    #[error("the worker panicked")]
    Panicked(#[from] JoinError),
    /// Its queue ended.
    #[error("the worker ended, and nobody asked for it")]
    Alone,
}

/// Runs until `shutdown`, feeding a worker, then waits for all of `drain`; or until the worker ends by itself.
///
/// # Errors
/// The worker ended by itself.
pub async fn feed_worker(
    feeding: impl Future<Output = ()>,
    worker: JoinHandle<()>,
    drain: &Drain,
    shutdown: &CancellationToken,
) -> Result<(), WorkerEnded> {
    let ended = tokio::select! {
        () = feeding => None,
        ended = worker => Some(ended),
    };
    let stopping = shutdown.is_cancelled();
    // Without its worker a service does nothing.
    shutdown.cancel();
    drain.finish().await;
    match ended {
        Some(Err(panic)) => Err(panic.into()),
        _ if !stopping => Err(WorkerEnded::Alone),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn draining_waits_for_tasks_and_not_for_ever() {
        let drain = Drain::new(Duration::from_secs(20));
        drain.spawn(tokio::time::sleep(Duration::from_secs(5)));
        assert!(drain.finish().await);
        drain.spawn(std::future::pending::<()>());
        assert!(!drain.finish().await);
    }
}
