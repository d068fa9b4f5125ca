//! The loop at the heart of ingest: gathers batches, commits them together, and settles each. Batches of spaces
//! that another replica has locked, and batches that came too early, are kept for a later round.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::announce::Announcer;
use crate::commit::{CommitError, Disposition};
use crate::config::IngestConfig;
use crate::gaps::Gaps;
use crate::incoming::{Arrived, Incoming, IncomingCommand};
use crate::news::News;
use crate::persistence::Persistence;
use crate::poison;
use crate::room::Held;
use crate::round::RoundTimes;

/// How soon batches of locked spaces are tried again when there is nothing else to do.
const LOCKED_RETRY: Duration = Duration::from_millis(3);

/// The more batches a round has, the more load there is, and the more is saved by a larger next round: that begins no
/// sooner than this for each batch after it began, and at most `LINGER_MAX`. A light load never waits.
const LINGER_PER_BATCH: Duration = Duration::from_micros(250);
const LINGER_MAX: Duration = Duration::from_millis(8);

/// One worker; a process has one, an installation as many as it has replicas.
pub(crate) struct Worker {
    pub(crate) persistence: Persistence,
    pub(crate) announcer: Announcer,
    pub(crate) gaps: Gaps,
    pub(crate) config: IngestConfig,
    pub(crate) shutdown: CancellationToken,
    /// To whoever carries out commands.
    pub(crate) commands: mpsc::Sender<IncomingCommand>,
    /// Batches whose spaces were locked by another replica.
    pub(crate) locked: Vec<Incoming>,
}

impl Worker {
    /// Works until the intake has ended and all that it brought is settled, or, when stopping, the database does not take
    /// it. What is not settled then is given back by being dropped, and so is what still comes.
    pub(crate) async fn run(mut self, mut messages: mpsc::Receiver<Held>) {
        while self.work(&mut messages).await {}
        drop(self);
        while messages.recv().await.is_some() {}
    }

    /// One round. False where there will be no other.
    async fn work(&mut self, messages: &mut mpsc::Receiver<Held>) -> bool {
        let Some(fresh) = self.gather(messages).await else { return false };
        let started = Instant::now();
        let mut round = std::mem::take(&mut self.locked);
        round.extend(self.gaps.take_due(Instant::now()));
        for held in fresh {
            match Arrived::read(held) {
                Ok(Arrived::Batch(incoming)) => round.push(incoming),
                Ok(Arrived::Command(command)) => self.hand_over(command),
                Err(unreadable) => {
                    poison::keep(&self.persistence.pool, &unreadable.0, &unreadable.1).await;
                }
            }
        }
        let linger = LINGER_MAX.min(LINGER_PER_BATCH * round.len() as u32);
        let (most, most_bytes) = (self.config.transaction_batches, self.config.transaction_bytes);
        for round in in_measure(round, most, most_bytes, Incoming::bytes) {
            if !self.settle(round).await {
                return false;
            }
        }
        // Where there is a whole transaction's measure to do, nothing is gained by waiting for more.
        if messages.len() < most {
            self.shutdown.run_until_cancelled(sleep_until(started + linger)).await;
        }
        true
    }

    /// Commands never hold up batches: those that find no room are given back, and come again.
    fn hand_over(&self, command: IncomingCommand) {
        drop(self.commands.try_send(command));
    }

    /// Waits for work, then takes what has come, up to a transaction's measure. `None` when the intake ended.
    async fn gather(&mut self, messages: &mut mpsc::Receiver<Held>) -> Option<Vec<Held>> {
        let mut fresh = Vec::new();
        let mut bytes = 0;
        let wake_at = self.wake_at();
        tokio::select! {
            biased;
            held = messages.recv() => {
                let held = held?;
                bytes += held.place.bytes;
                fresh.push(held);
            }
            () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {}
        }
        while fresh.len() < self.config.transaction_batches && bytes < self.config.transaction_bytes {
            let Ok(held) = messages.try_recv() else { break };
            bytes += held.place.bytes;
            fresh.push(held);
        }
        Some(fresh)
    }

    fn wake_at(&self) -> Option<Instant> {
        let locked = (!self.locked.is_empty()).then(|| Instant::now() + LOCKED_RETRY);
        [locked, self.gaps.next_retry()].into_iter().flatten().min()
    }

    /// Commits a round and settles each of its batches. A round that the database refuses is halved until the
    /// batch that it cannot take stands alone. False: the service stops, and the database decides nothing.
    async fn settle(&mut self, round: Vec<Incoming>) -> bool {
        let mut rounds = vec![round];
        while let Some(mut round) = rounds.pop() {
            let times = RoundTimes::begin(round.len());
            match self.persistence.commit(&round).await {
                None => return false,
                Some(Ok(dispositions)) => self.distribute(round, dispositions, times).await,
                Some(Err(CommitError::Unreadable { index, source })) => {
                    let bad = round.swap_remove(index);
                    self.keep(&bad, &source).await;
                    rounds.extend((!round.is_empty()).then_some(round));
                }
                Some(Err(error)) if round.len() > 1 => {
                    tracing::warn!(%error, batches = round.len(), "the database refuses a round; halving it");
                    let half = round.split_off(round.len() / 2);
                    rounds.push(half);
                    rounds.push(round);
                }
                Some(Err(error)) => {
                    if let Some(alone) = round.pop() {
                        self.quarantine(alone, &error).await;
                    }
                }
            }
        }
        true
    }

    /// Announces what was committed, acknowledges it, and keeps what was not.
    async fn distribute(
        &mut self,
        round: Vec<Incoming>,
        dispositions: Vec<Disposition>,
        mut times: RoundTimes,
    ) {
        times.commit();
        let mut news = News::new();
        let mut moved = BTreeSet::new();
        let mut settled = Vec::with_capacity(round.len());
        for (incoming, disposition) in round.into_iter().zip(dispositions) {
            match disposition {
                Disposition::Locked => self.locked.push(incoming),
                Disposition::Gap { expected } => {
                    if let Err(too_late) = self.gaps.delay(incoming, Instant::now()) {
                        news.gap(&too_late, expected);
                        settled.push(*too_late);
                    }
                }
                Disposition::Settled { outcome, appended } => {
                    news.settled(&incoming, outcome, appended);
                    let header = &incoming.batch.header;
                    if let Some(device) = &header.device_id {
                        moved.insert((header.space.clone(), device.clone()));
                    }
                    settled.push(incoming);
                }
            }
        }
        self.announcer.announce(news).await;
        for incoming in &settled {
            self.gaps.settled(incoming);
            incoming.message().acknowledge().await;
            times.settled(incoming);
        }
        // What waited for these devices need not wait for its interval to end.
        for (space, device) in &moved {
            self.locked.extend(self.gaps.take_of(space, device));
        }
        metrics::gauge!("tidelog_ingest_delayed_batches").set(self.gaps.len() as f64);
    }

    /// A batch that the database refuses: its events go to quarantine one by one, or it is kept whole.
    async fn quarantine(&mut self, incoming: Incoming, error: &CommitError) {
        metrics::counter!("tidelog_ingest_poison_total", "kind" => "batch").increment(1);
        tracing::error!(parent: &incoming.span, %error, "the database refuses a batch; it goes to quarantine");
        let reason = "the database refused the event's batch";
        let contents = match self.persistence.committer.contents(&incoming.batch) {
            Ok(contents) => contents,
            Err(unreadable) => return self.keep(&incoming, &unreadable).await,
        };
        let rewritten = [incoming.rewritten(poison::quarantine_all(&incoming.batch, contents, reason))];
        let times = RoundTimes::begin(1);
        match self.persistence.commit(&rewritten).await {
            None => {}
            Some(Ok(dispositions)) => self.distribute(rewritten.into(), dispositions, times).await,
            Some(Err(error)) => self.keep(&incoming, &error).await,
        }
    }

    /// A batch that can only be kept whole; its sender is told that it was not taken.
    async fn keep(&mut self, incoming: &Incoming, reason: &(dyn std::error::Error + Sync)) {
        let mut news = News::new();
        incoming.trace.fail();
        news.kept(incoming);
        self.announcer.announce(news).await;
        self.gaps.settled(incoming);
        poison::keep(&self.persistence.pool, incoming.message(), reason).await;
    }
}

/// Rounds of at most `most` batches and `most_bytes` bytes, in order; a batch larger than that stands alone.
fn in_measure<T>(
    batches: Vec<T>,
    most: usize,
    most_bytes: usize,
    bytes_of: impl Fn(&T) -> usize,
) -> Vec<Vec<T>> {
    let mut rounds: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for batch in batches {
        bytes += bytes_of(&batch);
        match rounds.last_mut() {
            Some(round) if round.len() < most && bytes <= most_bytes => round.push(batch),
            _ => {
                bytes = bytes_of(&batch);
                rounds.push(vec![batch]);
            }
        }
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_keep_their_measure_and_their_order() {
        let check = |sizes: &[usize], expect: &[&[usize]]| {
            assert_eq!(in_measure(sizes.to_vec(), 3, 10, |size| *size), expect, "{sizes:?}");
        };
        check(&[], &[]);
        check(&[1, 1, 1, 1], &[&[1, 1, 1], &[1]]);
        check(&[6, 4, 1], &[&[6, 4], &[1]]);
        check(&[6, 5, 5], &[&[6], &[5, 5]]);
        check(&[1, 99, 1], &[&[1], &[99], &[1]]);
    }
}
