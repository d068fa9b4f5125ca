//! Kills the gateway under its connections, pushes to each space meanwhile, and sees that all come back and miss nothing.

use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::report::KillReport;
use super::{BETWEEN_LOOKS, Bench, OPENING, PATIENCE};
use crate::bench::phone::{Encoders, Pushed};

impl Bench {
    /// `tidelog up` starts the gateway again, at the same address.
    pub(super) async fn kill(&self) -> Result<KillReport> {
        let connections = u64::from(self.options.connections);
        let pid = self.target.replicas("gateway").next().context("the stack has no gateway of its own")?;
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process id")?;
        let tries = self.idle.reconnects.load(Ordering::Relaxed);
        let began = Instant::now();
        kill_process(pid, Signal::KILL).context("the gateway cannot be killed")?;
        let pushed = self.push_to_each();
        let back = self.until_back(connections, began);
        let ((), all_back_seconds) = tokio::try_join!(pushed, back)?;
        let deadline = Instant::now() + PATIENCE;
        let received = || self.idle.events.load(Ordering::Relaxed);
        while received() < connections {
            ensure!(Instant::now() < deadline, "only {} of {connections} events came", received());
            sleep(BETWEEN_LOOKS).await;
        }
        let tries = self.idle.reconnects.load(Ordering::Relaxed) - tries;
        Ok(KillReport { all_back_seconds, tries, events: connections, received: received() })
    }

    async fn until_back(&self, connections: u64, began: Instant) -> Result<f64> {
        let deadline = began + PATIENCE;
        // First they notice.
        let connected = || self.idle.connected.load(Ordering::Relaxed);
        while connected() == connections {
            ensure!(Instant::now() < deadline, "no connection ended with its gateway");
            sleep(BETWEEN_LOOKS).await;
        }
        while connected() < connections {
            ensure!(Instant::now() < deadline, "only {} of {connections} connections came back", connected());
            sleep(BETWEEN_LOOKS).await;
        }
        Ok(began.elapsed().as_secs_f64())
    }

    /// One event to each space, tried until it is committed.
    async fn push_to_each(&self) -> Result<()> {
        let encoders = Encoders::default();
        let each = stream::iter(0..self.options.connections as usize).map(async |number| {
            let space = self.space("idle", number)?;
            let mut phone = self.target.phone(space.as_str(), &space, 1, &encoders).await?;
            let batch = phone.record()?;
            let deadline = Instant::now() + PATIENCE;
            loop {
                match phone.push(&batch).await {
                    Ok(Pushed::Committed { .. } | Pushed::AlreadyCommitted) => return Ok(()),
                    Ok(Pushed::Accepted | Pushed::AtLimit { .. }) | Err(_) if Instant::now() < deadline => {
                        sleep(BETWEEN_LOOKS).await;
                    }
                    Ok(_) => bail!("a push was not committed in time"),
                    Err(error) => return Err(error.context("a push did not succeed in time")),
                }
            }
        });
        each.buffer_unordered(OPENING).try_collect().await
    }
}
