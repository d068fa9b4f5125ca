//! The URL of keys: asked when the gateway starts, then again and again, and for a token whose key is not known. One task
//! asks; whoever waits for a key waits for it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::Clock;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::fetch::{self, FetchError, Fetcher};
use super::key::{Key, Origin};
use super::schedule::{Fetches, LookUp, Schedule};
use super::{LOOK_INTERVAL, VerifierError, document};
use crate::config::AuthConfig;

const NAME: &str = "jwks_url";

/// The URL and the keys of it that are in use.
pub(super) struct KeyUrl {
    fetcher: Fetcher,
    schedule: Schedule,
    /// How long a token waits for a fetch: a little longer than that takes at most.
    wait_max: Duration,
    clock: Clock,
    fetched: ArcSwapOption<Fetched>,
    fetches: watch::Sender<Fetches>,
    wanted: Notify,
}

/// What the URL last answered.
pub(super) struct Fetched {
    pub(super) keys: Arc<[Key]>,
    text: Vec<u8>,
    at: UtcTime,
}

impl KeyUrl {
    pub(super) fn new(url: &str, config: &AuthConfig, clock: Clock) -> Result<Self, VerifierError> {
        let url = fetch::accept(url, config.jwks_allow_http).map_err(|why| VerifierError::new(NAME, why))?;
        if config.jwks_stale_seconds < config.jwks_refresh_seconds {
            let why = "keys would be dropped before they are refreshed: it must not be below auth.jwks_refresh_seconds";
            return Err(VerifierError::new("jwks_stale_seconds", why));
        }
        let limit = Duration::from_millis(config.jwks_timeout_ms);
        let fetcher = Fetcher::new(url, config.jwks_bytes, limit)
            .map_err(|error| VerifierError::new(NAME, format!("{error:?}")))?;
        Ok(Self {
            fetcher,
            schedule: Schedule {
                refresh: Duration::from_secs(config.jwks_refresh_seconds),
                cooldown: Duration::from_secs(config.jwks_cooldown_seconds),
                stale: Duration::from_secs(config.jwks_stale_seconds),
            },
            wait_max: limit + LOOK_INTERVAL,
            clock,
            fetched: ArcSwapOption::empty(),
            fetches: watch::Sender::default(),
            wanted: Notify::new(),
        })
    }

    /// The keys, unless there are none yet, or the URL was down for too long.
    pub(super) fn keys(&self, now: UtcTime) -> Option<arc_swap::Guard<Option<Arc<Fetched>>>> {
        let fetched = self.fetched.load();
        let serves = fetched.as_ref().is_some_and(|fetched| self.schedule.serves(fetched.at, now));
        serves.then_some(fetched)
    }

    /// Has the URL asked for a key that is not known, and waits for its answer; not if it was asked a moment ago. Says
    /// whether it answered.
    pub(super) async fn look_up(&self) -> bool {
        let mut fetches = self.fetches.subscribe();
        let seen = *fetches.borrow();
        let number = match self.schedule.look_up(&seen, self.clock.now()) {
            LookUp::Settled(succeeded) => return succeeded,
            LookUp::Wait(number) => number,
            LookUp::Ask(number) => {
                self.wanted.notify_one();
                number
            }
        };
        let finished = fetches.wait_for(|fetches| fetches.finished >= number);
        matches!(timeout(self.wait_max, finished).await, Ok(Ok(fetches)) if fetches.succeeded)
    }

    pub(super) async fn follow(&self, stopped: &CancellationToken) {
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                () = stopped.cancelled() => return,
                () = self.wanted.notified() => true,
                _ = ticks.tick() => false,
            };
            let (fetches, now) = (*self.fetches.borrow(), self.clock.now());
            let due =
                self.schedule.is_due(&fetches, now) || asked && self.schedule.may_be_asked(&fetches, now);
            if due && stopped.run_until_cancelled(self.ask()).await.is_none() {
                return;
            }
            self.drop_stale();
        }
    }

    async fn ask(&self) {
        self.fetches.send_modify(|fetches| {
            fetches.begun += 1;
            fetches.begun_at = Some(self.clock.now());
        });
        let outcome = self.fetcher.fetch().await;
        let succeeded = self.take(outcome);
        self.fetches.send_modify(|fetches| {
            fetches.finished = fetches.begun;
            fetches.succeeded = succeeded;
        });
    }

    /// Whether the answer is a document of keys. One that is none leaves those in use.
    fn take(&self, outcome: Result<Vec<u8>, FetchError>) -> bool {
        let place = self.fetcher.place();
        let text = match outcome {
            Ok(text) => text,
            Err(error) => {
                count_read("unavailable");
                let error = &error as &dyn std::error::Error;
                tracing::warn!(place, error, "the keys for tokens cannot be fetched");
                return false;
            }
        };
        let at = self.clock.now();
        let before = self.fetched.load();
        if let Some(before) = before.as_ref().filter(|before| before.text == text) {
            count_read("unchanged");
            self.fetched.store(Some(Arc::new(Fetched { keys: before.keys.clone(), text, at })));
            return true;
        }
        match document::read(&text, Origin::Url, &place) {
            Ok(keys) => {
                count_read("taken");
                count_keys(keys.len());
                self.fetched.store(Some(Arc::new(Fetched { keys: keys.into(), text, at })));
                true
            }
            Err(error) => {
                count_read("refused");
                tracing::error!(place, %error, "the answer with keys for tokens is not taken");
                false
            }
        }
    }

    fn drop_stale(&self) {
        let fetched = self.fetched.load();
        if fetched.as_ref().is_some_and(|fetched| !self.schedule.serves(fetched.at, self.clock.now())) {
            tracing::error!(
                place = self.fetcher.place(),
                "the keys for tokens are dropped: they could not be \
                 fetched again for too long (auth.jwks_stale_seconds)"
            );
            count_keys(0);
            self.fetched.store(None);
        }
    }
}

fn count_keys(number: usize) {
    metrics::gauge!("tidelog_gateway_keys", "source" => "url").set(number as f64);
}

fn count_read(outcome: &'static str) {
    metrics::counter!("tidelog_gateway_key_reads_total", "source" => "url", "outcome" => outcome)
        .increment(1);
}
