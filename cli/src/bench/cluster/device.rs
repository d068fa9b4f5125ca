//! A phone that pushes what it recorded until it is committed: three times again within five seconds, as a phone does in one
//! go; what goes on behind that counts as failed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::StatusCode;
use tidelog_events::id::SpaceId;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::super::overload::is_of_the_network;
use super::super::phone::{Batch, Phone, Pushed, Refused};

/// How long a phone waits before it tries again; the last one again and again.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_millis(1500)];
/// So often, and for so long, a phone tries again before its push has failed.
const RETRIES_MAX: u32 = 3;
const RETRY_FOR: Duration = Duration::from_secs(5);
/// A batch that was accepted is asked after this often.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// A try that is not answered by then has failed: the gateway answers sooner, one way or the other.
const TRY_TIMEOUT: Duration = Duration::from_secs(15);
/// A batch that is not committed by then is lost.
const PATIENCE: Duration = Duration::from_mins(2);

/// A phone with a space of its own.
pub(super) struct Device {
    pub(super) space: SpaceId,
    pub(super) phone: Phone,
    pub(super) first: Instant,
    pub(super) interval: Duration,
}

/// What became of one batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Push {
    /// Its first try.
    pub(super) began: Instant,
    pub(super) committed: Instant,
    /// Tries that failed.
    pub(super) failures: u32,
    pub(super) first_try_failed: bool,
    /// It was neither committed nor accepted by its last retry.
    pub(super) has_failed: bool,
    /// It was accepted before it was committed.
    pub(super) was_accepted: bool,
}

/// What became of all batches.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    pub(super) all: Vec<Push>,
    /// Why tries failed, and when.
    pub(super) causes: Vec<(Instant, String)>,
}

/// Each space, and how many events were recorded in it.
type Recorded = Vec<(SpaceId, u64)>;

/// Runs the phones until `stop`, and until what they recorded is committed.
pub(super) async fn run(devices: Vec<Device>, stop: CancellationToken) -> Result<(Pushes, Recorded)> {
    let mut running = JoinSet::new();
    for device in devices {
        running.spawn(device.run(stop.clone()));
    }
    let (mut all, mut recorded) = (Pushes::default(), Recorded::new());
    while let Some(ended) = running.join_next().await {
        let (space, events, pushes) = ended.context("a phone ended")??;
        all.all.extend(pushes.all);
        all.causes.extend(pushes.causes);
        recorded.push((space, events));
    }
    Ok((all, recorded))
}

/// What came of a try.
enum Tried {
    Committed,
    Accepted,
    Failed { cause: String, wait: Duration },
}

impl Device {
    async fn run(mut self, stop: CancellationToken) -> Result<(SpaceId, u64, Pushes)> {
        let (mut pushes, mut turn) = (Pushes::default(), self.first);
        while stop.run_until_cancelled(sleep_until(turn)).await.is_some() {
            // What was recorded while an earlier batch was on its way goes as soon as that is there.
            turn += self.interval;
            let batch = self.phone.record()?;
            let push = self.push(&batch, &mut pushes).await?;
            pushes.all.push(push);
        }
        Ok((self.space, self.phone.sequence(), pushes))
    }

    async fn push(&mut self, batch: &Batch, pushes: &mut Pushes) -> Result<Push> {
        let began = Instant::now();
        let mut push = Push {
            began,
            committed: began,
            failures: 0,
            first_try_failed: false,
            has_failed: false,
            was_accepted: false,
        };
        let mut tries = 0_u32;
        loop {
            tries += 1;
            match self.attempt(batch).await? {
                Tried::Committed => {
                    push.committed = Instant::now();
                    return Ok(push);
                }
                Tried::Accepted => {
                    push.was_accepted = true;
                    sleep(ASK_AGAIN_AFTER).await;
                }
                Tried::Failed { cause, wait } => {
                    pushes.causes.push((Instant::now(), cause));
                    let pause = PAUSES[(push.failures as usize).min(PAUSES.len() - 1)];
                    push.failures += 1;
                    push.first_try_failed |= tries == 1;
                    let was_last = push.failures > RETRIES_MAX || began.elapsed() > RETRY_FOR;
                    push.has_failed |= was_last && !push.was_accepted;
                    sleep(pause.max(wait)).await;
                }
            }
            ensure!(began.elapsed() < PATIENCE, "a batch of {} was not committed in time", self.space);
        }
    }

    async fn attempt(&mut self, batch: &Batch) -> Result<Tried> {
        let failed = |cause: &str| Tried::Failed { cause: cause.to_owned(), wait: Duration::ZERO };
        let Ok(pushed) = timeout(TRY_TIMEOUT, self.phone.push(batch)).await else {
            return Ok(failed("no answer"));
        };
        match pushed {
            Ok(Pushed::Committed { .. } | Pushed::AlreadyCommitted) => Ok(Tried::Committed),
            Ok(Pushed::Accepted) => Ok(Tried::Accepted),
            Ok(Pushed::AtLimit { retry_after }) => {
                Ok(Tried::Failed { cause: "429 or 503".to_owned(), wait: retry_after })
            }
            Err(error) if is_of_the_network(&error) => Ok(failed(&error.to_string())),
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(Refused { status, .. })
                    if status.is_server_error() || *status == StatusCode::REQUEST_TIMEOUT =>
                {
                    Ok(failed(status.as_str()))
                }
                _ => Err(error),
            },
        }
    }
}

impl Pushes {
    /// How many tries between those moments failed of each cause.
    pub(super) fn causes(&self, from: Instant, to: Instant) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for (_, cause) in self.causes.iter().filter(|(at, _)| *at >= from && *at <= to) {
            *counts.entry(cause.clone()).or_default() += 1;
        }
        counts
    }
}
