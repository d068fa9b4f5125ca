//! Which devices are revoked: asked of the database at most once in a while for each device, and remembered for as many
//! devices as there is room. Ingest's hint that something changed makes it ask again at once; without the hint it is late
//! by `gateway.revocation_cache_ms`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, SpaceId, UserId};
use tidelog_events::protocol::ProfileHint;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::database::{out_of_time, within};
use tidelog_store::device_profiles;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::auth::Caller;
use crate::config::GatewayConfig;
use crate::problem::Problem;

/// A lookup that takes longer found the database, or the network to it, silent.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a push waits for it.
const PUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// How long nobody asks again about a device behind a lookup that failed.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(250);

/// The personal space of a device's user, and the device.
type Key = (SpaceId, DeviceId);

/// What is known of devices. Clones share it.
#[derive(Clone)]
pub struct Revocations {
    shared: Arc<Shared>,
}

struct Shared {
    pool: PgPool,
    believed_for: Duration,
    remembered: Mutex<Remembered>,
}

/// Devices in two halves: when the younger one is full it becomes the older one, and what was that is forgotten.
#[derive(Default)]
struct Remembered {
    half: usize,
    young: HashMap<Key, Arc<Lookup>>,
    old: HashMap<Key, Arc<Lookup>>,
}

/// One question to the database; all who ask meanwhile wait for its answer.
struct Lookup {
    asked_at: Instant,
    revoked: OnceCell<bool>,
    failed_at: Mutex<Option<Instant>>,
    /// What was known before.
    before: Option<bool>,
}

impl Lookup {
    fn new(before: Option<bool>) -> Arc<Self> {
        let (revoked, failed_at) = (OnceCell::new(), Mutex::new(None));
        Arc::new(Self { asked_at: Instant::now(), revoked, failed_at, before })
    }

    fn has_failed_lately(&self) -> bool {
        let failed_at = *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        failed_at.is_some_and(|at| at.elapsed() < REST_AFTER_FAILURE)
    }

    /// The answer that is there, or that `ask` gives in time. Whoever waits for a lookup that fails learns it at once, and does
    /// not ask in turn.
    async fn answer(
        &self,
        most: Duration,
        ask: impl AsyncFnOnce() -> sqlx::Result<bool>,
    ) -> sqlx::Result<bool> {
        let asking = self.revoked.get_or_try_init(async || {
            if self.has_failed_lately() { Err(sqlx::Error::PoolTimedOut) } else { ask().await }
        });
        let answered = timeout(most, asking).await.map_err(out_of_time).flatten();
        if answered.is_err() && !self.has_failed_lately() {
            *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        answered.copied()
    }
}

impl Remembered {
    fn find(&self, key: &Key) -> Option<&Arc<Lookup>> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn insert(&mut self, key: Key, lookup: Arc<Lookup>) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, lookup);
    }

    fn forget(&mut self, key: &Key) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

impl Revocations {
    /// Nothing is known yet.
    pub fn new(pool: PgPool, config: &GatewayConfig) -> Self {
        let half = (config.revocation_cache_devices / 2).max(1);
        let remembered = Mutex::new(Remembered { half, ..Remembered::default() });
        let believed_for = Duration::from_millis(config.revocation_cache_ms);
        Self { shared: Arc::new(Shared { pool, believed_for, remembered }) }
    }

    /// Forgets what hints say has changed, and tells of it, until `shutdown`.
    pub(crate) fn listen(
        &self,
        broker: &Broker,
        shutdown: CancellationToken,
        changed: impl Fn(&UserId, &DeviceId) + Send + Sync + 'static,
    ) {
        let (revocations, broker) = (self.clone(), broker.clone());
        let listening = async move {
            loop {
                if let Ok(mut hints) = broker.client().subscribe(broker.subjects().profiles()).await {
                    // What changed while nobody listened.
                    revocations.forget_all();
                    while let Some(message) = hints.next().await {
                        if let Ok(ProfileHint { space, device_id }) = serde_json::from_slice(&message.payload)
                        {
                            let user = UserId::new(space.as_str());
                            revocations.remembered().forget(&(space, device_id.clone()));
                            if let Ok(user) = user {
                                changed(&user, &device_id);
                            }
                        }
                    }
                }
                sleep(PAUSE_AFTER_ERROR).await;
            }
        };
        tokio::spawn(async move { shutdown.run_until_cancelled(listening).await });
    }

    /// Refuses a device of that user that is revoked. What was known is believed while the database is away.
    pub async fn check(&self, user: &UserId, device: &DeviceId) -> Result<(), Problem> {
        let known = self.is_revoked((user.personal_space(), device.clone()), LOOKUP_TIMEOUT).await;
        if known? { Err(revoked(user, device)) } else { Ok(()) }
    }

    /// Refuses a push of a device of that user that is known to be revoked. One that nothing can be found out about passes: pushes
    /// are taken while the database is away.
    pub(crate) async fn check_push(&self, user: &UserId, device: &DeviceId) -> Result<(), Problem> {
        match self.is_revoked((user.personal_space(), device.clone()), PUSH_TIMEOUT).await {
            Ok(true) => Err(revoked(user, device)),
            Ok(false) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, "whether a device is revoked is not known");
                Ok(())
            }
        }
    }

    /// Refuses a request of a revoked device: one that the caller's token is bound to, and one that the request names, which
    /// must be the same, as a device of `user`.
    pub(crate) async fn admit(
        &self,
        caller: &Caller,
        user: &UserId,
        named: Option<&DeviceId>,
    ) -> Result<(), Problem> {
        match caller.acting_device(named)? {
            Some(device) => self.check(user, device).await,
            None => Ok(()),
        }
    }

    /// The same for a push.
    pub(crate) async fn admit_push(
        &self,
        caller: &Caller,
        user: &UserId,
        named: Option<&DeviceId>,
    ) -> Result<(), Problem> {
        match caller.acting_device(named)? {
            Some(device) => self.check_push(user, device).await,
            None => Ok(()),
        }
    }

    /// Asks the database the next time.
    pub(crate) fn forget(&self, user: &UserId, device: &DeviceId) {
        self.remembered().forget(&(user.personal_space(), device.clone()));
    }

    fn forget_all(&self) {
        let mut remembered = self.remembered();
        remembered.young.clear();
        remembered.old.clear();
    }

    async fn is_revoked(&self, key: Key, most: Duration) -> sqlx::Result<bool> {
        let lookup = self.lookup(&key);
        let asked = lookup.answer(most, async || self.ask(&key).await).await;
        match (asked, lookup.before) {
            (Ok(revoked), _) => Ok(revoked),
            (Err(error), Some(before)) => {
                tracing::debug!(%error, "whether a device is revoked is not known anew");
                Ok(before)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// What is known of the device, or the question that is being asked.
    fn lookup(&self, key: &Key) -> Arc<Lookup> {
        let now = Instant::now();
        let mut remembered = self.remembered();
        let known = remembered.find(key);
        if let Some(lookup) = known.filter(|lookup| now < lookup.asked_at + self.shared.believed_for) {
            return lookup.clone();
        }
        let before = known.and_then(|lookup| lookup.revoked.get().copied().or(lookup.before));
        let lookup = Lookup::new(before);
        remembered.insert(key.clone(), lookup.clone());
        lookup
    }

    async fn ask(&self, (space, device): &Key) -> sqlx::Result<bool> {
        within(LOOKUP_TIMEOUT, async {
            let mut connection = self.shared.pool.acquire().await?;
            device_profiles::is_revoked(&mut connection, space, device).await
        })
        .await
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.shared.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn revoked(user: &UserId, device: &DeviceId) -> Problem {
    Problem::new(Refusal::DeviceRevoked, format!("the device {device} of {user} was revoked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(device: usize) -> Key {
        (SpaceId::new("ann").unwrap(), DeviceId::new(format!("phone-{device}")).unwrap())
    }

    #[test]
    fn no_more_devices_are_remembered_than_there_is_room_for_and_the_latest_half_always() {
        let mut remembered = Remembered { half: 5, ..Remembered::default() };
        for device in 0..100 {
            remembered.insert(key(device), Lookup::new(None));
            assert!(remembered.young.len() + remembered.old.len() <= 10);
            let latest = device.saturating_sub(4)..=device;
            assert!(latest.map(key).all(|key| remembered.find(&key).is_some()));
        }
        remembered.forget(&key(99));
        assert!(remembered.find(&key(99)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_database_is_waited_for_once_by_all_and_asked_again_later() {
        let lookup = Lookup::new(None);
        let began = Instant::now();
        let silent = || lookup.answer(PUSH_TIMEOUT, std::future::pending::<sqlx::Result<bool>>);
        let (first, second) = tokio::join!(silent(), silent());
        assert!(first.is_err() && second.is_err());
        assert_eq!(began.elapsed(), PUSH_TIMEOUT);
        assert!(silent().await.is_err());
        assert_eq!(began.elapsed(), PUSH_TIMEOUT, "nobody waits for what has just failed");
        tokio::time::advance(REST_AFTER_FAILURE).await;
        assert!(lookup.answer(PUSH_TIMEOUT, async || Ok(true)).await.unwrap());
        assert!(silent().await.unwrap(), "what is known needs no database");
    }
}
