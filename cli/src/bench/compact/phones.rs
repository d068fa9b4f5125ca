//! The phones of a bench that lasts weeks: each pushes its batches at their turns, and reads what the others have pushed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tidelog_events::id::{DeviceId, Position};
use tidelog_runtime::clock::Clock;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::load::AT_LIMIT_PAUSE;
use super::super::options::CompactOptions;
use super::super::phone::{Batch, Encoders, Phone, Pushed as Answered};
use super::super::reader::Reader;
use super::super::workout::Recorder;
use super::PHONES;
use super::pushed::{Pushed, PushedLog};
use super::readers::{LIMIT, Library, Witnessed};

/// Events of a batch, and of a workout.
const BATCH: u32 = 50;
const WORKOUT: u32 = 100;
/// A phone says after each so many batches what it has seen.
const OBSERVES_EVERY: u64 = 10;

/// A phone that pushes, and reads its space.
pub(super) struct SyncingPhone {
    /// Its space, by number.
    space: usize,
    device: Arc<DeviceId>,
    phone: Phone,
    reader: Reader,
    /// Events that it pushes.
    events: u64,
    /// When it pushes.
    first: Instant,
    interval: Duration,
}

/// The phones, their turns spread evenly over the days from now on.
pub(super) async fn made_ready(options: &CompactOptions, library: &Library) -> Result<Vec<SyncingPhone>> {
    let (encoders, start) = (Encoders::default(), Instant::now());
    let duration = Duration::from_secs(options.day_seconds.into()) * options.days;
    let count = options.spaces * PHONES;
    let upto = |number: u32| options.events * u64::from(number) / u64::from(count);
    let mut phones = Vec::new();
    for number in 0..count {
        let space = (number % options.spaces) as usize;
        let (id, target) = (&library.spaces[space], &library.target);
        let device = DeviceId::new(format!("{id}-phone-{}", number / options.spaces))?;
        let events = upto(number + 1) - upto(number);
        let interval = duration / u32::try_from(events.div_ceil(u64::from(BATCH)))?;
        let recorder = Recorder::of_workouts(u64::from(number), WORKOUT);
        let connection = target.connection(device.as_str(), id).await?;
        phones.push(SyncingPhone {
            space,
            phone: target.phone_with(recorder, device.as_str(), id, BATCH, &encoders).await?,
            reader: Reader::new(connection, &library.schema, id, Some(device.clone()))?,
            device: Arc::new(device),
            events,
            first: start + interval * number / count,
            interval,
        });
    }
    Ok(phones)
}

/// Lets them push everything; returns what they have seen.
pub(super) async fn run(phones: Vec<SyncingPhone>, log: &Arc<PushedLog>) -> Result<Witnessed> {
    let mut tasks = JoinSet::new();
    for phone in phones {
        tasks.spawn(phone.run(Arc::clone(log)));
    }
    let mut witnessed = Witnessed::default();
    while let Some(ended) = tasks.join_next().await {
        witnessed.add(ended.context("a phone ended")??);
    }
    Ok(witnessed)
}

impl SyncingPhone {
    async fn run(mut self, log: Arc<PushedLog>) -> Result<Witnessed> {
        let mut witnessed = Witnessed::default();
        let (mut pushed, mut turn) = (0, self.first);
        for number in 1.. {
            let left = self.events - pushed;
            if left == 0 {
                break;
            }
            sleep_until(turn).await;
            turn += self.interval;
            self.phone.batch = self.phone.batch.min(u32::try_from(left).unwrap_or(u32::MAX));
            let batch = self.phone.record()?;
            let last = self.push(&batch, &log).await?;
            pushed += u64::from(self.phone.batch);
            while self.reader.cursor() < last {
                self.reader.pull(LIMIT).await?;
            }
            if number % OBSERVES_EVERY == 0 {
                witnessed.observe(self.space, &mut self.reader);
            }
        }
        witnessed.observe(self.space, &mut self.reader);
        witnessed.reads.add(self.reader.reads);
        Ok(witnessed)
    }

    /// Pushes until it is in the log; returns the position of the last event.
    async fn push(&mut self, batch: &Batch, log: &PushedLog) -> Result<Position> {
        let clock = Clock::system();
        let began = clock.now();
        let last = loop {
            match self.phone.push(batch).await? {
                Answered::Committed { last } => break last,
                Answered::AtLimit { .. } => {
                    self.reader.reads.at_limit += 1;
                    sleep(AT_LIMIT_PAUSE).await;
                }
                Answered::AlreadyCommitted => bail!("a batch was not appended that was pushed only once"),
                Answered::Accepted => {
                    bail!(
                        "a push was not committed in time, so that nobody knows its positions: try longer days"
                    )
                }
            }
        };
        log.add(
            self.space,
            Pushed {
                first: Position(last + 1 - u64::from(self.phone.batch)),
                last: Position(last),
                device: Arc::clone(&self.device),
                frame: batch.frame().clone(),
                began,
                answered: clock.now(),
            },
        );
        Ok(Position(last))
    }
}
