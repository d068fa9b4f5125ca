//! Whether a service can do its work: named checks that the service itself feeds, with hysteresis, so that a blip
//! of a shared dependency does not take all replicas out of service at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a check may fail before the service counts as not ready: longer than a failover of a connection,
/// shorter than an outage that callers should be kept away from.
pub const TOLERANCE: Duration = Duration::from_secs(5);

/// The checks of one service. Clones share them.
#[derive(Debug, Clone)]
pub struct Readiness {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tolerance: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    draining: bool,
    checks: BTreeMap<&'static str, CheckState>,
}

#[derive(Debug)]
struct CheckState {
    /// Why it fails and since when; `None` while it passes.
    failure: Option<(String, Instant)>,
    /// A check that has never passed is given no tolerance: the service has not started.
    passed_once: bool,
}

/// The feeding end of one check.
#[derive(Debug, Clone)]
pub struct Check {
    readiness: Readiness,
    name: &'static str,
}

impl Readiness {
    /// A check may fail for `tolerance` before the service counts as not ready.
    pub fn new(tolerance: Duration) -> Self {
        Self { shared: Arc::new(Shared { tolerance, state: Mutex::default() }) }
    }

    /// Adds a check. The service is not ready before it has passed once.
    pub fn check(&self, name: &'static str) -> Check {
        let starting =
            CheckState { failure: Some(("not checked yet".to_owned(), Instant::now())), passed_once: false };
        self.state().checks.insert(name, starting);
        Check { readiness: self.clone(), name }
    }

    /// Turns the service not ready for good: it is stopping.
    pub fn drain(&self) {
        self.state().draining = true;
    }

    /// Nothing if the service is ready; else each reason why it is not.
    pub fn reasons(&self) -> Vec<String> {
        let state = self.state();
        if state.draining {
            return vec!["stopping".to_owned()];
        }
        let failing = |(name, check): (&&'static str, &CheckState)| {
            let (reason, since) = check.failure.as_ref()?;
            let tolerated = check.passed_once && since.elapsed() < self.shared.tolerance;
            (!tolerated).then(|| format!("{name}: {reason}"))
        };
        state.checks.iter().filter_map(failing).collect()
    }

    /// Whether the service can do its work.
    pub fn is_ready(&self) -> bool {
        self.reasons().is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code can panic while it holds the lock half done.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
    /// The thing works.
    pub fn pass(&self) {
        let failed = self.change(|check| {
            check.passed_once = true;
            check.failure.take()
        });
        if let Some((_, since)) = failed {
            let after_ms = since.elapsed().as_millis() as u64;
            tracing::info!(check = self.name, after_ms, "works");
        }
    }

    /// The thing does not work; `reason` is for the operator who looks at `/readyz`. A reason is logged once, not as
    /// often as it is found again.
    pub fn fail(&self, reason: impl Into<String>) {
        let reason = reason.into();
        let is_news = self.change(|check| {
            let earlier = check.failure.take();
            let is_news = earlier.as_ref().is_none_or(|(earlier, _)| *earlier != reason);
            let since = earlier.map_or_else(Instant::now, |(_, since)| since);
            check.failure = Some((reason.clone(), since));
            is_news
        });
        if is_news {
            tracing::warn!(check = self.name, reason, "does not work");
        }
    }

    fn change<T: Default>(&self, change: impl FnOnce(&mut CheckState) -> T) -> T {
        self.readiness.state().checks.get_mut(self.name).map(change).unwrap_or_default()
    }

    /// [`Check::pass`] or [`Check::fail`], as `works` says.
    pub fn set(&self, works: bool, reason: &str) {
        if works { self.pass() } else { self.fail(reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_service_is_ready_once_every_check_has_passed() {
        let readiness = Readiness::new(TOLERANCE);
        let (broker, database) = (readiness.check("broker"), readiness.check("database"));
        broker.pass();
        assert_eq!(readiness.reasons(), ["database: not checked yet"]);
        database.fail("no route");
        assert_eq!(readiness.reasons(), ["database: no route"]);
        database.pass();
        assert!(readiness.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_blip_does_not_make_a_service_unready_and_an_outage_does() {
        let readiness = Readiness::new(TOLERANCE);
        let broker = readiness.check("broker");
        broker.pass();
        broker.fail("gone");
        tokio::time::advance(TOLERANCE / 2).await;
        broker.fail("still gone");
        assert!(readiness.is_ready());
        tokio::time::advance(TOLERANCE / 2).await;
        assert_eq!(readiness.reasons(), ["broker: still gone"]);
        broker.pass();
        assert!(readiness.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopping_service_stays_unready() {
        let readiness = Readiness::new(TOLERANCE);
        let check = readiness.check("broker");
        readiness.drain();
        check.pass();
        assert_eq!(readiness.reasons(), ["stopping"]);
    }
}
