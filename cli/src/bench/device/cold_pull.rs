//! A new phone takes in what the others have recorded: everything, pull by pull.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;
use tidelog_client::store::Query;
use tidelog_client::transport::{Answer, PullRequest, Request};
use tidelog_events::id::{DeviceId, Position};
use tidelog_events::protocol::{DeviceState, UtcTime};
use tokio_util::sync::CancellationToken;

use super::super::workout::Recorder;
use super::answers::{BATCH, Batch, MadeUpLog, PULL};
use super::{go_on, phone};

const EVENTS: usize = 20_000;
/// The others' workouts: each has recorded some, one after the other.
const WORKOUTS: usize = 100;
const PHONES: usize = 4;

/// How it went.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ColdPull {
    pub(super) events: usize,
    pub(super) entities: usize,
    pub(super) pulls: usize,
    /// To take in the decoded answers, each in a durable transaction.
    pub(super) total_ms: f64,
}

/// Measures it on a new store.
pub(super) fn measure(path: &Path, stop: &CancellationToken) -> Result<ColdPull> {
    let (mut store, space) = (phone::open(path)?, phone::space()?);
    let device = store.space(&space)?.device_id;
    let log = MadeUpLog { user: store.user().clone(), head: Position(EVENTS as u64) };
    let (batches, now) = (others()?, phone::moment(0));
    let mut after = Position::ZERO;
    let mut pulls = Vec::new();
    for batches in batches.chunks(PULL / BATCH) {
        let request = PullRequest {
            space: space.clone(),
            after,
            limit: PULL as u64,
            device: device.clone(),
            types: None,
            report: None,
        };
        let answer = log.answer(after, batches, DeviceState::default(), UtcTime(now.wall_ms));
        pulls.push((Request::Pull(request), Answer::Pulled(answer)));
        after = Position(after.0 + PULL as u64);
    }
    let began = Instant::now();
    for (request, answer) in &pulls {
        go_on(stop)?;
        store.take(request, answer, &now, &now)?;
    }
    let total_ms = began.elapsed().as_secs_f64() * 1000.0;
    ensure!(store.space(&space)?.cursor == log.head, "the store did not take everything in");
    let entities = store.entities(&space, &Query::all("workout"))?.len();
    Ok(ColdPull { events: EVENTS, entities, pulls: pulls.len(), total_ms })
}

/// What the others have recorded, a batch of each in turn.
fn others() -> Result<Vec<Batch>> {
    let mut phones = Vec::new();
    for number in 0..PHONES {
        let recorder = Recorder::of_workouts(number as u64, (EVENTS / WORKOUTS) as u32);
        phones.push((DeviceId::new(format!("phone-{number}"))?, recorder));
    }
    let mut batches = Vec::new();
    while batches.len() < EVENTS / BATCH {
        for (device, recorder) in &mut phones {
            let mut lines = Vec::new();
            for _ in 0..BATCH {
                recorder.record(&mut lines);
            }
            let lines = String::from_utf8(lines)?.lines().map(str::to_owned).collect();
            batches.push(Batch { device: device.clone(), lines });
        }
    }
    Ok(batches)
}
