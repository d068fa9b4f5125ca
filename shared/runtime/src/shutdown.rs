//! Stopping: the signal that asks for it, and waiting, with an end, for work in flight.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout};
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
                tracing::info!("told to stop");
                cancelled.cancel();
            }
        }
        tracing::warn!("told twice to stop: ending at once");
        std::process::exit(INTERRUPTED);
    });
    Ok(token)
}

/// How long tasks that were cut off may take to let go of what they hold.
const LETTING_GO: Duration = Duration::from_secs(1);

/// The tasks that a stopping service waits for, at most so long. Those that are not done then are dropped where they
/// stand: everything here is safe to be cut off.
#[derive(Debug, Clone)]
pub struct Drain {
    tasks: TaskTracker,
    limit: Duration,
    cut_off: CancellationToken,
}

impl Drain {
    /// [`Drain::finish`] will wait `limit` at most.
    pub fn new(limit: Duration) -> Self {
        Self { tasks: TaskTracker::new(), limit, cut_off: CancellationToken::new() }
    }

    /// Starts a task that will be waited for.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let cut_off = self.cut_off.clone();
        self.tasks.spawn(async move {
            let _ = cut_off.run_until_cancelled(task).await;
        })
    }

    /// Waits until all tasks have ended, says how that went, and returns how many did not in time.
    pub async fn finish(&self) -> usize {
        self.tasks.close();
        let began = Instant::now();
        let finished = timeout(self.limit, self.tasks.wait()).await.is_ok();
        let left = if finished { 0 } else { self.tasks.len() };
        let after_ms = began.elapsed().as_millis() as u64;
        if finished {
            tracing::info!(after_ms, "all work in hand is finished");
        } else {
            tracing::warn!(after_ms, left, "work in hand is cut off");
            self.cut_off.cancel();
            let _ = timeout(LETTING_GO, self.tasks.wait()).await;
        }
        left
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

/// Runs until `shutdown`, or until the worker ends by itself; then waits for all of `drain`, to which the worker and
/// what feeds it belong.
///
/// # Errors
/// The worker ended by itself.
pub async fn with_worker(
    worker: JoinHandle<()>,
    drain: &Drain,
    shutdown: &CancellationToken,
) -> Result<(), WorkerEnded> {
    let ended = tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        ended = worker => Some(ended),
    };
    // Without its worker a service does nothing.
    shutdown.cancel();
    drain.finish().await;
    match ended {
        None => Ok(()),
        Some(Err(panic)) => Err(panic.into()),
        Some(Ok(())) => Err(WorkerEnded::Alone),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct LetsGo(Arc<AtomicBool>);

    impl Drop for LetsGo {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn draining_waits_for_tasks_and_not_for_ever() {
        let drain = Drain::new(Duration::from_secs(20));
        drain.spawn(tokio::time::sleep(Duration::from_secs(5)));
        assert_eq!(drain.finish().await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_cut_off_and_lets_go_of_what_it_holds() {
        let drain = Drain::new(Duration::from_secs(20));
        let let_go = Arc::new(AtomicBool::new(false));
        let held = LetsGo(let_go.clone());
        drain.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        assert_eq!(drain.finish().await, 1);
        assert!(let_go.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_ends_alone_is_an_error_and_one_that_was_asked_to_is_none() {
        let check = async |asked: bool, panics: bool| {
            let (drain, shutdown) = (Drain::new(Duration::from_secs(1)), CancellationToken::new());
            let stop = shutdown.clone();
            let worker = drain.spawn(async move {
                if asked {
                    stop.cancelled().await;
                }
                assert!(!panics, "a defect");
            });
            if asked {
                shutdown.cancel();
            }
            with_worker(worker, &drain, &shutdown).await
        };
        assert!(check(true, false).await.is_ok());
        assert!(matches!(check(false, false).await, Err(WorkerEnded::Alone)));
        assert!(matches!(check(false, true).await, Err(WorkerEnded::Panicked(_))));
    }
}
