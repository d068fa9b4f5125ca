//! `tidelog replay`: pushes recorded traces as their devices would.

mod plan;
mod progress;
mod push;
mod tally;
mod trace;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use fastrand::Rng;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};

use crate::stack_file::StackFile;
use crate::token::{Access, Claims};
use plan::Step;
use progress::Progress;
use push::{Pushed, Target};
use tally::{DeviceTally, Summary};
use trace::DeviceTrace;

const DEVICES_AT_ONCE: usize = 16;
/// Steps of a shuffled plan that are under way together.
const STEPS_AT_ONCE: usize = 12;
/// A device whose batches are answered with a gap this often in a row is given up.
const GAPS_IN_A_ROW: u32 = 20;

/// Options of `tidelog replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayOptions {
    /// Trace files, one `{"space","deviceId","event":{…}}` a line; gzip too
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Events of a batch
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Devices at random turns, batches doubled, overlapping and out of order; the same seed, the same disorder
    #[arg(long, value_name = "SEED")]
    shuffle: Option<u64>,
}

/// One device's part of the replay.
struct Device<'a> {
    trace: &'a DeviceTrace,
    tally: DeviceTally,
    /// Events that count as done in the progress.
    done: usize,
}

struct Replay<'a> {
    target: &'a Target,
    progress: &'a Progress,
    batch: usize,
}

/// Pushes the traces to the stack that runs here. Fails if an event is missing at the end.
pub async fn run(options: ReplayOptions) -> Result<()> {
    let traces = trace::read(&options.files)?;
    let stack = StackFile::find()?;
    let token = Claims::new("replay", 24).with_space("*", Access::Rw).sign(&stack.jwt_secret)?;
    let target = Target::new(&stack.gateway_url, token)?;
    let events: usize = traces.iter().map(|trace| trace.events.len()).sum();
    println!("replaying {events} events of {} devices to {}", traces.len(), stack.gateway_url);

    let started = Instant::now();
    let progress = Progress::new(events as u64);
    let replay = Replay { target: &target, progress: &progress, batch: usize::from(options.batch) };
    let mut devices: Vec<_> =
        traces.iter().map(|trace| Device { trace, tally: DeviceTally::default(), done: 0 }).collect();
    if let Some(seed) = options.shuffle {
        devices = replay.shuffled(devices, seed).await;
        // What a refused batch left out. The others push nothing here.
        devices = replay.orderly(devices, |device| device.trace.index(device.tally.watermark.next())).await;
    } else {
        devices = replay.orderly(devices, |_| 0).await;
    }
    progress.finish();
    report(&devices, started)
}

fn report(devices: &[Device<'_>], started: Instant) -> Result<()> {
    let mut summary = Summary::default();
    for device in devices {
        summary.add(device.trace, &device.tally);
    }
    print!("{}", summary.text(started.elapsed()));
    match summary.missing() {
        0 => Ok(()),
        missing => {
            bail!("{missing} events are missing: see above, and run the replay again once the cause is gone")
        }
    }
}

impl Replay<'_> {
    /// Every device from its start to its end, several at once.
    async fn orderly<'a>(
        &self,
        devices: Vec<Device<'a>>,
        start: impl Fn(&Device<'a>) -> usize,
    ) -> Vec<Device<'a>> {
        let from_start = |device: Device<'a>| {
            let start = start(&device);
            self.device_from(device, start)
        };
        stream::iter(devices).map(from_start).buffer_unordered(DEVICES_AT_ONCE).collect().await
    }

    async fn device_from<'a>(&self, mut device: Device<'a>, start: usize) -> Device<'a> {
        let events = device.trace.events.len();
        let (mut next, mut gaps) = (start, 0);
        while next < events && device.tally.trouble.is_none() {
            let range = next..(next + self.batch).min(events);
            let end = range.end;
            match self.send(&mut device, range).await {
                Some(Pushed::Committed(_)) => (next, gaps) = (end, 0),
                // The server lacks what was sent before: it was restored, or its queue was lost.
                Some(Pushed::Gap(expected)) if gaps < GAPS_IN_A_ROW && expected >= device.trace.first => {
                    (next, gaps) = (device.trace.index(expected), gaps + 1);
                }
                Some(Pushed::Gap(expected)) => {
                    device.tally.trouble =
                        Some(format!("the server expects sequence {expected}, which never helps"));
                }
                None => {}
            }
        }
        device
    }

    /// A plan's steps a dozen at a time: steps of different devices together, of one device one after the other.
    async fn shuffled<'a>(&self, devices: Vec<Device<'a>>, seed: u64) -> Vec<Device<'a>> {
        let sizes: Vec<_> = devices.iter().map(|device| device.trace.events.len()).collect();
        let plan = plan::shuffled(&sizes, self.batch, &mut Rng::with_seed(seed));
        let mut devices: Vec<_> = devices.into_iter().map(Some).collect();
        for turn in plan.chunks(STEPS_AT_ONCE) {
            let mut by_device = BTreeMap::<usize, Vec<&Step>>::new();
            for step in turn {
                by_device.entry(step.device).or_default().push(step);
            }
            let under_way = by_device.into_iter().filter_map(|(index, steps)| {
                let device = devices[index].take()?;
                Some(async move { (index, self.steps(device, steps).await) })
            });
            for (index, device) in join_all(under_way.collect::<Vec<_>>()).await {
                devices[index] = Some(device);
            }
        }
        devices.into_iter().flatten().collect()
    }

    async fn steps<'a>(&self, mut device: Device<'a>, steps: Vec<&Step>) -> Device<'a> {
        for step in steps {
            if device.tally.trouble.is_some() {
                break;
            }
            let sends = step.sends.iter().map(|range| self.target.push(device.trace, range.clone()));
            let answers = join_all(sends).await;
            for (range, answer) in step.sends.iter().zip(answers) {
                self.note(&mut device, range, answer);
            }
        }
        device
    }

    async fn send(&self, device: &mut Device<'_>, range: Range<usize>) -> Option<Pushed> {
        let answer = self.target.push(device.trace, range.clone()).await;
        self.note(device, &range, answer)
    }

    fn note(&self, device: &mut Device<'_>, range: &Range<usize>, answer: Result<Pushed>) -> Option<Pushed> {
        match answer {
            Ok(pushed) => {
                if let Pushed::Committed(answer) = &pushed {
                    device.tally.note(answer);
                    self.progress.add(range.end.saturating_sub(device.done) as u64);
                    device.done = device.done.max(range.end);
                }
                Some(pushed)
            }
            Err(error) => {
                device.tally.trouble = Some(format!("{error:#}"));
                None
            }
        }
    }
}
