//! What a log must hold after any trouble: exactly the events that devices pushed, each once, in each device's
//! order, at positions without gaps.

use std::collections::BTreeMap;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::batch::event_id;
use crate::poll::eventually;
use crate::world::World;

/// Events of one pull; several pulls make a log.
const PAGE: usize = 1000;

/// What devices pushed to one user's space: of each device the valid events `1..=last`.
#[derive(Debug, Clone, Default)]
pub struct History {
    last_sequences: BTreeMap<String, u64>,
}

impl History {
    /// Of these devices, each with its last sequence.
    pub fn of<D: Into<String>>(devices: impl IntoIterator<Item = (D, u64)>) -> Self {
        Self { last_sequences: devices.into_iter().map(|(device, last)| (device.into(), last)).collect() }
    }

    /// Events of all devices together.
    pub fn events(&self) -> u64 {
        self.last_sequences.values().sum()
    }

    /// Pulls the user's whole log and asserts that it holds this history and nothing else.
    ///
    /// # Panics
    /// When an event is missing, comes twice, is not as it was pushed, or stands in the wrong place.
    pub async fn assert_is_log_of(&self, world: &World, user: &str) {
        let log = read(world, user).await;
        let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
        for (position, event) in (1_u64..).zip(&log) {
            assert_eq!(event["position"], position, "positions of {user} are gapless");
            let device = event["deviceId"].as_str().unwrap_or_default();
            let sequence = seen.entry(device).or_default();
            *sequence += 1;
            assert_eq!(event["deviceSequence"], *sequence, "the next event of {device} at {position}");
            assert_eq!(event["eventId"], json!(event_id(device, *sequence)), "at {position}");
            assert_eq!(event["userId"], user, "at {position}");
        }
        let expected = self.last_sequences.iter().map(|(device, last)| (device.as_str(), *last));
        assert_eq!(seen, expected.collect(), "the events of each device of {user}");
    }
}

/// The whole log, page by page; a server that has just come back may refuse some pulls.
async fn read(world: &World, user: &str) -> Vec<Value> {
    let mut log: Vec<Value> = Vec::new();
    loop {
        let query = format!("after={}&limit={PAGE}", log.len());
        let page = eventually("the log can be pulled", async || {
            let page = world.pull(user, &query).await;
            (page.status != StatusCode::SERVICE_UNAVAILABLE).then_some(page)
        })
        .await;
        page.expect(200);
        log.extend(page.json["events"].as_array().expect("events").iter().cloned());
        if page.json["more"] == false {
            return log;
        }
    }
}
