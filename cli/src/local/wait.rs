//! Waiting for something to become true, with a deadline.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Ends a loop that looks again and again: `loop { if there() { break } deadline.next_look().await? }`.
#[derive(Debug)]
pub struct Deadline {
    what: String,
    patience: Duration,
    at: Instant,
}

impl Deadline {
    /// From now on, `patience` long. `what` says in the error what did not happen.
    pub fn after(patience: Duration, what: impl Into<String>) -> Self {
        Self { what: what.into(), patience, at: Instant::now() + patience }
    }

    /// Waits a moment; fails once the deadline has passed.
    pub async fn next_look(&self) -> Result<()> {
        if Instant::now() >= self.at {
            bail!("{} did not happen within {} seconds", self.what, self.patience.as_secs_f32());
        }
        sleep(LOOK_EVERY).await;
        Ok(())
    }
}
