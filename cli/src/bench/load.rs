//! Many phones at once: each pushes again as soon as it is answered, or at its turn of a common rate.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::latency::Latencies;
use super::phone::{Phone, PushRecord, Pushed};

/// How long a phone waits after the stack said that it is at a limit.
pub(super) const AT_LIMIT_PAUSE: Duration = Duration::from_millis(100);

/// When a phone pushes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// Again as soon as it is answered.
    Closed,
    /// Every so often, the first time at `first`.
    Every { interval: Duration, first: Instant },
}

/// How much a phone pushes.
#[derive(Debug, Clone)]
pub(super) enum Until {
    /// Until somebody says stop.
    Stopped(CancellationToken),
    /// So many events.
    Events(u64),
}

/// What phones did.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    pub(super) records: Vec<PushRecord>,
    /// Of all batches that were sent.
    pub(super) events: u64,
    pub(super) json_bytes: u64,
    pub(super) frame_bytes: u64,
    /// Batches that were answered before they were committed.
    pub(super) accepted: u64,
    /// Answers that a limit was reached.
    pub(super) at_limit: u64,
}

/// Runs the phones, each in a task of its own, and returns what they did.
pub(super) async fn run(phones: Vec<(u32, Phone, Pace)>, until: &Until) -> Result<Pushes> {
    let mut tasks = JoinSet::new();
    for (space, phone, pace) in phones {
        tasks.spawn(run_one(space, phone, pace, until.clone()));
    }
    let mut all = Pushes::default();
    while let Some(ended) = tasks.join_next().await {
        all.add(ended.context("a phone ended")??);
    }
    Ok(all)
}

async fn run_one(space: u32, mut phone: Phone, pace: Pace, until: Until) -> Result<Pushes> {
    let mut pushes = Pushes::default();
    let mut turn = match pace {
        Pace::Closed => Instant::now(),
        Pace::Every { first, .. } => first,
    };
    while !until.is_reached(pushes.events) {
        phone.batch = until.next_batch(phone.batch, pushes.events);
        let batch = phone.record()?;
        // A phone that is late counts from its turn: waiting for the answer before is part of the delay.
        let is_late = Instant::now() > turn;
        if let (Pace::Every { .. }, Until::Stopped(stop)) = (pace, &until) {
            tokio::select! {
                () = sleep_until(turn) => {}
                () = stop.cancelled() => break,
            }
        }
        let mut began = Instant::now();
        if let Pace::Every { interval, .. } = pace {
            if is_late {
                began = turn;
            }
            turn += interval;
        }
        let outcome = loop {
            match phone.push(&batch).await? {
                Pushed::AtLimit { .. } => {
                    pushes.at_limit += 1;
                    sleep(AT_LIMIT_PAUSE).await;
                }
                outcome => break outcome,
            }
        };
        pushes.events += u64::from(phone.batch);
        pushes.json_bytes += batch.json_bytes;
        pushes.frame_bytes += batch.frame().len() as u64;
        match outcome {
            Pushed::Committed { last } => {
                pushes.records.push(PushRecord { space, began, answered: Instant::now(), last });
            }
            Pushed::AlreadyCommitted => bail!("a batch was not appended that was pushed only once"),
            _ => pushes.accepted += 1,
        }
    }
    Ok(pushes)
}

impl Until {
    fn is_reached(&self, events: u64) -> bool {
        match self {
            Self::Stopped(stop) => stop.is_cancelled(),
            Self::Events(most) => events >= *most,
        }
    }

    /// Events of the next batch: the last one may be smaller.
    fn next_batch(&self, batch: u32, events: u64) -> u32 {
        match self {
            Self::Stopped(_) => batch,
            Self::Events(most) => batch.min(u32::try_from(most.saturating_sub(events)).unwrap_or(batch)),
        }
    }
}

impl Pushes {
    fn add(&mut self, other: Self) {
        self.records.extend(other.records);
        self.events += other.events;
        self.json_bytes += other.json_bytes;
        self.frame_bytes += other.frame_bytes;
        self.accepted += other.accepted;
        self.at_limit += other.at_limit;
    }

    /// From the beginning of each push to its answer, for those that began and ended in the window.
    pub(super) fn commit_latencies(&self, from: Instant, to: Instant) -> Latencies {
        let mut latencies = Latencies::default();
        for record in self.records.iter().filter(|record| record.began >= from && record.answered <= to) {
            latencies.add(record.answered - record.began);
        }
        latencies
    }
}
