//! Restarts every service in good order, as a new version is rolled out.

use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::report::{Restart, RollingReport};
use super::{Load, roles};

/// By then the front door has seen that a gateway is back.
const SETTLING: Duration = Duration::from_millis(500);

/// Restarts all, so many times.
pub(super) async fn measure(load: &Load, rounds: u32) -> Result<RollingReport> {
    let restarting = async {
        let mut restarts = Vec::new();
        for _ in 0..rounds {
            for role in roles::services()? {
                let began = Instant::now();
                let ended = roles::end(&role, Signal::TERM)?;
                roles::until_replaced(&role, ended).await?;
                restarts.push(Restart { role, seconds: began.elapsed().as_secs_f64() });
                sleep(SETTLING).await;
            }
        }
        Ok(restarts)
    };
    let (restarts, loaded) = load.during(restarting).await?;
    Ok(RollingReport::new(load, rounds, restarts, &loaded))
}
