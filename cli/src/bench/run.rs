//! One bench from its beginning to its report.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tidelog_events::id::SpaceId;
use tidelog_runtime::config::Sources;
use tidelog_runtime::shutdown;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::beside::{Beside, Settings};
use super::follow::{self, Follower};
use super::load::{self, Pace, Until};
use super::options::{LoadOptions, StackBench};
use super::pause::{self, Paused};
use super::phone::{Encoders, Phone};
use super::progress;
use super::pull::{self, Reading};
use super::report::Report;
use super::target::Target;
use super::window::Window;
use crate::stack_file::StackFile;

/// Events of a space whose log is pulled, unless `--history` says otherwise.
const PULL_HISTORY: u64 = 10_000;
/// Events a second that `mixed` pushes, unless `--rate` says otherwise.
const MIXED_RATE: u64 = 115_000;
/// Followed spaces of `push` and `mixed`.
const PUSH_FOLLOWERS: usize = 4;
const MIXED_FOLLOWERS: usize = 16;
/// Phones that fill spaces with history.
const FILLERS: u32 = 64;
/// How long the load runs before it is measured.
const WARM_UP: Duration = Duration::from_secs(1);

/// Runs a bench against the stack that runs here, or against services of its own.
pub(super) async fn run(command: StackBench) -> Result<()> {
    let load = command.load();
    let report = if load.tcp {
        Beside::during(Settings::new(), async |beside| {
            measure(&command, &beside.stack, &beside.sources).await
        })
        .await?
    } else {
        let stack = StackFile::find()?;
        let stop = shutdown::on_signal()?;
        let mut sources = Sources::default();
        sources.environment.insert("TIDELOG__BROKER__URL".to_owned(), stack.nats_url.clone());
        sources.environment.insert("TIDELOG__DATABASE__URL".to_owned(), stack.database_url.clone());
        let measured = stop.run_until_cancelled(Box::pin(measure(&command, &stack, &sources))).await;
        measured.context("stopped before there was anything to report")??
    };
    report.print(load.json)
}

async fn measure(command: &StackBench, stack: &StackFile, sources: &Sources) -> Result<Report> {
    let load = command.load();
    let only_pulls = matches!(command, StackBench::Pull(_));
    ensure!(
        only_pulls || load.space_count() <= load.devices,
        "there are more spaces than devices, so that nobody would push to some: raise --devices"
    );
    let bench = Bench::new(command.load().clone(), Target::new(stack, sources).await?)?;
    // A bench that was killed may have left them asleep.
    bench.target.replicas("projector").for_each(pause::wake);
    let mut report = Report::new(command);
    match command {
        StackBench::Push(options) => bench.push(options.pause_projector, &mut report).await?,
        StackBench::Pull(_) => bench.pull(&mut report).await?,
        StackBench::Project(_) => bench.project(&mut report).await?,
        StackBench::Mixed(_) => bench.mixed(&mut report).await?,
    }
    Ok(report)
}

struct Bench {
    load: LoadOptions,
    target: Target,
    /// Names this run's spaces and phones.
    id: String,
    spaces: Vec<SpaceId>,
}

impl Bench {
    fn new(load: LoadOptions, target: Target) -> Result<Self> {
        let id = format!("bench-{:08x}", fastrand::u32(..));
        let spaces = (0..load.space_count()).map(|number| SpaceId::new(format!("{id}-{number}")));
        Ok(Self { spaces: spaces.collect::<Result<_, _>>()?, load, target, id })
    }

    async fn push(&self, pause_projector: bool, report: &mut Report) -> Result<()> {
        self.fill(self.load.history.unwrap_or(0)).await?;
        let paused = if pause_projector { self.pause_projectors().await? } else { Vec::new() };
        self.under_load(self.load.rate, PUSH_FOLLOWERS, report).await?;
        if pause_projector {
            // It says for how long nothing was folded, which is no finding.
            report.fold_lag_ms = None;
        }
        drop(paused);
        // Whoever measures next finds nothing left to do.
        self.until_folded().await
    }

    async fn mixed(&self, report: &mut Report) -> Result<()> {
        self.fill(self.load.history.unwrap_or(0)).await?;
        let rate = self.load.rate.unwrap_or(MIXED_RATE);
        report.rate = Some(rate);
        self.under_load(Some(rate), MIXED_FOLLOWERS, report).await?;
        self.until_folded().await
    }

    async fn pull(&self, report: &mut Report) -> Result<()> {
        let history = self.load.history.unwrap_or(PULL_HISTORY);
        self.fill(history).await?;
        let window = Window::open(&self.target, self.names()).begin(&self.target).await?;
        let stored = pull::whole_logs(&self.target, &self.spaces, Reading::Stored, self.duration()).await?;
        window.close(&self.target).await?.costs(report, stored.events);
        report.pulled_events_per_second = Some(stored.rate());
        let decoded = pull::whole_logs(&self.target, &self.spaces, Reading::Decoded, self.duration()).await?;
        report.decoded_events_per_second = Some(decoded.rate());
        let lines = pull::whole_logs(&self.target, &self.spaces, Reading::Lines, self.duration()).await?;
        report.lines_events_per_second = Some(lines.rate());
        let spaces: Vec<_> = self.spaces.iter().map(|space| (space.clone(), history)).collect();
        let parts = pull::random_parts(&self.target, &spaces, self.duration()).await?;
        report.pull_ms = parts.latencies.quantiles();
        Ok(())
    }

    async fn project(&self, report: &mut Report) -> Result<()> {
        self.fill(self.load.history.unwrap_or(0)).await?;
        let paused = self.pause_projectors().await?;
        let stop = CancellationToken::new();
        let until = Until::Stopped(stop.clone());
        let phones = self.paced(self.phones().await?, self.load.rate);
        let ((), pushes) = tokio::try_join!(
            async {
                sleep(self.duration()).await;
                stop.cancel();
                Ok(())
            },
            load::run(phones, &until)
        )?;
        report.events(&pushes);
        let window = Window::open(&self.target, self.names()).begin(&self.target).await?;
        drop(paused);
        self.until_folded().await?;
        let closed = window.close(&self.target).await?;
        closed.folded(report);
        report.fold_lag_ms = None;
        closed.costs(report, closed.folded_events());
        Ok(())
    }

    /// Pushes, follows some spaces, and measures both.
    async fn under_load(&self, rate: Option<u64>, followers: usize, report: &mut Report) -> Result<()> {
        let phones = self.paced(self.phones().await?, rate);
        let followers = self.followers(followers).await?;
        let cursors: Vec<_> =
            followers.iter().map(|follower| (follower.number, follower.cursor.clone())).collect();
        let (stop, stop_following) = (CancellationToken::new(), CancellationToken::new());
        let until = Until::Stopped(stop.clone());
        let measuring = async {
            let opened = Window::open(&self.target, self.names());
            sleep(WARM_UP).await;
            let window = opened.begin(&self.target).await?;
            sleep(self.duration()).await;
            let closed = window.close(&self.target).await?;
            stop.cancel();
            anyhow::Ok(closed)
        };
        let pushing = async {
            let pushed = load::run(phones, &until).await;
            if let Ok(pushes) = &pushed {
                follow::until_all_arrived(&cursors, &pushes.records).await;
            }
            stop_following.cancel();
            pushed
        };
        let (closed, pushes, followed) =
            tokio::try_join!(measuring, pushing, follow::run(followers, &stop_following))?;
        let (from, to) = (closed.from(), closed.to());
        report.events(&pushes);
        closed.committed(report);
        closed.folded(report);
        closed.costs(report, closed.committed_events());
        report.commit_ms = pushes.commit_latencies(from, to).quantiles();
        report.visible_ms = followed.visible_latencies(&pushes.records, from, to).quantiles();
        report.pulled_events_per_second = Some(followed.events(from, to) as f64 / (to - from).as_secs_f64());
        Ok(())
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(self.load.seconds)
    }

    fn names(&self) -> Vec<String> {
        self.spaces.iter().map(|space| space.as_str().to_owned()).collect()
    }

    async fn pause_projectors(&self) -> Result<Vec<Paused>> {
        let mut paused = Vec::new();
        for pid in self.target.replicas("projector") {
            paused.push(Paused::new(pid, &self.target.pool).await?);
        }
        ensure!(!paused.is_empty(), "the stack's file names no projector");
        Ok(paused)
    }

    async fn phones(&self) -> Result<Vec<(u32, Phone)>> {
        let encoders = Encoders::default();
        let mut phones = Vec::new();
        for number in 0..self.load.devices {
            let space = number % self.load.space_count();
            let name = format!("{}-phone-{number}", self.id);
            phones.push((
                space,
                self.target.phone(&name, &self.spaces[space as usize], self.load.batch, &encoders).await?,
            ));
        }
        Ok(phones)
    }

    /// Each phone's turns: evenly spread, so that all together keep the rate.
    fn paced(&self, phones: Vec<(u32, Phone)>, rate: Option<u64>) -> Vec<(u32, Phone, Pace)> {
        let start = Instant::now();
        let count = phones.len() as u32;
        let pace = |number: u32| match rate {
            None => Pace::Closed,
            Some(rate) => {
                let interval = Duration::from_secs_f64(f64::from(self.load.batch * count) / rate as f64);
                Pace::Every { interval, first: start + interval * number / count }
            }
        };
        (0..).zip(phones).map(|(number, (space, phone))| (space, phone, pace(number))).collect()
    }

    async fn followers(&self, most: usize) -> Result<Vec<Follower>> {
        let mut followers = Vec::new();
        let step = self.spaces.len().div_ceil(most);
        for (number, space) in (0..).zip(&self.spaces).step_by(step) {
            let connection = self.target.reader().await?;
            followers.push(Follower { number, space: space.clone(), connection, cursor: Arc::default() });
        }
        Ok(followers)
    }

    /// Gives each space so many events at least, pushed by phones of their own in batches of the same size.
    async fn fill(&self, events: u64) -> Result<()> {
        let (encoders, count) = (Encoders::default(), self.spaces.len() as u32);
        let batches = events.div_ceil(u64::from(self.load.batch));
        let each = u64::from(FILLERS.div_ceil(count)).min(batches) as u32;
        // So many spaces at a time as there are phones.
        let numbers: Vec<u32> = (0..count).collect();
        for some in numbers.chunks(FILLERS as usize) {
            let mut phones = Vec::new();
            for (space, filler) in some.iter().flat_map(|space| (0..each).map(move |filler| (*space, filler)))
            {
                let name = format!("{}-filler-{space}-{filler}", self.id);
                let phone = self
                    .target
                    .phone(&name, &self.spaces[space as usize], self.load.batch, &encoders)
                    .await?;
                phones.push((space, phone, Pace::Closed));
            }
            load::run(phones, &Until::Events(events.div_ceil(u64::from(each.max(1))))).await?;
        }
        self.until_folded().await
    }

    /// Waits until the read models are where the logs are.
    async fn until_folded(&self) -> Result<()> {
        progress::until_folded(&self.target.pool, &self.names()).await
    }
}
