//! `tidelog bench bootstrap`: how long a fresh device takes from its first request until its store holds the state of a
//! space that has a long past. Runs on services of the bench's own, whose compactor prunes everything.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use serde::Serialize;
use tidelog_client::store::{Filter, Query, StoreOptions};
use tidelog_client::transport::{Answer, PullRequest, Request};
use tidelog_client::{Clock, EventStore, HttpTransport, SystemClock, Transport};
use tidelog_events::id::{DeviceId, Position, SpaceId, UserId};
use tidelog_events::schema::Schema;
use tidelog_store::projections;

use super::beside::{Beside, Settings};
use super::compactor::{compact_fully, everything_goes};
use super::latency::{Latencies, Quantiles};
use super::load::{self, Pace, Until};
use super::options::BootstrapOptions;
use super::phone::Encoders;
use super::progress;
use super::reader::{Reader, Reads};
use super::target::Target;
use super::workout::Recorder;

/// Devices that have recorded the updates.
const RECORDERS: u32 = 4;
/// Events of a batch, and of a pull: what the client takes by default.
const BATCH: u32 = 50;
const PULL: u64 = 1000;
const USER: &str = "bench-reader";

/// Measures it, and prints the report.
pub(super) async fn run(options: BootstrapOptions) -> Result<()> {
    let each = options.updates / u64::from(options.entities);
    ensure!(each >= 2, "there are fewer than two updates for each entity: raise --updates");
    let report = Beside::during(Settings::new(), async |beside| measure(&options, beside).await).await?;
    report.print(options.json)
}

async fn measure(options: &BootstrapOptions, beside: &mut Beside) -> Result<BootstrapReport> {
    let target = Target::new(&beside.stack, &beside.sources).await?;
    let schema = Arc::new(Schema::parse(&std::fs::read_to_string(&beside.stack.schema_file)?)?);
    let space = SpaceId::new(format!("bench-{:08x}", fastrand::u32(..)))?;
    let updates = fill(options, &target, &space).await?;
    progress::until_folded(&target.pool, &[space.to_string()]).await?;
    let settings = everything_goes(options.keep_events);
    let sizes = compact_fully(beside, &target.pool, std::slice::from_ref(&space), &settings).await?;
    let reads = check(&target, &space, &schema).await?;

    let folder = tempfile::Builder::new()
        .prefix("tidelog-bench-")
        .tempdir_in(".")
        .context("the bench needs a folder that it can write to")?;
    let (mut stored, mut answered) = (Latencies::default(), Latencies::default());
    for run in 0..=options.runs {
        let device = FreshDevice::new(folder.path(), run, &target, &space, &schema)?;
        let took = device.bootstrap(options.entities).await?;
        // The first one finds the services as nobody has read from them yet.
        if run > 0 {
            stored.add(took.stored);
            answered.add(took.answered);
        }
    }
    let nothing = "nothing was measured";
    Ok(BootstrapReport {
        bench: "bootstrap",
        entities: options.entities,
        updates,
        runs: options.runs,
        head: sizes.events,
        horizon: sizes.pruned,
        bootstrap_ms: stored.quantiles().context(nothing)?,
        answered_ms: answered.quantiles().context(nothing)?,
        bytes_down: reads.bytes,
        snapshot_bytes: sizes.snapshot_bytes,
    })
}

/// Several phones push the space's past at the same time; returns how many events there are.
async fn fill(options: &BootstrapOptions, target: &Target, space: &SpaceId) -> Result<u64> {
    let (encoders, each) = (Encoders::default(), options.updates / u64::from(options.entities));
    let mut pushing = Vec::new();
    for number in 0..RECORDERS {
        let upto = |number| u64::from(options.entities * number / RECORDERS);
        let events = (upto(number + 1) - upto(number)) * each;
        let recorder = Recorder::of_workouts(u64::from(number), u32::try_from(each)?);
        let name = format!("{space}-phone-{number}");
        let phone = target.phone_with(recorder, &name, space, BATCH, &encoders).await?;
        pushing.push(async move { load::run(vec![(0, phone, Pace::Closed)], &Until::Events(events)).await });
    }
    Ok(try_join_all(pushing).await?.iter().map(|pushes| pushes.events).sum())
}

/// Reads everything as a fresh reader does, and compares it with the read model; returns what that took.
async fn check(target: &Target, space: &SpaceId, schema: &Arc<Schema>) -> Result<Reads> {
    let mut reader = Reader::new(target.reader().await?, schema, space, None)?;
    reader.pull_all(PULL).await?;
    let projection = projections::find(&mut *target.pool.acquire().await?, space).await?;
    let projection = projection.context("the projector has not folded the space")?;
    let seen = reader.observe();
    ensure!(
        (seen.through, &seen.state) == (projection.applied, &projection.state_hash),
        "a fresh reader has another state than the read model"
    );
    Ok(reader.reads)
}

/// A device that has nothing, and asks for the first time.
struct FreshDevice {
    store: EventStore,
    transport: HttpTransport,
    token: String,
    request: PullRequest,
}

/// How long it took, from the first request on.
struct Took {
    /// Until the last answer was there, decoded.
    answered: Duration,
    /// Until it was stored.
    stored: Duration,
}

impl FreshDevice {
    fn new(
        folder: &Path,
        number: u32,
        target: &Target,
        space: &SpaceId,
        schema: &Arc<Schema>,
    ) -> Result<Self> {
        let device = DeviceId::new(format!("bench-fresh-{number}"))?;
        let options = StoreOptions {
            user: UserId::new(USER)?,
            schema: Arc::clone(schema),
            identity: device.clone(),
            random: fastrand::Rng::new(),
        };
        let mut store = EventStore::open(&folder.join(format!("{number}.sqlite")), options)?;
        store.join(space, &Filter::default())?;
        let request = PullRequest {
            space: space.clone(),
            after: Position::ZERO,
            limit: PULL,
            device,
            types: None,
            report: None,
        };
        Ok(Self {
            store,
            transport: HttpTransport::new(&target.gateway_url)?,
            token: target.token(USER, space)?,
            request,
        })
    }

    /// Pulls until it has everything; the space must have so many entities then.
    async fn bootstrap(mut self, entities: u32) -> Result<Took> {
        let began = Instant::now();
        let took = loop {
            let request = Request::Pull(self.request.clone());
            let sent = SystemClock.now();
            let answer = self.transport.send(&request, &self.token).await?;
            let answered = began.elapsed();
            if let Answer::Refused(refused) = &answer {
                bail!("a pull was refused: {} {}", refused.status, refused.detail);
            }
            self.store.take(&request, &answer, &sent, &SystemClock.now())?;
            let status = self.store.space(&self.request.space)?;
            if status.cursor == status.head {
                break Took { answered, stored: began.elapsed() };
            }
            ensure!(status.cursor > self.request.after, "an answer could not be stored");
            self.request.after = status.cursor;
        };
        let has = self.store.entities(&self.request.space, &Query::all("workout"))?.len();
        ensure!(has == entities as usize, "the device has {has} entities, and the space {entities}");
        Ok(took)
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BootstrapReport {
    bench: &'static str,
    entities: u32,
    updates: u64,
    runs: u32,
    head: u64,
    horizon: u64,
    /// From the first request until the state is stored.
    bootstrap_ms: Quantiles,
    /// Until the answer is there: the rest is storing it.
    answered_ms: Quantiles,
    /// Of the answers' bodies.
    bytes_down: u64,
    snapshot_bytes: u64,
}

impl BootstrapReport {
    fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let Self { entities, updates, head, horizon, bytes_down, snapshot_bytes, .. } = self;
        println!("bench bootstrap: {entities} entities, {updates} updates, {} fresh devices", self.runs);
        println!("  the log        head {head}, pruned through {horizon}");
        for (name, took) in [("bootstrap", self.bootstrap_ms), ("  answered", self.answered_ms)] {
            println!("  {name:<14} p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", took.p50, took.p99, took.max);
        }
        println!("  bytes down     {bytes_down}, of which the snapshot's entities are {snapshot_bytes}");
        Ok(())
    }
}
