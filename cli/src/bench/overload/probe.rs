//! How soon the stack is itself again: a few phones push at a pace that it keeps easily, from the end of the overload on.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use super::super::phone::{Phone, Pushed};
use super::devices::is_of_the_network;

/// Phones that look.
pub(super) const PROBES: u32 = 10;
const PROBE_EVERY: Duration = Duration::from_millis(200);
/// A push that is committed at once and within this is as it should be.
const PROMPT: Duration = Duration::from_secs(1);
/// The stack is itself again when all is as it should be for this long.
const STEADY: Duration = Duration::from_secs(1);
/// How long is looked for that.
const PATIENCE: Duration = Duration::from_secs(30);

/// From `ended` until all pushes are prompt; `None` if they are not in time.
pub(super) async fn recovery(
    phones: impl Iterator<Item = Phone>,
    ended: Instant,
) -> Result<Option<Duration>> {
    let mut probes = JoinSet::new();
    for phone in phones {
        probes.spawn(probe(phone));
    }
    let mut latest = Some(ended);
    while let Some(steady_since) = probes.join_next().await {
        let steady_since = steady_since.context("a probe ended")??;
        // The last of them says it.
        latest = latest.zip(steady_since).map(|(one, other)| one.max(other));
    }
    Ok(latest.map(|since| since - ended))
}

/// Since when each push of this phone has been prompt.
async fn probe(mut phone: Phone) -> Result<Option<Instant>> {
    let deadline = Instant::now() + PATIENCE;
    let mut turns = interval(PROBE_EVERY);
    let mut since = None;
    let mut batch = phone.record()?;
    while Instant::now() < deadline {
        turns.tick().await;
        let began = Instant::now();
        let pushed = match phone.push(&batch).await {
            Err(error) if is_of_the_network(&error) => None,
            pushed => Some(pushed?),
        };
        match pushed {
            Some(Pushed::Committed { .. }) if began.elapsed() <= PROMPT => {
                let since = *since.get_or_insert(began);
                if since.elapsed() >= STEADY {
                    return Ok(Some(since));
                }
                batch = phone.record()?;
            }
            Some(Pushed::Committed { .. } | Pushed::AlreadyCommitted) => {
                since = None;
                batch = phone.record()?;
            }
            _ => since = None,
        }
    }
    Ok(None)
}
