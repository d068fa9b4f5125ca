//! Who is present in a space: told by gateways to each other while somebody listens, kept nowhere, and forgotten when it is
//! not told again in time.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidelog_events::frame::SPACE_HEADER;
use tidelog_events::id::SpaceId;
use tidelog_events::live::Presence;
use tidelog_runtime::broker::Broker;
use tokio::time::Instant;

/// A presence that was not told again for so many sweeps is over: its gateway is gone.
const SWEEPS: u32 = 3;
/// Presences of a space that are known, at most.
const PRESENT_MAX: usize = 200;

/// What gateways tell each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum PresenceHint {
    /// Somebody is here; with a state of null: is here no more. Of two from one connection the greater number is the later one.
    Here { presence: Presence, number: u64 },
    /// Who is here?
    Ask {},
}

impl PresenceHint {
    /// Tells the gateways that listen to the space.
    pub(super) async fn publish(&self, broker: &Broker, space: &SpaceId) {
        let mut headers = HeaderMap::new();
        headers.insert(SPACE_HEADER, space.as_str());
        match serde_json::to_vec(self) {
            Ok(hint) => {
                let subject = broker.subjects().presence(space.slot());
                broker.publish_hint(subject, headers, hint.into()).await;
            }
            Err(error) => tracing::error!(%error, "a presence cannot be written"),
        }
    }
}

/// Who is present in one space, by connection. Who has left stays known for a while: what was told before may come after.
#[derive(Debug)]
pub(super) struct Present {
    by_connection: BTreeMap<String, Told>,
    told_for: Duration,
}

#[derive(Debug)]
struct Told {
    presence: Presence,
    number: u64,
    until: Instant,
}

impl Present {
    /// What is told again with each sweep.
    pub(super) fn new(sweep_every: Duration) -> Self {
        Self { by_connection: BTreeMap::new(), told_for: SWEEPS * sweep_every }
    }

    /// Takes in what was told; true if it is news.
    pub(super) fn told(&mut self, presence: &Presence, number: u64, now: Instant) -> bool {
        let known = self.by_connection.get(&presence.connection);
        let is_old = known.is_some_and(|known| known.number > number);
        if is_old || (known.is_none() && self.by_connection.len() >= PRESENT_MAX) {
            return false;
        }
        let shown = known.map_or(&Value::Null, |known| &known.presence.state);
        let is_news = *shown != presence.state;
        let told = Told { presence: presence.clone(), number, until: now + self.told_for };
        self.by_connection.insert(presence.connection.clone(), told);
        is_news
    }

    /// Forgets who was not told again in time, and says so of those who were here.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Presence> {
        let mut gone = Vec::new();
        self.by_connection.retain(|_, told| {
            let stays = told.until > now;
            if !stays && !told.presence.state.is_null() {
                gone.push(Presence { state: Value::Null, ..told.presence.clone() });
            }
            stays
        });
        gone
    }

    /// Everyone.
    pub(super) fn all(&self) -> Vec<Presence> {
        let told = self.by_connection.values().map(|told| &told.presence);
        told.filter(|presence| !presence.state.is_null()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidelog_events::id::UserId;

    use super::*;

    fn presence(connection: &str, state: Value) -> Presence {
        let user_id = UserId::new("ann").unwrap();
        Presence { connection: connection.to_owned(), user_id, device_id: None, state }
    }

    const EVERY: Duration = Duration::from_secs(30);

    #[test]
    fn only_what_changes_is_news() {
        let (mut present, now) = (Present::new(EVERY), Instant::now());
        assert!(!present.told(&presence("a", Value::Null), 1, now), "never was here");
        assert!(present.told(&presence("a", json!("typing")), 2, now));
        assert!(!present.told(&presence("a", json!("typing")), 2, now), "told again");
        assert!(present.told(&presence("a", json!("away")), 3, now));
        assert_eq!(present.all(), [presence("a", json!("away"))]);
        assert!(present.told(&presence("a", Value::Null), 4, now));
        assert!(!present.told(&presence("a", json!("typing")), 2, now), "told before, and late");
        assert_eq!(present.all(), []);
    }

    #[test]
    fn who_is_not_told_again_is_forgotten() {
        let (mut present, now) = (Present::new(EVERY), Instant::now());
        present.told(&presence("a", json!(1)), 1, now);
        present.told(&presence("b", json!(1)), 1, now + 2 * EVERY);
        present.told(&presence("c", json!(1)), 1, now);
        present.told(&presence("c", Value::Null), 2, now);
        assert_eq!(present.expire(now + EVERY), []);
        assert_eq!(present.expire(now + 3 * EVERY), [presence("a", Value::Null)]);
        assert_eq!(present.all(), [presence("b", json!(1))]);
    }

    #[test]
    fn a_space_has_a_bounded_number_of_presences() {
        let (mut present, now) = (Present::new(EVERY), Instant::now());
        for number in 0..PRESENT_MAX {
            assert!(present.told(&presence(&number.to_string(), json!(1)), 1, now));
        }
        assert!(!present.told(&presence("one more", json!(1)), 1, now));
        assert!(present.told(&presence("0", json!(2)), 2, now), "those that are known may change");
    }
}
