//! `tidelog bench history`: what a pull of the last 50 events costs in spaces with little and with much behind them, as
//! it was pushed, merged, and pruned. Runs on services of the bench's own.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tidelog_events::frame::Decoder;
use tidelog_events::id::SpaceId;

use super::beside::{Beside, Settings};
use super::compactor::{compact_fully, everything_goes, everything_merges};
use super::connection::{Connection, Form};
use super::follow::last_position;
use super::latency::{Latencies, Quantiles};
use super::load::{self, Pace, Until};
use super::options::HistoryOptions;
use super::phone::Encoders;
use super::progress;
use super::sizes::Sizes;
use super::target::Target;

/// Events of a batch, and of what is pulled.
const BATCH: u32 = 50;
/// Phones that push a large past, as long as each has a batch to push.
const PHONES: u64 = 64;
/// Events that stay in each log: what an installation has by default.
const KEEP_EVENTS: u64 = 1000;

/// Measures it, and prints the report.
pub(super) async fn run(options: HistoryOptions) -> Result<()> {
    let report = Beside::during(Settings::new(), async |beside| measure(&options, beside).await).await?;
    report.print(options.json)
}

async fn measure(options: &HistoryOptions, beside: &mut Beside) -> Result<HistoryReport> {
    let target = Target::new(&beside.stack, &beside.sources).await?;
    let mut spaces = Vec::new();
    for events in &options.events {
        spaces.push(Past::push(&target, *events).await?);
    }
    let ids: Vec<SpaceId> = spaces.iter().map(|space| space.id.clone()).collect();
    let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let mut pasts = Vec::new();
    let kinds = [
        ("pushed", None),
        ("merged", Some(everything_merges())),
        ("pruned", Some(everything_goes(KEEP_EVENTS))),
    ];
    for (past, settings) in kinds {
        progress::until_folded(&target.pool, &names).await?;
        if let Some(settings) = settings {
            compact_fully(beside, &target.pool, &ids, &settings).await?;
        }
        pasts.push(measure_past(past, &mut spaces, &target, options.runs).await?);
    }
    Ok(HistoryReport { bench: "history", events: BATCH, runs: options.runs, pasts })
}

/// Pulls from each space in turn, so that all see the same weather.
async fn measure_past(
    past: &'static str,
    spaces: &mut [Past],
    target: &Target,
    runs: u32,
) -> Result<PastReport> {
    for space in &mut *spaces {
        space.push_news(target).await?;
    }
    let mut pulls: Vec<(Latencies, u64)> = spaces.iter().map(|_| Default::default()).collect();
    let mut decoder = Decoder::new()?;
    for run in 0..=runs {
        for (space, (latencies, bytes)) in spaces.iter_mut().zip(&mut pulls) {
            let began = Instant::now();
            let answer = space.pull().await?;
            // The first ones warm everybody up.
            if run > 0 {
                latencies.add(began.elapsed());
            }
            let last = last_position(&mut decoder, &answer)?;
            ensure!(last == Some(space.head), "a pull brought events through {last:?}, not {}", space.head);
            *bytes = answer.len() as u64;
        }
    }
    let mut reports = Vec::new();
    for (space, (latencies, bytes_down)) in spaces.iter().zip(pulls) {
        let sizes = Sizes::look(&target.pool, std::slice::from_ref(&space.id)).await?;
        reports.push(SpaceReport {
            events_behind: space.head - u64::from(BATCH),
            horizon: sizes.pruned,
            segments: sizes.segments,
            bytes_down,
            pull_ms: latencies.quantiles().context("nothing was pulled")?,
        });
    }
    Ok(PastReport::new(past, reports))
}

/// A space with a past.
struct Past {
    id: SpaceId,
    head: u64,
    /// Batches that were pushed since, each by a phone of its own.
    news: u32,
    connection: Connection,
}

impl Past {
    async fn push(target: &Target, events: u64) -> Result<Self> {
        let id = SpaceId::new(format!("bench-{:08x}-{events}", fastrand::u32(..)))?;
        let phones = events.div_ceil(u64::from(BATCH)).min(PHONES);
        let connection = target.reader().await?;
        let mut past = Self { id, head: 0, news: 0, connection };
        // The same for all, and what is left over by one.
        past.push_by(target, phones, events / phones).await?;
        past.push_by(target, 1, events % phones).await?;
        Ok(past)
    }

    /// Lets so many phones push so many events each.
    async fn push_by(&mut self, target: &Target, phones: u64, events: u64) -> Result<()> {
        if events == 0 {
            return Ok(());
        }
        let encoders = Encoders::default();
        let mut pushing = Vec::new();
        for _ in 0..phones {
            self.news += 1;
            let name = format!("{}-phone-{}", self.id, self.news);
            pushing.push((0, target.phone(&name, &self.id, BATCH, &encoders).await?, Pace::Closed));
        }
        let pushes = load::run(pushing, &Until::Events(events)).await?;
        ensure!(pushes.accepted == 0, "the stack could not commit in time what was pushed to it");
        self.head += pushes.events;
        Ok(())
    }

    /// Pushes what will be pulled: a batch that nobody has merged yet.
    async fn push_news(&mut self, target: &Target) -> Result<()> {
        self.push_by(target, 1, u64::from(BATCH)).await
    }

    async fn pull(&mut self) -> Result<bytes::Bytes> {
        let after = self.head - u64::from(BATCH);
        self.connection.pull(&format!("/v1/spaces/{}/log?after={after}", self.id), Form::Frames).await
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HistoryReport {
    bench: &'static str,
    /// Of each pull.
    events: u32,
    runs: u32,
    pasts: Vec<PastReport>,
}

/// One kind of past.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PastReport {
    past: &'static str,
    spaces: Vec<SpaceReport>,
    /// Of the space that differs most from the first one: its quantile divided by the first one's.
    p50_ratio: f64,
    p99_ratio: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SpaceReport {
    events_behind: u64,
    horizon: u64,
    segments: u64,
    bytes_down: u64,
    pull_ms: Quantiles,
}

impl PastReport {
    fn new(past: &'static str, spaces: Vec<SpaceReport>) -> Self {
        let ratio = |quantile: fn(&Quantiles) -> f64| {
            let ratios = spaces.iter().map(|space| quantile(&space.pull_ms) / quantile(&spaces[0].pull_ms));
            ratios.max_by(|one, other| one.ln().abs().total_cmp(&other.ln().abs())).unwrap_or(1.0)
        };
        Self { past, p50_ratio: ratio(|pull| pull.p50), p99_ratio: ratio(|pull| pull.p99), spaces }
    }
}

impl HistoryReport {
    fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!(
            "bench history: pulls of the last {} events, {} of each space and past",
            self.events, self.runs
        );
        for PastReport { past, spaces, p50_ratio, p99_ratio } in &self.pasts {
            println!("  {past}: {p50_ratio:.2} times the first one's p50, {p99_ratio:.2} times its p99");
            for space in spaces {
                let Quantiles { p50, p99, max } = space.pull_ms;
                println!(
                    "    {:>9} events behind, pruned through {}, {} segments: p50 {p50:.2} ms, p99 {p99:.2} ms, \
                     max {max:.2} ms, {} bytes",
                    space.events_behind, space.horizon, space.segments, space.bytes_down
                );
            }
        }
        Ok(())
    }
}
