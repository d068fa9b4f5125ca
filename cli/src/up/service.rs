//! One service of ours as a process of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::local::{Deadline, Process, command};

const READY_PATIENCE: Duration = Duration::from_secs(30);
/// Longer than the services' own `drain_seconds`, and what is given back then.
const STOP_GRACE: Duration = Duration::from_secs(25);

/// How a service is started, again and again.
#[derive(Debug)]
pub(crate) struct Service {
    /// `gateway`, `ingest`, `ingest-2` …
    pub(crate) role: String,
    pub(crate) program: PathBuf,
    /// Added to the environment of this process.
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) operations_url: String,
    pub(crate) log: PathBuf,
    pub(crate) process: Option<Process>,
}

/// The program of a service: it is built beside this one.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let here = std::env::current_exe().context("cannot find this program's own file")?;
    let program = here.with_file_name(name);
    if !program.exists() {
        bail!("{} is missing: build it with `cargo build --release`, or run `make up`", program.display());
    }
    Ok(program)
}

impl Service {
    /// Starts it and returns when it says that it is ready.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let mut start = command(&self.program, false);
        start.envs(&self.environment);
        // Its last words should be the error that ended it, not where in the code it arose.
        if std::env::var_os("RUST_LIB_BACKTRACE").is_none() {
            start.env("RUST_LIB_BACKTRACE", "0");
        }
        let process = Process::spawn(&self.role, start, &self.log)?;
        let process = self.process.insert(process);
        let ready_url = format!("{}/readyz", self.operations_url);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
        let what = format!("{} being ready (its log is {})", self.role, self.log.display());
        let deadline = Deadline::after(READY_PATIENCE, what);
        loop {
            if let Some(status) = process.exited()? {
                bail!("{} ended ({status}). Its last words:\n{}", self.role, process.last_words());
            }
            let answer = client.get(&ready_url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            deadline.next_look().await?;
        }
    }

    /// Lets it finish what it is doing, then ends it.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.stop(Signal::TERM, STOP_GRACE).await,
            None => Ok(()),
        }
    }
}
