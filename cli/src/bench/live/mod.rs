//! `tidelog bench live`: what an idle live connection costs, how long an event takes from one device to another, and whether
//! all come back when the gateway is killed under them.

mod device;
mod kill;
mod report;
mod socket;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use tidelog_events::id::{Position, SpaceId};
use tidelog_runtime::config::Sources;
use tidelog_runtime::shutdown;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::latency::Latencies;
use super::options::LiveOptions;
use super::phone::{Encoders, Phone, PushRecord, Pushed};
use super::processes::Processes;
use super::target::Target;
use crate::stack_file::StackFile;
use device::{Arrival, Counts, stay_connected};
use report::LiveReport;
use socket::Door;

/// Connections that are opened at once.
const OPENING: usize = 64;
/// How long what must come may take, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_mins(3);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// How long the gateway may rest before its memory is looked at, and how often.
const SETTLING: Duration = Duration::from_secs(2);
const PUSH_EVERY: Duration = Duration::from_secs(1);

/// Runs it against the stack that runs here.
pub(super) async fn run(options: LiveOptions) -> Result<()> {
    let stack = StackFile::find()?;
    let stop = shutdown::on_signal()?;
    let mut sources = Sources::default();
    sources.environment.insert("TIDELOG__BROKER__URL".to_owned(), stack.nats_url.clone());
    sources.environment.insert("TIDELOG__DATABASE__URL".to_owned(), stack.database_url.clone());
    let bench = Bench {
        target: Target::new(&stack, &sources).await?,
        id: format!("live-{:08x}", fastrand::u32(..)),
        idle: Arc::default(),
        options,
    };
    let measured = stop.run_until_cancelled(Box::pin(bench.measure())).await;
    let report = measured.context("stopped before there was anything to report")??;
    report.print(bench.options.json)?;
    ensure!(report.lost_events == 0, "{} events did not arrive", report.lost_events);
    Ok(())
}

struct Bench {
    target: Target,
    /// Names this run's spaces and devices.
    id: String,
    /// What the idle connections got.
    idle: Arc<Counts>,
    options: LiveOptions,
}

/// What the active devices did and got.
struct Deliveries {
    latencies: Latencies,
    delivered: u64,
    lost: u64,
}

impl Bench {
    async fn measure(&self) -> Result<LiveReport> {
        let mut devices = JoinSet::new();
        let empty = self.gateway_bytes();
        self.connect_idle(&mut devices).await?;
        let idle = self.settled_bytes().await.saturating_sub(empty);
        let deliveries = self.deliver(&mut devices).await?;
        let connections = u64::from(self.options.connections);
        let mut report = LiveReport {
            connections,
            devices: u64::from(self.options.devices),
            seconds: self.options.seconds,
            bytes_per_idle_connection: (connections > 0).then(|| idle as f64 / connections as f64),
            delivery_ms: deliveries.latencies.quantiles(),
            delivered_events: deliveries.delivered,
            lost_events: deliveries.lost,
            gateway_peak_memory_bytes: self.gateway_bytes(),
            killed: None,
        };
        if self.options.kill {
            report.killed = Some(self.kill().await?);
        }
        failed(&mut devices)?;
        Ok(report)
    }

    fn space(&self, kind: &str, number: usize) -> Result<SpaceId> {
        Ok(SpaceId::new(format!("{}-{kind}-{number}", self.id))?)
    }

    /// A user's own space is named after them.
    async fn door(&self, space: &SpaceId) -> Result<Door> {
        let token = self.target.token(space.as_str(), space)?;
        Door::new(&self.target.gateway_url, space, token).await
    }

    fn gateway_bytes(&self) -> u64 {
        let gateways: Vec<_> = self.target.replicas("gateway").collect();
        let roots = gateways.iter().map(|pid| (pid.to_string(), *pid)).collect();
        Processes::new(roots).memory_bytes().values().sum()
    }

    /// The gateway's memory when it rests.
    async fn settled_bytes(&self) -> u64 {
        sleep(SETTLING).await;
        self.gateway_bytes()
    }

    async fn connect_idle(&self, devices: &mut JoinSet<Result<()>>) -> Result<()> {
        let connections = self.options.connections as usize;
        let doors =
            stream::iter(0..connections).map(async |number| self.door(&self.space("idle", number)?).await);
        let doors: Vec<Door> = doors.buffered(OPENING).try_collect().await?;
        for (number, door) in doors.into_iter().enumerate() {
            devices.spawn(stay_connected(number, door, self.idle.clone(), None));
            if number % OPENING == OPENING - 1 {
                self.until_connected(&self.idle, number + 1 - OPENING / 2).await?;
            }
        }
        self.until_connected(&self.idle, connections).await
    }

    async fn until_connected(&self, counts: &Counts, connections: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while counts.connected.load(Ordering::Relaxed) < connections as u64 {
            let there = counts.connected.load(Ordering::Relaxed);
            ensure!(Instant::now() < deadline, "only {there} of {connections} connections came to be");
            sleep(BETWEEN_LOOKS).await;
        }
        Ok(())
    }

    /// Has the active devices push, and measures how long the other device of each space waits.
    async fn deliver(&self, devices: &mut JoinSet<Result<()>>) -> Result<Deliveries> {
        let counts = Arc::<Counts>::default();
        let (arrivals, mut arrived) = mpsc::unbounded_channel();
        let encoders = Encoders::default();
        let mut phones = Vec::new();
        for number in 0..self.options.devices as usize {
            let space = self.space("pair", number / 2)?;
            let door = self.door(&space).await?;
            devices.spawn(stay_connected(number, door, counts.clone(), Some(arrivals.clone())));
            let name = format!("{}-phone-{number}", self.id);
            phones.push((number, self.target.phone(&name, &space, 1, &encoders).await?));
        }
        self.until_connected(&counts, phones.len()).await?;
        drop(arrivals);
        let mut pushing = JoinSet::new();
        for (number, phone) in phones {
            pushing.spawn(push_on(number, phone, self.options.seconds));
        }
        let mut pushed = Vec::new();
        while let Some(records) = pushing.join_next().await {
            pushed.extend(records??);
        }
        let deadline = Instant::now() + PATIENCE;
        while counts.events.load(Ordering::Relaxed) < 2 * pushed.len() as u64 && Instant::now() < deadline {
            sleep(BETWEEN_LOOKS).await;
        }
        let mut came = Vec::new();
        while let Ok(arrival) = arrived.try_recv() {
            came.push(arrival);
        }
        Ok(matched(&pushed, &came))
    }
}

/// Pushes an event every second.
async fn push_on(number: usize, mut phone: Phone, seconds: u64) -> Result<Vec<PushRecord>> {
    let offset = PUSH_EVERY.mul_f64(fastrand::f64());
    let mut ticks = interval_at(Instant::now() + offset, PUSH_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut records = Vec::new();
    for _ in 0..seconds {
        ticks.tick().await;
        let batch = phone.record()?;
        let began = Instant::now();
        loop {
            match phone.push(&batch).await? {
                Pushed::Committed { last } => {
                    let (space, answered) = (number as u32, Instant::now());
                    records.push(PushRecord { space, began, answered, last });
                    break;
                }
                // Of a push that is answered 202 first, no latency is known.
                Pushed::AlreadyCommitted => break,
                Pushed::Accepted | Pushed::AtLimit { .. } => sleep(BETWEEN_LOOKS).await,
            }
        }
    }
    Ok(records)
}

/// Of each push, by its device, when it arrived at the other one.
fn matched(pushed: &[PushRecord], came: &[Arrival]) -> Deliveries {
    let at: HashMap<(usize, Position), Instant> =
        came.iter().map(|arrival| ((arrival.device, arrival.position), arrival.at)).collect();
    let mut deliveries = Deliveries { latencies: Latencies::default(), delivered: 0, lost: 0 };
    for push in pushed {
        // Devices 0 and 1 share a space, 2 and 3 the next one, and so on.
        match at.get(&((push.space as usize) ^ 1, Position(push.last))) {
            Some(at) => {
                deliveries.delivered += 1;
                deliveries.latencies.add(at.duration_since(push.began));
            }
            None => deliveries.lost += 1,
        }
    }
    deliveries
}

/// A device that has ended found something wrong.
fn failed(devices: &mut JoinSet<Result<()>>) -> Result<()> {
    match devices.try_join_next() {
        Some(ended) => ended?,
        None => Ok(()),
    }
}
