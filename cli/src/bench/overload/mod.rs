//! `tidelog bench overload`: more than the stack can take, from phones that behave: each records at its own pace, keeps what is
//! refused, waits as long as it is told to, and pushes again. What counts is goodput: events that are acknowledged as committed.

mod devices;
pub(super) mod log;
mod probe;
mod report;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tidelog_events::id::SpaceId;
use tidelog_runtime::config::Sources;
use tidelog_runtime::shutdown;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::load::{self, Pace, Until};
use super::options::OverloadOptions;
use super::phone::{Encoders, Phone};
use super::processes::Processes;
use super::target::Target;
use super::window::peak_memory;
use crate::stack_file::StackFile;
pub(super) use devices::is_of_the_network;
use devices::{Device, Done};
use report::{OverloadReport, Phase};

/// How many times as much as the stack can take.
const FACTORS: [u32; 3] = [1, 2, 5];
/// How that is measured: by phones that push again as soon as they are answered, for so long, behind a second of warming up.
const CAPACITY_PHONES: u32 = 100;
const CAPACITY_SECONDS_MAX: u64 = 10;
const WARM_UP: Duration = Duration::from_secs(1);

/// Runs the bench against the stack that runs here.
pub(super) async fn run(options: OverloadOptions) -> Result<()> {
    let stack = StackFile::find()?;
    let stop = shutdown::on_signal()?;
    let mut sources = Sources::default();
    sources.environment.insert("TIDELOG__BROKER__URL".to_owned(), stack.nats_url.clone());
    sources.environment.insert("TIDELOG__DATABASE__URL".to_owned(), stack.database_url.clone());
    let bench = Bench {
        target: Target::new(&stack, &sources).await?,
        id: format!("overload-{:08x}", fastrand::u32(..)),
        options,
    };
    let measured = stop.run_until_cancelled(Box::pin(bench.measure())).await;
    measured.context("stopped before there was anything to report")??.print(bench.options.json)
}

struct Bench {
    options: OverloadOptions,
    target: Target,
    /// Names this run's spaces and phones.
    id: String,
}

impl Bench {
    async fn measure(&self) -> Result<OverloadReport> {
        let stop = CancellationToken::new();
        let memory = tokio::spawn(peak_memory(Processes::new(self.target.pids.clone()), stop.clone()));
        let capacity = match self.options.rate {
            Some(rate) => rate as f64,
            None => self.capacity().await?,
        };
        ensure!(capacity > 0.0, "the stack takes nothing: its logs say why");
        let mut report = OverloadReport::new(&self.options, capacity);
        let mut acknowledged = Vec::new();
        for factor in FACTORS {
            let (phase, done) = self.overload(factor, capacity).await?;
            report.phases.push(phase);
            acknowledged.extend(done.into_iter().map(|done| (done.space, done.acknowledged)));
        }
        stop.cancel();
        let memory = memory.await.context("nobody watched the memory")?;
        report.gateway_peak_memory_bytes = memory.get("gateway").copied();
        report.verified_events = log::verify(&self.target, acknowledged).await?;
        report.compare();
        Ok(report)
    }

    /// Events a second that are committed at most.
    async fn capacity(&self) -> Result<f64> {
        let phones = self.phones("capacity", CAPACITY_PHONES.min(self.options.devices)).await?;
        let phones = (0..).zip(phones).map(|(number, (_, phone))| (number, phone, Pace::Closed)).collect();
        let duration = Duration::from_secs(self.options.seconds.min(CAPACITY_SECONDS_MAX));
        let stop = CancellationToken::new();
        let until = Until::Stopped(stop.clone());
        let from = Instant::now() + WARM_UP;
        let stopping = async {
            sleep(WARM_UP + duration).await;
            stop.cancel();
            Ok(())
        };
        let (pushes, ()) = tokio::try_join!(load::run(phones, &until), stopping)?;
        let in_time = |answered: Instant| answered >= from && answered <= from + duration;
        let batches = pushes.records.iter().filter(|record| in_time(record.answered)).count();
        Ok(batches as f64 * f64::from(self.options.batch) / duration.as_secs_f64())
    }

    /// Offers so many times as much, then looks how soon the stack is itself again.
    async fn overload(&self, factor: u32, capacity: f64) -> Result<(Phase, Vec<Done>)> {
        let count = self.options.devices * factor;
        let phones = self.phones(&format!("{factor}x"), count).await?;
        let interval = f64::from(self.options.batch * self.options.devices) / capacity;
        let interval = Duration::from_secs_f64(interval);
        let (began, stop) = (Instant::now(), CancellationToken::new());
        let devices = (0..).zip(phones).map(|(number, (space, phone))| {
            let first = began + interval.mul_f64(f64::from(number) / f64::from(count));
            Device { space, phone, first, interval }
        });
        let running = devices::spawn(devices, &stop);
        let duration = Duration::from_secs(self.options.seconds);
        sleep(duration).await;
        stop.cancel();
        let ended = Instant::now();
        let probes = self.phones(&format!("{factor}x-probe"), probe::PROBES).await?;
        let recovery = probe::recovery(probes.into_iter().map(|(_, phone)| phone), ended).await?;
        let done = devices::collect(running).await?;
        Ok((Phase::new(factor, capacity, began..ended, &done, recovery), done))
    }

    /// Phones, each with a space and a user of its own.
    async fn phones(&self, name: &str, count: u32) -> Result<Vec<(SpaceId, Phone)>> {
        let encoders = Encoders::default();
        let mut phones = Vec::new();
        for number in 0..count {
            let name = format!("{}-{name}-{number}", self.id);
            let space = SpaceId::new(name.as_str())?;
            let phone = self.target.phone(&name, &space, self.options.batch, &encoders).await?;
            phones.push((space, phone));
        }
        Ok(phones)
    }
}
