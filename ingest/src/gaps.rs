//! Batches that came ahead of their predecessors. Each is tried again at growing intervals until it was
//! waited for long enough; more than a bounded number are not kept.

use std::collections::BTreeMap;
use std::time::Duration;

use tidelog_events::id::{DeviceId, SpaceId};
use tidelog_runtime::clock::Clock;
use tokio::time::Instant;

use crate::incoming::Incoming;

const FIRST_RETRY: Duration = Duration::from_millis(20);
const RETRY_FACTOR: u32 = 3;
/// A batch from a backlog was published long ago, and its predecessor may be right behind it: it waits for this
/// part of the whole wait at least.
const LEAST_PART: u32 = 4;

struct Delayed {
    incoming: Incoming,
    retry_at: Instant,
    interval: Duration,
    refuse_at: Instant,
}

/// The delayed batches of one replica.
pub(crate) struct Gaps {
    wait: Duration,
    most: usize,
    most_bytes: usize,
    clock: Clock,
    delayed: Vec<Delayed>,
    /// When batches that are being tried again are to be refused, and how long the last interval was.
    trying: BTreeMap<u64, (Duration, Instant)>,
}

impl Gaps {
    /// Keeps at most `most` batches of `most_bytes` together, each for at most `wait` after its publication, or a moment where that is over.
    pub(crate) fn new(wait: Duration, most: usize, most_bytes: usize, clock: Clock) -> Self {
        Self { wait, most, most_bytes, clock, delayed: Vec::new(), trying: BTreeMap::new() }
    }

    /// When the next batch is to be tried again.
    pub(crate) fn next_retry(&self) -> Option<Instant> {
        self.delayed.iter().map(|delayed| delayed.retry_at).min()
    }

    /// Takes out the batches that are due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Incoming> {
        self.take(|delayed| delayed.retry_at <= now)
    }

    /// Takes out the batches of a device whose watermark has moved.
    pub(crate) fn take_of(&mut self, space: &SpaceId, device: &DeviceId) -> Vec<Incoming> {
        self.take(|delayed| {
            let header = &delayed.incoming.batch.header;
            header.space == *space && header.device_id.as_ref() == Some(device)
        })
    }

    /// Keeps a batch that cannot be appended yet; gives it back when it must be refused now.
    pub(crate) fn delay(&mut self, incoming: Incoming, now: Instant) -> Result<(), Box<Incoming>> {
        let earlier = self.trying.remove(&key(&incoming));
        let first_refusal = || {
            let age = incoming.age(self.clock.now());
            now + self.wait.saturating_sub(age).max(self.wait / LEAST_PART)
        };
        let refuse_at = earlier.map_or_else(first_refusal, |(_, refuse_at)| refuse_at);
        let bytes: usize = self.delayed.iter().map(|delayed| delayed.incoming.bytes()).sum();
        let full = self.delayed.len() >= self.most || bytes + incoming.bytes() > self.most_bytes;
        if refuse_at <= now || full {
            return Err(Box::new(incoming));
        }
        let interval = earlier.map_or(FIRST_RETRY, |(interval, _)| interval * RETRY_FACTOR);
        let retry_at = (now + interval).min(refuse_at);
        self.delayed.push(Delayed { incoming, retry_at, interval, refuse_at });
        Ok(())
    }

    /// Forgets what was known of a batch that was settled.
    pub(crate) fn settled(&mut self, incoming: &Incoming) {
        self.trying.remove(&key(incoming));
    }

    /// How many batches are delayed.
    pub(crate) fn len(&self) -> usize {
        self.delayed.len()
    }

    fn take(&mut self, pick: impl Fn(&Delayed) -> bool) -> Vec<Incoming> {
        let (taken, kept) = std::mem::take(&mut self.delayed).into_iter().partition(pick);
        self.delayed = kept;
        let taken: Vec<Delayed> = taken;
        let mut batches = Vec::with_capacity(taken.len());
        for delayed in taken {
            self.trying.insert(key(&delayed.incoming), (delayed.interval, delayed.refuse_at));
            batches.push(delayed.incoming);
        }
        batches
    }
}

/// The message's number in PUSH.
fn key(incoming: &Incoming) -> u64 {
    incoming.message().info().map_or(0, |about| about.stream_sequence)
}
