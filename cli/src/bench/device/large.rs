//! A store of a phone that has recorded a lot: how long it takes from opening it to its first answers, and how much
//! memory that takes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tidelog_client::EventStore;
use tidelog_client::store::{EventsQuery, OwnEvent, Query};
use tidelog_client::transport::{Answer, PullRequest, Request};
use tidelog_events::id::Position;
use tidelog_events::protocol::{DeviceState, UtcTime};
use tokio_util::sync::CancellationToken;

use super::super::processes::status_bytes;
use super::answers::{BATCH, Batch, MadeUpLog, PULL};
use super::go_on;
use super::phone::{self, Doings};

/// Events of a workout.
const WORKOUT: u32 = 300;
/// One of so many events is not synced.
const PENDING_SHARE: u64 = 6;
/// A disk in memory, where there is one: recording for the sake of a large store need not be durable.
const IN_MEMORY: &str = "/dev/shm";
const SEED: u64 = 2;
const ENTITY_TYPE: &str = "workout";

/// The store, and what it holds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LargeStore {
    #[serde(skip)]
    path: PathBuf,
    pub(super) pending: u64,
    pub(super) confirmed: u64,
    pub(super) file_bytes: u64,
}

/// How opening it went. Times count from its beginning.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Opened {
    pub(super) open_ms: f64,
    /// Until one workout was answered, by its id.
    pub(super) one_ms: f64,
    /// Until all workouts were answered, too.
    pub(super) all_ms: f64,
    pub(super) workouts: usize,
    /// By how much the process grew at its largest.
    pub(super) memory_bytes: u64,
}

impl LargeStore {
    /// Records so many events, and lets most of them come back from the log.
    pub(super) fn build(folder: &Path, events: u64, stop: &CancellationToken) -> Result<Self> {
        let pending = events / PENDING_SHARE;
        let confirmed = events - pending;
        let beside = if Path::new(IN_MEMORY).is_dir() { Path::new(IN_MEMORY) } else { folder };
        let building = tempfile::Builder::new().prefix("tidelog-bench-").tempdir_in(beside)?;
        let (built, path) = (building.path().join("large.sqlite"), folder.join("large.sqlite"));
        fill(&built, confirmed, pending, stop)?;
        fs::copy(&built, &path)?;
        File::open(&path)?.sync_all()?;
        let file_bytes = fs::metadata(&path)?.len();
        Ok(Self { path, pending, confirmed, file_bytes })
    }

    /// Has a fresh process open it: this one's memory says nothing any more.
    pub(super) fn open_in_a_process_of_its_own(&self) -> Result<Opened> {
        let program = std::env::current_exe()?;
        let output = Command::new(program).args(["bench", "device", "--open"]).arg(&self.path).output()?;
        ensure!(output.status.success(), "opening failed: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("the process that opens the store told something else")
    }
}

/// In that process: opens the store, asks it, and prints how that went.
pub(super) fn open_and_tell(path: &Path) -> Result<()> {
    let space = phone::space()?;
    let first = Doings::new(SEED, WORKOUT).next()?.entity_id;
    let before_bytes = status_bytes(std::process::id(), "VmRSS:");
    let began = Instant::now();
    let since = || began.elapsed().as_secs_f64() * 1000.0;
    let store = phone::open(path)?;
    let open_ms = since();
    let one = store.entity(&space, ENTITY_TYPE, &first)?;
    let one_ms = since();
    let workouts = store.entities(&space, &Query::all(ENTITY_TYPE))?;
    let all_ms = since();
    ensure!(one.is_some(), "the store has not the workout that it had before");
    let memory_bytes = status_bytes(std::process::id(), "VmHWM:").saturating_sub(before_bytes);
    let opened = Opened { open_ms, one_ms, all_ms, workouts: workouts.len(), memory_bytes };
    println!("{}", serde_json::to_string(&opened)?);
    Ok(())
}

fn fill(path: &Path, confirmed: u64, pending: u64, stop: &CancellationToken) -> Result<()> {
    let (mut store, space) = (phone::open(path)?, phone::space()?);
    let mut doings = Doings::new(SEED, WORKOUT);
    let mut recorded = 0;
    let mut record = |store: &mut EventStore, through: u64| -> Result<()> {
        while recorded < through {
            go_on(stop)?;
            recorded += 1;
            store.record(&space, doings.next()?, &phone::moment(recorded))?;
        }
        Ok(())
    };
    let mut echoed = 0;
    while echoed < confirmed {
        let through = (echoed + PULL as u64).min(confirmed);
        record(&mut store, through)?;
        echo(&mut store, echoed, through)?;
        echoed = through;
    }
    record(&mut store, confirmed + pending)
}

/// Lets the events behind `after` come back from the log.
fn echo(store: &mut EventStore, after: u64, through: u64) -> Result<()> {
    let space = phone::space()?;
    let query = EventsQuery { after_row: after, ..EventsQuery::pending() };
    let events = store.events(&space, &query)?;
    let last = events.last().context("there is nothing to come back")?;
    let reader = DeviceState {
        last_sequence: last.device_sequence,
        last_event_id: Some(last.event_id),
        ..DeviceState::default()
    };
    let batch = |events: &[OwnEvent]| Batch {
        device: last.device_id.clone(),
        lines: events.iter().map(|event| event.line.clone()).collect(),
    };
    let batches: Vec<Batch> = events.chunks(BATCH).map(batch).collect();
    let log = MadeUpLog { user: store.user().clone(), head: Position(through) };
    let now = phone::moment(through);
    let answer = log.answer(Position(after), &batches, reader, UtcTime(now.wall_ms));
    let request = Request::Pull(PullRequest {
        space,
        after: Position(after),
        limit: PULL as u64,
        device: last.device_id.clone(),
        types: None,
        report: None,
    });
    store.take(&request, &Answer::Pulled(answer), &now, &now)?;
    Ok(())
}
