//! Devices at work: each pushes its events batch by batch, and each batch until it is committed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use reqwest::StatusCode;
use tidelog_tests::{Answer, Batch, History, World, eventually};

/// What devices do, and what was answered to them so far.
pub struct Load {
    /// User and device of each.
    pushers: Vec<(String, String)>,
    batches: u64,
    batch_events: u64,
    committed: AtomicU64,
    troubled: AtomicU64,
}

impl Load {
    /// So many users with so many devices each, of which each pushes so many batches of so many events.
    pub fn new(users: usize, devices: usize, batches: u64, batch_events: u64) -> Self {
        let pushers = (0..users)
            .flat_map(|user| {
                (0..devices).map(move |device| (format!("user-{user}"), format!("phone-{user}-{device}")))
            })
            .collect();
        Self { pushers, batches, batch_events, committed: AtomicU64::new(0), troubled: AtomicU64::new(0) }
    }

    /// Pushes everything; done when all of it is committed.
    pub async fn run(&self, world: &World) {
        join_all(self.pushers.iter().map(|(user, device)| self.push_all(world, user, device))).await;
    }

    async fn push_all(&self, world: &World, user: &str, device: &str) {
        for number in 0..self.batches {
            self.push(world, user, &self.batch(device, number)).await;
        }
    }

    fn batch(&self, device: &str, number: u64) -> Batch {
        Batch::new(device, number * self.batch_events + 1, (number + 1) * self.batch_events)
    }

    async fn push(&self, world: &World, user: &str, batch: &Batch) {
        let answer = eventually("the batch is committed", async || {
            let answer = Answer::try_of(world.push_request(world.address, user, batch)).await.ok()?;
            if answer.status == StatusCode::ACCEPTED || answer.status.is_server_error() {
                self.troubled.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            Some(answer)
        })
        .await;
        answer.expect(200);
        self.committed.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until so many percent of the batches are committed.
    pub async fn reaches(&self, percent: u64) {
        let wanted = self.pushers.len() as u64 * self.batches * percent / 100;
        eventually(&format!("{percent} % of the load is committed"), async || {
            (self.committed.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
    }

    /// Waits until another push was not committed: refused with a 5xx, or answered 202.
    pub async fn meets_trouble(&self) {
        let before = self.troubled.load(Ordering::Relaxed);
        eventually("a push meets the trouble", async || {
            (self.troubled.load(Ordering::Relaxed) > before).then_some(())
        })
        .await;
    }

    /// Asserts that every user's log holds exactly what the devices pushed, and that nothing went to quarantine.
    pub async fn assert_committed_once(&self, world: &World) {
        let mut histories: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
        for (user, device) in &self.pushers {
            histories.entry(user).or_default().push((device, self.batches * self.batch_events));
        }
        for (user, devices) in histories {
            History::of(devices).assert_is_log_of(world, user).await;
        }
        assert_eq!(quarantined(world).await, (0, 0));
    }
}

/// Events and messages in quarantine.
pub async fn quarantined(world: &World) -> (i64, i64) {
    eventually("the database answers", async || {
        let counts = sqlx::query_as(
            "SELECT (SELECT count(*) FROM quarantine), (SELECT count(*) FROM quarantined_messages)",
        );
        counts.fetch_one(&world.pool).await.ok()
    })
    .await
}
