//! Whether the database can be worked with: looked at until it can before a service begins, and once a second while it runs.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::readiness::Check;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// At the start somebody waits for it.
const LOOK_AT_START_EVERY: Duration = Duration::from_millis(250);
/// A look that takes longer has failed.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks until `look` finds that the database can be worked with. False: `shutdown` came before.
pub async fn until_ready<E: Display, L: Future<Output = Result<(), E>>>(
    check: &Check,
    shutdown: &CancellationToken,
    look: impl Fn() -> L,
) -> bool {
    let mut ticks = ticks(LOOK_AT_START_EVERY);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        match shutdown.run_until_cancelled(once(check, look())).await {
            Some(true) => return true,
            Some(false) => {}
            None => return false,
        }
    }
    false
}

/// Looks once a second until `stopped`.
pub async fn watch<E: Display, L: Future<Output = Result<(), E>>>(
    check: Check,
    stopped: CancellationToken,
    look: impl Fn() -> L,
) {
    let mut ticks = ticks(LOOK_EVERY);
    while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
        once(&check, look()).await;
    }
}

async fn once<E: Display>(check: &Check, look: impl Future<Output = Result<(), E>>) -> bool {
    match timeout(LOOK_TIMEOUT, look).await {
        Ok(Ok(())) => {
            check.pass();
            return true;
        }
        Ok(Err(error)) => check.fail(error.to_string()),
        Err(_) => check.fail("it does not answer"),
    }
    false
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
