//! Devices at work on the same workouts: every event type of the example schema, and with them every merge rule that
//! it uses, on entities that several devices write to.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tidelog_tests::{Batch, EventLine, World, eventually};

/// Entities of a space; what a device does it does to each of them in turn.
const ENTITIES: u64 = 4;

/// What devices do, and how much of it is committed.
pub struct Workouts {
    users: Vec<String>,
    devices: u64,
    batches: u64,
    batch_events: u64,
    committed: AtomicU64,
}

impl Workouts {
    /// So many users with so many devices each, of which each pushes so many batches of so many events.
    pub fn new(users: u64, devices: u64, batches: u64, batch_events: u64) -> Self {
        let users = (0..users).map(|user| format!("user-{user}")).collect();
        Self { users, devices, batches, batch_events, committed: AtomicU64::new(0) }
    }

    /// Each device pushes its batches in their order, and all devices at once.
    pub async fn push(&self, world: &World) {
        let pushers = self.users.iter().flat_map(|user| (0..self.devices).map(move |device| (user, device)));
        join_all(pushers.map(async |(user, device)| {
            for number in 0..self.batches {
                self.push_batch(world, user, &self.batch(device, number)).await;
            }
        }))
        .await;
    }

    /// The same, but the batches of every third device come all at once, in an order that the seed gives.
    pub async fn push_in_disorder(&self, world: &World, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut lanes = Vec::new();
        for (user, device) in self.users.iter().flat_map(|user| (0..self.devices).map(move |it| (user, it))) {
            let mut batches: Vec<Batch> =
                (0..self.batches).map(|number| self.batch(device, number)).collect();
            if device.is_multiple_of(3) {
                random.shuffle(&mut batches);
                lanes.extend(batches.into_iter().map(|batch| (user, vec![batch])));
            } else {
                lanes.push((user, batches));
            }
        }
        join_all(lanes.iter().map(async |(user, batches)| {
            for batch in batches {
                self.push_batch(world, user, batch).await;
            }
        }))
        .await;
    }

    async fn push_batch(&self, world: &World, user: &str, batch: &Batch) {
        eventually("the batch is committed", async || {
            let answer = world.push_until_committed(user, batch).await;
            // A gap is not yet the end: its predecessor is on its way, too.
            if answer.status != 409 {
                answer.expect(200);
            }
            (answer.status == 200).then_some(())
        })
        .await;
        self.committed.fetch_add(1, Ordering::Relaxed);
    }

    fn batch(&self, device: u64, number: u64) -> Batch {
        let first = number * self.batch_events + 1;
        workout_batch(&format!("phone-{device}"), first, first + self.batch_events - 1)
    }

    /// Waits until so many percent of the batches are committed.
    pub async fn reaches(&self, percent: u64) {
        let wanted = self.users.len() as u64 * self.devices * self.batches * percent / 100;
        eventually(&format!("{percent} % of the batches are committed"), async || {
            (self.committed.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
    }

    /// Asserts that every user's log holds every event, and that the read models are what the logs fold into.
    pub async fn assert_folded(&self, world: &World) {
        let events = self.devices * self.batches * self.batch_events;
        for user in &self.users {
            assert_eq!(world.head(user).await as u64, events, "the log of {user}");
            world.assert_read_model_is_right(user).await;
            let model = world.read_model(user).await.unwrap();
            assert_eq!(model.entities.len() as u64, ENTITIES, "the entities of {user}");
            assert!(!model.keys.is_empty(), "some entity of {user} is visible and has index keys");
        }
    }
}

/// The device's events `first..=last`, of all types.
pub fn workout_batch(device: &str, first: u64, last: u64) -> Batch {
    let mut batch = Batch::new(device, first, last);
    batch.lines = (first..=last).map(|sequence| event(device, sequence).0.to_string()).collect();
    batch
}

fn event(device: &str, sequence: u64) -> EventLine {
    let (event_type, payload) = action(sequence);
    EventLine::new(device, sequence)
        .with("entityId", format!("workout-{}", sequence % ENTITIES))
        .with("type", event_type)
        .with("payload", payload)
}

fn action(sequence: u64) -> (&'static str, Value) {
    let sport = ["running", "cycling", "rowing"][(sequence % 3) as usize];
    let created = |tags: Value| {
        ("WORKOUT_CREATED", json!({"name": format!("no. {sequence}"), "sport": sport, "tags": tags}))
    };
    match sequence % 7 {
        0 => ("TRACK_POINT_RECORDED", json!({"points": 1, "distance": sequence, "maxSpeed": 2.5})),
        1 => created(json!({"add": [sport, "outdoor"]})),
        2 => ("LAP_RECORDED", json!({"laps": 1})),
        3 => ("WORKOUT_DURATION_UPDATED", json!({"duration": sequence})),
        4 => ("WORKOUT_COMPLETED", json!({"calories": sequence})),
        5 => created(json!({"add": ["indoor"], "remove": [sport]})),
        _ if sequence.is_multiple_of(5) => ("WORKOUT_DELETED", json!({})),
        _ => ("LAP_RECORDED", json!({"laps": 2})),
    }
}
