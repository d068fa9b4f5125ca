//! The processes of the stack that runs here, by role: signals to them, and waiting until others have taken their place.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::local::Deadline;
use crate::stack_file::StackFile;

/// What ended is started again by then.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Every service of the stack, each replica by itself; its servers are none.
pub(super) fn services() -> Result<Vec<String>> {
    let stack = StackFile::find()?;
    Ok(stack.pids.into_keys().filter(|role| stack.operations_urls.contains_key(role)).collect())
}

/// Sends the process of a role a signal that ends it; returns its id.
pub(super) fn end(role: &str, signal: Signal) -> Result<u32> {
    let pid = *StackFile::find()?.pids.get(role).with_context(|| format!("the stack has no {role}"))?;
    let process = Pid::from_raw(pid.cast_signed()).context("that is no process id")?;
    kill_process(process, signal).with_context(|| format!("{role} cannot be ended"))?;
    Ok(pid)
}

/// Waits until another process than `ended` has a role, and says that it is ready if it can.
pub(super) async fn until_replaced(role: &str, ended: u32) -> Result<()> {
    let deadline = Deadline::after(PATIENCE, format!("the return of {role}"));
    let client = reqwest::Client::builder().timeout(LOOK_TIMEOUT).build()?;
    loop {
        let stack = StackFile::find()?;
        if stack.pids.get(role).is_some_and(|now| *now != ended) {
            let Some(url) = stack.operations_urls.get(role) else { return Ok(()) };
            let answer = client.get(format!("{url}/readyz")).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
        }
        deadline.next_look().await?;
    }
}
