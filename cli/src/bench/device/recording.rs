//! How long recording takes until an event is durable, beside what the disk takes by itself.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use tidelog_client::{Clock, SystemClock};
use tokio_util::sync::CancellationToken;

use super::super::latency::{Latencies, Quantiles};
use super::go_on;
use super::phone::{self, Doings};

const RECORDINGS: u32 = 2000;
const WORKOUT: u32 = 40;
/// The disk is asked after each so many recordings, so that both see the same weather.
const DISK_EVERY: u32 = 4;
/// About what a recording writes: eight pages of SQLite's log.
const DISK_BYTES: usize = 32 * 1024;

/// What was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Recording {
    /// From the call of `record` to its return.
    pub(super) record_ms: Quantiles,
    /// To write as many bytes into a file, and wait until they are durable.
    pub(super) disk_ms: Quantiles,
}

/// Records one event after the other into a new store in that folder.
pub(super) fn measure(folder: &Path, stop: &CancellationToken) -> Result<Recording> {
    let (mut store, space) = (phone::open(&folder.join("record.sqlite"))?, phone::space()?);
    let mut doings = Doings::new(1, WORKOUT);
    let mut disk = File::create(folder.join("disk"))?;
    let (mut recorded, mut written) = (Latencies::default(), Latencies::default());
    for number in 0..RECORDINGS {
        go_on(stop)?;
        let event = doings.next()?;
        let began = Instant::now();
        store.record(&space, event, &SystemClock.now())?;
        recorded.add(began.elapsed());
        if number % DISK_EVERY == 0 {
            written.add(write_durably(&mut disk)?);
        }
    }
    let nothing = "nothing was recorded";
    Ok(Recording {
        record_ms: recorded.quantiles().context(nothing)?,
        disk_ms: written.quantiles().context(nothing)?,
    })
}

fn write_durably(disk: &mut File) -> Result<Duration> {
    disk.rewind()?;
    let began = Instant::now();
    disk.write_all(&vec![0; DISK_BYTES])?;
    disk.sync_data()?;
    Ok(began.elapsed())
}
