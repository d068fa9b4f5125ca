//! Keeps the children alive: whatever ends is started again with backoff, and that is said.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::child::Child;
use super::pair::Pair;
use crate::stack_file::StackFile;
use crate::terminal::{say, warn};

const LOOK_EVERY: Duration = Duration::from_millis(50);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A child that ran this long is taken to be healthy: its next end begins with the shortest backoff again.
const HEALTHY_AFTER: Duration = Duration::from_secs(20);

/// How the end of a process reads that was told to stop, and did.
const STOPPED: &str = "exit status: 0";

/// Watches the children, and a pair of databases, until `stop`; then stops them one by one in their order.
pub(super) async fn run(
    children: Vec<Child>,
    pair: Option<Pair>,
    stack: StackFile,
    file: &Path,
    stop: &CancellationToken,
) -> Result<()> {
    let board = Arc::new(Board { stack: Mutex::new(stack), file: file.to_owned() });
    let mut watches = JoinSet::new();
    for (order, child) in children.into_iter().enumerate() {
        let (board, stop) = (Arc::clone(&board), stop.clone());
        watches.spawn(async move { (order, watch(child, &board, &stop).await) });
    }
    let watching = async {
        match pair {
            Some(pair) => Some(pair.watch(&board, stop).await),
            None => None,
        }
    };
    let (mut children, pair) = tokio::join!(watches.join_all(), watching);
    children.sort_by_key(|(order, _)| *order);
    for (_, mut child) in children {
        say(child.role(), "stopping");
        child.stop().await?;
    }
    match pair {
        Some(pair) => pair.stop().await,
        None => Ok(()),
    }
}

/// The stack's file, kept true.
pub(super) struct Board {
    stack: Mutex<StackFile>,
    file: PathBuf,
}

impl Board {
    /// Notes the process of a role; none while it does not run.
    pub(super) fn note(&self, role: &str, pid: Option<u32>) {
        let mut stack = self.stack.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match pid {
            Some(pid) => stack.pids.insert(role.to_owned(), pid),
            None => stack.pids.remove(role),
        };
        if before != pid
            && let Err(error) = stack.write(&self.file)
        {
            warn("tidelog", &format!("{error:#}"));
        }
    }
}

async fn watch(mut child: Child, board: &Board, stop: &CancellationToken) -> Child {
    let mut backoff = FIRST_BACKOFF;
    let mut since = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return child,
            () = sleep(LOOK_EVERY) => {}
        }
        let Some(reason) = child.ended() else { continue };
        if since.elapsed() >= HEALTHY_AFTER || reason == STOPPED {
            backoff = FIRST_BACKOFF;
        }
        say_end(&mut child, &reason, backoff);
        tokio::select! {
            () = stop.cancelled() => return child,
            () = sleep(backoff) => {}
        }
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
        since = Instant::now();
        let restarted = tokio::select! {
            () = stop.cancelled() => return child,
            restarted = child.restart() => restarted,
        };
        match restarted {
            Ok(()) => {
                let back = format!("is back (process {})", child.id().unwrap_or_default());
                say(child.role(), &back);
            }
            Err(error) => warn(child.role(), &format!("{error:#}")),
        }
        let pid = child.id();
        board.note(child.role(), pid);
    }
}

fn say_end(child: &mut Child, reason: &str, backoff: Duration) {
    warn(child.role(), &format!("ended ({reason}); starting it again in {} s", backoff.as_secs_f32()));
    // A killed process has nothing to say about it, and one that was told to stop nothing of use.
    if !reason.contains("signal") && reason != STOPPED {
        for line in child.last_words().lines() {
            warn("", line);
        }
    }
}
