//! Phones that push all the time, to whichever gateway takes it, and go on when one is away.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tidelog_tests::{Batch, event_id, eventually, token};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::installation::Installation;

const SPACES: u64 = 3;
const PHONES: u64 = 6;
const BATCH: u64 = 5;
/// How often a phone tries a push, and how long it waits between tries: three retries in some seconds.
const TRIES: u32 = 4;
const BETWEEN_TRIES: Duration = Duration::from_millis(700);

/// The phones, and what they have done.
pub struct Phones {
    gateways: Arc<Mutex<Vec<SocketAddr>>>,
    committed: Arc<AtomicU64>,
    stop: CancellationToken,
    tasks: JoinSet<(u64, u64)>,
}

impl Phones {
    /// Starts them.
    pub fn start(gateways: Vec<SocketAddr>) -> Self {
        let (gateways, committed) = (Arc::new(Mutex::new(gateways)), Arc::<AtomicU64>::default());
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        for number in 0..PHONES {
            let (gateways, committed, stop) = (gateways.clone(), committed.clone(), stop.clone());
            tasks.spawn(async move {
                let client = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
                let mut last = 0;
                while !stop.is_cancelled() {
                    let batch = Batch::new(&device(number), last + 1, last + BATCH);
                    push(&client, &gateways, number, &batch).await;
                    last += BATCH;
                    committed.fetch_add(1, Ordering::Relaxed);
                }
                (number, last)
            });
        }
        Self { gateways, committed, stop, tasks }
    }

    /// Where they push from now on.
    pub fn push_to(&self, gateways: Vec<SocketAddr>) {
        *self.gateways.lock().unwrap() = gateways;
    }

    /// Waits until so many more batches are committed.
    pub async fn go_on(&self, batches: u64) {
        let wanted = self.committed.load(Ordering::Relaxed) + batches;
        eventually("the phones' pushes are committed", async || {
            (self.committed.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
    }

    /// Lets them finish, and asserts that each of their events is in its space's log, once and in order, and folded.
    pub async fn end(mut self, installation: &Installation) {
        self.stop.cancel();
        let mut last_sequences = Vec::new();
        while let Some(phone) = self.tasks.join_next().await {
            last_sequences.push(phone.unwrap());
        }
        let gateways = self.gateways.lock().unwrap().clone();
        for number in 0..SPACES {
            let space = space(number);
            let expected: Vec<_> =
                last_sequences.iter().filter(|(phone, _)| phone % SPACES == number).collect();
            let mut seen = vec![0; PHONES as usize];
            let log = read_log(gateways[0], &space).await;
            for (position, event) in (1_u64..).zip(&log) {
                assert_eq!(event["position"], position, "positions of {space} are gapless");
                let (phone, _) = expected
                    .iter()
                    .find(|(phone, _)| event["deviceId"].as_str() == Some(&device(*phone)))
                    .unwrap();
                let sequence = &mut seen[*phone as usize];
                *sequence += 1;
                assert_eq!(event["eventId"], event_id(&device(*phone), *sequence).to_string());
            }
            for (phone, last) in expected {
                assert_eq!(seen[*phone as usize], *last, "all of phone {phone}");
            }
            eventually("the log is folded", async || {
                let applied = sqlx::query_scalar("SELECT applied FROM projections WHERE space_id = $1");
                let applied: i64 = applied.bind(&space).fetch_one(&installation.pool).await.ok()?;
                (applied as usize == log.len()).then_some(())
            })
            .await;
        }
        let quarantined = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM quarantine");
        assert_eq!(quarantined.fetch_one(&installation.pool).await.unwrap(), 0);
    }
}

fn device(number: u64) -> String {
    format!("phone-{number}")
}

fn space(number: u64) -> String {
    format!("user-{}", number % SPACES)
}

/// Pushes a batch until it is committed, at one gateway after the other.
async fn push(client: &Client, gateways: &Mutex<Vec<SocketAddr>>, number: u64, batch: &Batch) {
    let mut said = String::new();
    let mut turns = interval(BETWEEN_TRIES);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for attempt in 0..TRIES {
        turns.tick().await;
        let gateway = {
            let gateways = gateways.lock().unwrap();
            gateways[(number as usize + attempt as usize) % gateways.len()]
        };
        let url = format!("http://{gateway}/v1/spaces/me/events");
        let request = client.post(url).bearer_auth(token(&space(number))).json(&batch.json());
        match request.send().await {
            Ok(answer) if answer.status() == 200 => return,
            Ok(answer) => said = format!("{} {}", answer.status(), answer.text().await.unwrap_or_default()),
            Err(error) => said = format!("{error:?}"),
        }
    }
    assert!(said.is_empty(), "a push failed {TRIES} times, at last with: {said}");
}

async fn read_log(gateway: SocketAddr, space: &str) -> Vec<Value> {
    let mut log: Vec<Value> = Vec::new();
    loop {
        let url = format!("http://{gateway}/v1/spaces/me/log?after={}&limit=1000", log.len());
        let request = Client::new().get(url).bearer_auth(token(space)).header("accept", "application/json");
        let page: Value = request.send().await.unwrap().json().await.unwrap();
        log.extend(page["events"].as_array().unwrap().iter().cloned());
        if page["more"] == false {
            return log;
        }
    }
}
