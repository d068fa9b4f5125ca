//! `tidelog bench device`: what a phone's store takes: to record, to open, to take in a log. Everything lies on the
//! disk of the folder that the bench runs in; no server is needed.

mod answers;
mod cold_pull;
mod large;
mod phone;
mod recording;
mod report;

use anyhow::{Context, Result};
use tidelog_runtime::shutdown;
use tokio_util::sync::CancellationToken;

use self::large::LargeStore;
use self::report::DeviceReport;
use super::options::DeviceOptions;

/// Runs the bench and prints its report.
pub(super) async fn run(options: DeviceOptions) -> Result<()> {
    let stop = shutdown::on_signal()?;
    tokio::task::spawn_blocking(move || match &options.open {
        Some(store) => large::open_and_tell(store),
        None => measure(&options, &stop)?.print(options.json),
    })
    .await?
}

fn measure(options: &DeviceOptions, stop: &CancellationToken) -> Result<DeviceReport> {
    let folder = tempfile::Builder::new()
        .prefix("tidelog-bench-")
        .tempdir_in(".")
        .context("the bench needs a folder that it can write to")?;
    let recording = recording::measure(folder.path(), stop)?;
    let large = LargeStore::build(folder.path(), options.events, stop)?;
    let opened = large.open_in_a_process_of_its_own()?;
    let cold_pull = cold_pull::measure(&folder.path().join("pull.sqlite"), stop)?;
    Ok(DeviceReport { bench: "device", recording, large, opened, cold_pull })
}

/// Errs once somebody has asked the bench to stop.
fn go_on(stop: &CancellationToken) -> Result<()> {
    anyhow::ensure!(!stop.is_cancelled(), "stopped before there was anything to report");
    Ok(())
}
