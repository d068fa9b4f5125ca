//! `tidelog bench rolling` and `tidelog bench failover`: what phones notice when parts of the stack that runs here are restarted
//! or killed. They try again as a phone does; at the end every event that they recorded must be in the log once, and folded.

mod device;
mod failover;
mod noticed;
mod report;
mod roles;
mod rolling;

use std::time::Duration;

use anyhow::{Context, Result};
use tidelog_events::id::SpaceId;
use tidelog_runtime::config::Sources;
use tidelog_runtime::shutdown;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::options::{FailoverOptions, RollingOptions, SteadyOptions};
use super::overload::log;
use super::phone::Encoders;
use super::progress;
use super::target::Target;
use crate::stack_file::StackFile;
use device::{Device, Pushes};

/// How long the load runs before anything happens to the stack, and after.
const WARM_UP: Duration = Duration::from_secs(2);

/// Restarts every service in turn.
pub(super) async fn rolling(options: RollingOptions) -> Result<()> {
    let stop = shutdown::on_signal()?;
    let load = Load::new(options.load.clone()).await?;
    let measured = stop.run_until_cancelled(Box::pin(rolling::measure(&load, options.rounds))).await;
    measured.context("stopped before there was anything to report")??.conclude(options.load.json)
}

/// Kills servers.
pub(super) async fn failover(options: FailoverOptions) -> Result<()> {
    let stop = shutdown::on_signal()?;
    let load = Load::new(options.load.clone()).await?;
    let measured = stop.run_until_cancelled(Box::pin(failover::measure(&load, options.kill))).await;
    measured.context("stopped before there was anything to report")??.print(options.load.json)
}

/// Phones that push at a rate, and the stack that they push to.
struct Load {
    options: SteadyOptions,
    target: Target,
    /// Names this run's spaces and phones.
    id: String,
}

/// What became of a load.
struct Loaded {
    pushes: Pushes,
    /// From the first push that counts to the last.
    from: Instant,
    to: Instant,
    /// Recorded events, each of which was found in the log once.
    verified_events: u64,
}

impl Load {
    async fn new(options: SteadyOptions) -> Result<Self> {
        let stack = StackFile::find()?;
        let mut sources = Sources::default();
        sources.environment.insert("TIDELOG__BROKER__URL".to_owned(), stack.nats_url.clone());
        sources.environment.insert("TIDELOG__DATABASE__URL".to_owned(), stack.database_url.clone());
        let target = Target::new(&stack, &sources).await?;
        Ok(Self { options, target, id: format!("cluster-{:08x}", fastrand::u32(..)) })
    }

    /// Has the phones push while something happens to the stack, then until all that they recorded is committed; and looks
    /// whether it is there.
    async fn during<T>(&self, happening: impl Future<Output = Result<T>>) -> Result<(T, Loaded)> {
        let devices = self.devices().await?;
        let stop = CancellationToken::new();
        let from = Instant::now();
        let pushing = tokio::spawn(device::run(devices, stop.clone()));
        let stopping = stop.clone().drop_guard();
        sleep(WARM_UP).await;
        let happened = happening.await?;
        sleep(WARM_UP).await;
        let to = Instant::now();
        drop(stopping);
        let (pushes, recorded) = pushing.await.context("the phones ended")??;
        let names: Vec<_> = recorded.iter().map(|(space, _)| space.as_str().to_owned()).collect();
        let verified_events = log::verify(&self.target, recorded).await?;
        progress::until_folded(&self.target.pool, &names).await?;
        Ok((happened, Loaded { pushes, from, to, verified_events }))
    }

    async fn devices(&self) -> Result<Vec<Device>> {
        let SteadyOptions { rate, devices: count, batch, .. } = self.options;
        let encoders = Encoders::default();
        let interval = Duration::from_secs_f64(f64::from(batch) * f64::from(count) / rate as f64);
        let mut devices = Vec::new();
        let begin = Instant::now();
        for number in 0..count {
            let name = format!("{}-{number}", self.id);
            let space = SpaceId::new(name.as_str())?;
            let phone = self.target.phone(&name, &space, batch, &encoders).await?;
            devices.push(Device { space, phone, first: begin + interval * number / count, interval });
        }
        Ok(devices)
    }
}
