//! A space as its readers see it, to be held against how they see it when it was pruned.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row;
use tidelog_events::fold::{Change, State};
use tidelog_events::id::DeviceId;
use tidelog_events::schema::Schema;
use tidelog_tests::{Answer, ReadModel, World};

use super::archived::{Event, archived};

/// What is there of a space.
pub struct Seen {
    space: String,
    /// Rows of the read model: lines, views, keys, hash.
    pub model: ReadModel,
    /// What `GET entities` answers.
    entities: Vec<Value>,
    /// Every event, by position.
    pub events: Vec<Event>,
}

impl Seen {
    /// The space as it is, folded through its head.
    pub async fn of(world: &World, space: &str) -> Self {
        world.assert_read_model_is_right(space).await;
        Self {
            space: space.to_owned(),
            model: world.read_model(space).await.unwrap(),
            entities: entities(world, space).await,
            events: events(world, space).await,
        }
    }

    /// Asserts that nothing of it has changed now that it is pruned through `horizon`, and that archive, snapshot and log
    /// hold what they must.
    pub async fn assert_same_pruned_through(&self, world: &World, horizon: u64) {
        let Self { space, events, .. } = self;
        assert_eq!(world.read_model(space).await.as_ref(), Some(&self.model));
        assert_eq!(entities(world, space).await, self.entities);
        let (pruned, left) = events.split_at(horizon as usize);
        assert_eq!(archived(world, space).await.0, pruned, "what is archived");
        assert_eq!(
            stored_range(world, space).await,
            left.first().map(|first| (first.0, events.len() as u64))
        );
        self.assert_a_fresh_reader_gets_it(world, horizon).await;
        world.assert_read_model_is_right(space).await;
    }

    /// Asserts that who has nothing gets the snapshot at the horizon, with what is pruned folded, and the rest.
    async fn assert_a_fresh_reader_gets_it(&self, world: &World, horizon: u64) {
        let (pruned, left) = self.events.split_at(horizon as usize);
        let pulled = world.pull_frames(&self.space, "after=0&limit=10000").await;
        let (header, lines) = pulled.snapshot.as_ref().unwrap();
        let folded = folded(world, pruned);
        assert_eq!((header.through.0, pulled.hello.horizon.0), (horizon, horizon));
        assert!(lines.iter().eq(&folded.lines().collect::<Vec<_>>()), "the snapshot's lines");
        assert_eq!(json!(header.state_hash), json!(folded.clone().hash()));
        assert_eq!(json!(header.devices), json!(last_sequences(pruned)));
        let tail: Vec<_> = left.iter().map(|(position, _, line)| (*position, line.clone())).collect();
        assert_eq!(pulled.events, tail, "the log behind the snapshot");
        assert_eq!(pulled.cursor, self.events.len() as u64);
    }
}

/// What events fold to, in memory.
pub fn folded(world: &World, events: &[Event]) -> State {
    let schema = Schema::parse(&std::fs::read_to_string(&world.schema_file).unwrap()).unwrap();
    let mut state = State::default();
    for (_, device, line) in events {
        let device = Arc::new(DeviceId::new(device.as_str()).unwrap());
        state.apply(Change::read(line, &device, &schema).unwrap());
    }
    state
}

/// The last sequence of each device that numbers its events.
fn last_sequences(events: &[Event]) -> BTreeMap<&str, u64> {
    let mut last = BTreeMap::new();
    for (_, device, line) in events.iter().filter(|(_, device, _)| !device.starts_with("event:")) {
        let line: Value = serde_json::from_str(line).unwrap();
        let sequence: &mut u64 = last.entry(device.as_str()).or_default();
        *sequence = line["deviceSequence"].as_u64().unwrap().max(*sequence);
    }
    last
}

/// Every event that the space ever had, by position, from archive and log.
async fn events(world: &World, space: &str) -> Vec<Event> {
    let events = world.every_event(space).await;
    events.into_iter().map(|event| (event.position.0, event.device.to_string(), event.line)).collect()
}

/// All visible entities of all types, as readers get them.
pub async fn entities(world: &World, user: &str) -> Vec<Value> {
    let mut items = Vec::new();
    for entity_type in ["thing", "other"] {
        let mut from = String::new();
        loop {
            let path = format!("/v1/spaces/me/entities/{entity_type}?limit=1000{from}");
            let page = Answer::of(world.request(Method::GET, &path, user)).await;
            items.extend(page.expect(200).json["items"].as_array().unwrap().iter().cloned());
            let Some(next) = page.json["next"].as_str() else { break };
            from = format!("&cursor={next}");
        }
    }
    items
}

/// The positions that the stored segments hold, first and last, without a gap; none where there are no segments.
async fn stored_range(world: &World, space: &str) -> Option<(u64, u64)> {
    let rows = sqlx::query("SELECT first, last FROM segments WHERE space_id = $1 ORDER BY last").bind(space);
    let rows = rows.fetch_all(&world.pool).await.unwrap();
    let mut range: Option<(u64, u64)> = None;
    for row in &rows {
        let (first, last) = (row.get::<i64, _>("first") as u64, row.get::<i64, _>("last") as u64);
        let begin = range.map_or(first, |(begin, end)| {
            assert_eq!(end + 1, first, "segments follow each other");
            begin
        });
        range = Some((begin, last));
    }
    range
}
