//! Kills processes of the stack while phones sync, as a machine under too much load would. `tidelog up` starts them
//! again.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::stack_file::StackFile;

/// Kills one process of the stack, whichever, about `every` so long, until `stop`; returns how often which role was killed.
pub(super) async fn now_and_then(every: Duration, stop: CancellationToken) -> BTreeMap<String, u64> {
    let mut kills = BTreeMap::new();
    loop {
        let pause = every.mul_f64(0.5 + fastrand::f64());
        if stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return kills;
        }
        if let Some(role) = kill_one() {
            *kills.entry(role).or_default() += 1;
        }
    }
}

fn kill_one() -> Option<String> {
    let pids: Vec<_> = StackFile::find().ok()?.pids.into_iter().collect();
    let (role, pid) = fastrand::choice(pids)?;
    // One that has just ended is not there any more, and its id may be another's.
    if !is_of_stack(&role, pid) {
        return None;
    }
    let process = Pid::from_raw(i32::try_from(pid).ok()?)?;
    kill_process(process, Signal::KILL).ok()?;
    Some(role)
}

/// Whether the process is what its role says, by its name, of which Linux keeps 15 bytes.
fn is_of_stack(role: &str, pid: u32) -> bool {
    let program = match role.split('-').next().unwrap_or_default() {
        "nats" => "nats-server".to_owned(),
        "postgres" => "postgres".to_owned(),
        service => format!("tidelog-{service}"),
    };
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end() == &program[..program.len().min(15)]
}
