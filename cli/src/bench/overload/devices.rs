//! Phones that behave, and what became of what they recorded.

use std::time::Duration;

use anyhow::{Context, Result};
use tidelog_events::id::SpaceId;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::latency::Latencies;
use super::super::phone::{Batch, Phone, Pushed};

/// How long a phone waits when nobody tells it, and at least.
const PAUSE: Duration = Duration::from_secs(1);
/// Whoever is told to wait does so for up to half as long again, so that they do not all come back at once.
const JITTER: f64 = 0.5;

/// A phone that records a batch at each of its turns, whether or not the one before is in the log.
pub(super) struct Device {
    pub(super) space: SpaceId,
    pub(super) phone: Phone,
    pub(super) first: Instant,
    pub(super) interval: Duration,
}

/// What a phone did.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) space: SpaceId,
    /// Events that were acknowledged as committed: all sequences through this one.
    pub(super) acknowledged: u64,
    /// When a batch was acknowledged, and of how many events.
    pub(super) commits: Vec<(Instant, u32)>,
    /// From the sending of a batch that was acknowledged at once.
    pub(super) latencies: Latencies,
    /// Answers that a limit was reached.
    pub(super) refusals: u64,
    /// Answers that a batch was not committed yet.
    pub(super) accepted: u64,
    /// Connections that could not be made, or broke.
    pub(super) failures: u64,
}

/// Starts them all.
pub(super) fn spawn(
    devices: impl Iterator<Item = Device>,
    stop: &CancellationToken,
) -> JoinSet<Result<Done>> {
    let mut running = JoinSet::new();
    for device in devices {
        running.spawn(device.run(stop.clone()));
    }
    running
}

/// What they did, once all have ended.
pub(super) async fn collect(mut running: JoinSet<Result<Done>>) -> Result<Vec<Done>> {
    let mut all = Vec::new();
    while let Some(ended) = running.join_next().await {
        all.push(ended.context("a phone ended")??);
    }
    Ok(all)
}

impl Device {
    /// Pushes until `stop`; what is under way then is waited for.
    async fn run(mut self, stop: CancellationToken) -> Result<Done> {
        let mut done = Done {
            space: self.space.clone(),
            acknowledged: 0,
            commits: Vec::new(),
            latencies: Latencies::default(),
            refusals: 0,
            accepted: 0,
            failures: 0,
        };
        let mut turn = self.first;
        while stop.run_until_cancelled(sleep_until(turn)).await.is_some() {
            // What was recorded while an earlier batch was on its way goes as soon as that is there.
            turn += self.interval;
            let batch = self.phone.record()?;
            if !self.push(&batch, &stop, &mut done).await? {
                break;
            }
            done.acknowledged = self.phone.sequence();
            done.commits.push((Instant::now(), self.phone.batch));
        }
        Ok(done)
    }

    /// Pushes until it is acknowledged; false if `stop` came before.
    async fn push(&mut self, batch: &Batch, stop: &CancellationToken, done: &mut Done) -> Result<bool> {
        loop {
            let began = Instant::now();
            let wait = match self.phone.push(batch).await {
                Ok(Pushed::Committed { .. }) => {
                    done.latencies.add(began.elapsed());
                    return Ok(true);
                }
                Ok(Pushed::AlreadyCommitted) => return Ok(true),
                Ok(Pushed::Accepted) => {
                    done.accepted += 1;
                    PAUSE
                }
                Ok(Pushed::AtLimit { retry_after }) => {
                    done.refusals += 1;
                    retry_after.max(PAUSE)
                }
                Err(error) if is_of_the_network(&error) => {
                    done.failures += 1;
                    PAUSE
                }
                Err(error) => return Err(error),
            };
            let wait = wait.mul_f64(1.0 + fastrand::f64() * JITTER);
            if stop.run_until_cancelled(sleep(wait)).await.is_none() {
                return Ok(false);
            }
        }
    }
}

/// Whether a push failed on its way, so that nobody knows what became of it.
pub(in super::super) fn is_of_the_network(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<hyper::Error>() || cause.is::<std::io::Error>())
}
