//! Measures the pipeline every few seconds, so that asking for its rates costs nothing: counters of the streams and their
//! consumers, and a walk over all spaces, a bounded number of them at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::PgPool;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::broker::{Broker, BrokerError};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::RetentionConfig;
use tidelog_store::backlogs::{self, Backlog, PruneBefore};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Swept;
use super::parts::{Part, broker_away, database_away, part};
use super::rates::{Passed, Sample, spread};

/// Spaces that are looked at each time.
const WINDOW: i64 = 10_000;
/// Segments that are looked at each time to see how many events they have; where more have come, it is an estimate.
const SEGMENTS_LOOKED_AT: u64 = 8;
/// How long samples are kept.
const KEPT: Duration = Duration::from_secs(65);
/// Samples that are kept, at most.
const SAMPLES_MAX: usize = 1000;

const NOT_YET: &str = "the first walk over all spaces has not ended yet";

/// What was measured. Clones share it.
#[derive(Clone)]
pub struct Measured {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    samples: VecDeque<Sample>,
    swept: Part<Swept>,
}

impl Default for Measured {
    fn default() -> Self {
        let shared = Shared { samples: VecDeque::new(), swept: Err(NOT_YET) };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }
}

impl Measured {
    /// What has passed, at moments of the last minute.
    pub(super) fn samples(&self) -> VecDeque<Sample> {
        self.shared().samples.clone()
    }

    /// What was found on the last walk over all spaces, or why nothing was.
    pub(super) fn swept(&self) -> Part<Swept> {
        self.shared().swept
    }

    fn note(&self, sample: Sample) {
        let samples = &mut self.shared().samples;
        if samples.back().is_some_and(|before| !sample.passed.follows(&before.passed)) {
            samples.clear();
        }
        samples.push_back(sample);
        while samples.len() > SAMPLES_MAX
            || samples.front().is_some_and(|first| sample.at.duration_since(first.at) > KEPT)
        {
            samples.pop_front();
        }
    }

    fn forget_samples(&self) {
        self.shared().samples.clear();
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the sampler works with.
pub(crate) struct Sampled {
    pub(crate) pool: PgPool,
    pub(crate) broker: Broker,
    pub(crate) clock: Clock,
    pub(crate) retention: RetentionConfig,
    pub(crate) every: Duration,
}

/// Measures until `stopped`.
pub(crate) async fn sample(sampled: Sampled, measured: Measured, stopped: CancellationToken) {
    let mut walk = Walk::default();
    let mut ticks = interval(sampled.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
        let before = measured.shared().samples.back().copied();
        let (passed, walked) = tokio::join!(part(passed(&sampled.broker, before)), part(walk.step(&sampled)));
        match passed {
            Ok(sample) => measured.note(sample),
            Err(_) => measured.forget_samples(),
        }
        match walked {
            Ok(Some(swept)) => measured.shared().swept = Ok(swept),
            Ok(None) => {}
            Err(reason) => measured.shared().swept = Err(reason),
        }
    }
}

/// What has passed by now. Streams do not count events, so those are added up from sample to sample.
async fn passed(broker: &Broker, before: Option<Sample>) -> Part<Sample> {
    if !broker.is_connected() {
        return Err(super::parts::NO_BROKER);
    }
    let away = |error: BrokerError| broker_away(&error);
    let (push, log) = tokio::try_join!(broker.push_standing(), broker.log_standing()).map_err(away)?;
    let at = Instant::now();
    let mut passed = Passed {
        pushed_batches: push.last_sequence,
        settled_batches: push.consumer.settled,
        committed_batches: log.last_sequence,
        folded_batches: log.consumer.settled,
        ..Passed::default()
    };
    if let Some(Sample { passed: before, .. }) = before {
        let (committed, folded) = tokio::try_join!(
            events(broker, before.committed_batches, passed.committed_batches),
            events(broker, before.folded_batches, passed.folded_batches),
        )
        .map_err(away)?;
        passed.committed_events = before.committed_events + committed;
        passed.folded_events = before.folded_events + folded;
    }
    Ok(Sample { at, passed })
}

/// How many events the segments have that LOG holds behind the stream sequence `from` through `to`: as many as some of
/// them have, on average.
async fn events(broker: &Broker, from: u64, to: u64) -> Result<u64, BrokerError> {
    let looks = spread(from, to, SEGMENTS_LOOKED_AT).into_iter().map(|at| broker.announced_events(at));
    let mut found = Vec::new();
    for events in join_all(looks).await {
        found.extend(events?);
    }
    let total: u64 = found.iter().sum();
    Ok((total * to.saturating_sub(from)).checked_div(found.len() as u64).unwrap_or(0))
}

/// A walk over all spaces, in order of their ids.
#[derive(Default)]
struct Walk {
    after: String,
    so_far: Backlog,
}

impl Walk {
    /// Looks at some more spaces; at the end of the walk, says what was found, and begins the next one.
    async fn step(&mut self, sampled: &Sampled) -> Part<Option<Swept>> {
        let Sampled { pool, clock, retention, .. } = sampled;
        let now = clock.now();
        let kept_ms = i64::try_from(clock.days(retention.events_days).as_millis()).unwrap_or(i64::MAX);
        let prune = PruneBefore {
            received: UtcTime(now.0.saturating_sub(kept_ms).max(0)),
            keep_events: retention.keep_events,
            prune_events: retention.prune_events,
        };
        let looked = async { backlogs::look(&mut *pool.acquire().await?, &self.after, WINDOW, &prune).await };
        let (found, next) = looked.await.map_err(|error| database_away(&error))?;
        self.so_far = self.so_far.plus(found);
        if let Some(next) = next {
            self.after = next;
            return Ok(None);
        }
        let backlog = std::mem::take(self).so_far;
        Ok(Some(Swept { backlog, at: now }))
    }
}
