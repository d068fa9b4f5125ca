//! Ends servers that an earlier run left behind: one that was killed where its children could not die with it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::wait::Deadline;

/// Kills process `pid` if it is still the program whose command line contains `marker`.
pub async fn end_leftover(pid: u32, marker: &str) -> Result<bool> {
    if !is_running(pid, marker) {
        return Ok(false);
    }
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        kill_process(pid, Signal::KILL)
            .with_context(|| format!("cannot end the leftover process {pid:?}"))?;
    }
    let deadline = Deadline::after(Duration::from_secs(5), format!("the end of the leftover process {pid}"));
    while is_running(pid, marker) {
        deadline.next_look().await?;
    }
    Ok(true)
}

/// Whether process `pid` runs with a command line that contains `marker`: ids are used again, so the id alone says
/// nothing.
pub fn is_running(pid: u32, marker: &str) -> bool {
    command_line(pid).is_some_and(|line| line.contains(marker))
}

/// The process that a pid file names on its first line.
pub(super) fn read_pid(file: &Path) -> Option<u32> {
    fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()
}

fn command_line(pid: u32) -> Option<String> {
    if Path::new("/proc/self/cmdline").exists() {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&line).replace('\0', " "));
    }
    let output = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
