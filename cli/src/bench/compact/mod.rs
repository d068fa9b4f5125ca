//! `tidelog bench compact`: weeks of shortened days in which phones push and read, others read now and then, and the
//! compactor works all the time. What everybody has seen is compared with what was pushed. Runs on services of the bench's
//! own.

mod phones;
mod pushed;
mod readers;
mod report;
mod whole;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tidelog_events::id::SpaceId;
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::Schema;
use tidelog_runtime::clock::Clock;
use tidelog_store::spaces;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::pushed::{PushedLog, has_later, received_by};
use self::readers::{Library, Witnessed};
use self::report::{CompactReport, Settled};
use super::beside::{Beside, Settings};
use super::compactor::{Compacted, everything_goes};
use super::options::CompactOptions;
use super::progress;
use super::sizes::Sizes;
use super::target::Target;
use crate::local::Deadline;

/// Phones of each space.
const PHONES: u32 = 2;
/// Fresh readers of a day.
const FRESH_READERS: u32 = 8;
/// Readers that read a page now and then, and the days that they pause at most.
const PAGING_READERS: u32 = 16;
const PAUSE_DAYS: u32 = 5;
/// Events that a prune may leave although they are past retention: the rest of a merged segment that is not, and a batch.
const UNPRUNED_MAX: u64 = 550;
/// Pruning what is left takes no longer.
const PATIENCE: Duration = Duration::from_mins(30);

/// Measures it, and prints the report.
pub(super) async fn run(options: CompactOptions) -> Result<()> {
    ensure!(options.retention_days < options.days, "nothing gets past retention: raise --days");
    ensure!(
        options.events >= u64::from(options.spaces * PHONES),
        "some phones have nothing to push: raise --events"
    );
    let settings = settings(&options);
    let report = Beside::during(settings, async |beside| measure(&options, beside).await).await?;
    report.print(options.json)?;
    report.verdict()
}

/// Everybody's configuration: short days, and what stays in a log in the same proportion to it as by default where a
/// space has 10,000 events.
fn settings(options: &CompactOptions) -> Settings {
    vec![
        ("TIDELOG__CLOCK__DEVELOPMENT", "true".to_owned()),
        ("TIDELOG__CLOCK__DAY_SECONDS", options.day_seconds.to_string()),
        ("TIDELOG__COMPACTOR__INTERVAL_MS", "200".to_owned()),
        ("TIDELOG__RETENTION__EVENTS_DAYS", options.retention_days.to_string()),
        ("TIDELOG__RETENTION__KEEP_EVENTS", keep_events(options).to_string()),
        ("TIDELOG__RETENTION__PRUNE_EVENTS", (keep_events(options) / 2).max(1).to_string()),
        // The answer to a push must tell where its events are, however long that takes.
        ("TIDELOG__GATEWAY__COMMIT_WAIT_MS", "30000".to_owned()),
    ]
}

fn keep_events(options: &CompactOptions) -> u64 {
    options.events / u64::from(options.spaces) / 10
}

async fn measure(options: &CompactOptions, beside: &mut Beside) -> Result<CompactReport> {
    beside.start_service("compactor", Settings::new()).await?;
    let mut bench = Bench::new(options, beside).await?;
    let push_seconds = bench.push_and_read().await?;
    bench.until_folded().await?;
    let compactor = Compacted::end(beside).await?;
    let settled = bench.settle(beside).await?;
    bench.read_everything(beside).await?;
    let quiet_compactor = bench.prune_the_rest(beside).await?;
    bench.read_everything(beside).await?;
    let entities = bench.compare().await?;
    Ok(CompactReport::new(
        options,
        push_seconds,
        &bench.witnessed,
        entities,
        &settled,
        compactor,
        quiet_compactor,
    ))
}

struct Bench<'o> {
    options: &'o CompactOptions,
    library: Library,
    log: Arc<PushedLog>,
    witnessed: Witnessed,
}

impl<'o> Bench<'o> {
    async fn new(options: &'o CompactOptions, beside: &Beside) -> Result<Self> {
        let id = format!("bench-{:08x}", fastrand::u32(..));
        let spaces = (0..options.spaces).map(|number| SpaceId::new(format!("{id}-{number}")));
        let schema = std::fs::read_to_string(&beside.stack.schema_file)?;
        let library = Library {
            target: Arc::new(Target::new(&beside.stack, &beside.sources).await?),
            schema: Arc::new(Schema::parse(&schema)?),
            spaces: spaces.collect::<Result<_, _>>()?,
        };
        let log = Arc::new(PushedLog::new(library.spaces.len()));
        Ok(Self { options, library, log, witnessed: Witnessed::default() })
    }

    fn day(&self) -> Duration {
        Duration::from_secs(self.options.day_seconds.into())
    }

    /// Lets phones push everything, and others read meanwhile; returns how long that took.
    async fn push_and_read(&mut self) -> Result<f64> {
        let (stop, day) = (CancellationToken::new(), self.day());
        let phones = phones::made_ready(self.options, &self.library).await?;
        let mut readers = JoinSet::new();
        readers.spawn(self.library.clone().read_fresh(day / FRESH_READERS, stop.clone()));
        for _ in 0..PAGING_READERS {
            readers.spawn(self.library.clone().read_paging(day * PAUSE_DAYS, stop.clone()));
        }
        let began = Instant::now();
        let pushing = async {
            let witnessed = phones::run(phones, &self.log).await?;
            stop.cancel();
            anyhow::Ok((witnessed, began.elapsed()))
        };
        let reading = async {
            let mut witnessed = Witnessed::default();
            while let Some(ended) = readers.join_next().await {
                witnessed.add(ended.context("a reader ended")??);
            }
            anyhow::Ok(witnessed)
        };
        let ((by_phones, took), by_readers) = tokio::try_join!(pushing, reading)?;
        self.witnessed.add(by_phones);
        self.witnessed.add(by_readers);
        Ok(took.as_secs_f64())
    }

    async fn until_folded(&self) -> Result<()> {
        let names: Vec<String> = self.library.spaces.iter().map(ToString::to_string).collect();
        progress::until_folded(&self.library.target.pool, &names).await
    }

    /// Has everything pruned that is past retention, and nothing else.
    async fn settle(&self, beside: &Beside) -> Result<Settled> {
        let retention_ms = (self.day() * self.options.retention_days).as_millis() as i64;
        let limit = || UtcTime(Clock::system().now().0 - retention_ms);
        let before = limit();
        beside.compact_once(&vec![("TIDELOG__RETENTION__PRUNE_EVENTS", "1".to_owned())]).await?;
        let after = limit();
        let mut settled = Settled::new(Sizes::look(&self.library.target.pool, &self.library.spaces).await?);
        let mut connection = self.library.target.pool.acquire().await?;
        for (number, id) in self.library.spaces.iter().enumerate() {
            let space = spaces::find(&mut connection, id).await?.context("a space is gone")?;
            let (batches, horizon) = (self.log.of(number), space.horizon);
            ensure!(
                !has_later(&batches, horizon, after),
                "{id} was pruned through {horizon}, which is too early"
            );
            let may_go =
                received_by(&batches, before).min(space.head.0.saturating_sub(keep_events(self.options)));
            ensure!(
                horizon.0 + UNPRUNED_MAX >= may_go,
                "{id} was pruned through {horizon} only: the events through {may_go} are past retention"
            );
            settled.past_retention_events += received_by(&batches, after);
            settled.pushed_bytes += pushed::frame_bytes(&batches);
            settled.pushed_segments += batches.len() as u64;
        }
        Ok(settled)
    }

    /// Lets a compactor that has the machine for itself prune everything that is left.
    async fn prune_the_rest(&self, beside: &mut Beside) -> Result<Compacted> {
        beside.start_service("compactor", everything_goes(0)).await?;
        let deadline = Deadline::after(PATIENCE, "pruning the rest");
        loop {
            let sizes = Sizes::look(&self.library.target.pool, &self.library.spaces).await?;
            if sizes.pruned == sizes.events {
                return Compacted::end(beside).await;
            }
            deadline.next_look().await?;
        }
    }

    /// Reads each space as a fresh reader does, and its history from the archive and the log.
    async fn read_everything(&mut self, beside: &Beside) -> Result<()> {
        let history = whole::history(beside, &self.library)?;
        for number in 0..self.library.spaces.len() {
            self.library.read_whole(number, &mut self.witnessed).await?;
            let observation = whole::read_history(&history, &self.library, number).await?;
            self.witnessed.observations.push((number, observation));
        }
        Ok(())
    }

    /// Compares everything that was seen, and the read models, with what was pushed; returns how many entities that is.
    async fn compare(&self) -> Result<u64> {
        let mut entities = 0;
        for number in 0..self.library.spaces.len() {
            let observations = self.witnessed.of(number);
            entities += whole::compare(&self.library, number, self.log.of(number), observations).await?;
        }
        Ok(entities)
    }
}
