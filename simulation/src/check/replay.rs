//! An independent replay of a log: its events in any order and any grouping, and a plain fold beside that.

use std::sync::Arc;

use serde_json::{Map, Value};
use tidelog_events::fold::{Change, DamagedLine, State, StateHash};
use tidelog_events::schema::Schema;

use crate::finding::{Finding, Wrong};
use crate::naive::{self, Views};
use crate::server::LogEvent;

/// What a log amounts to.
pub(crate) struct Replay {
    /// The entity lines.
    pub(crate) lines: Vec<String>,
    /// Their hash.
    pub(crate) hash: StateHash,
    /// The visible entities.
    pub(crate) views: Views,
}

impl Replay {
    /// Folds the log in shuffled groups, which are merged; every other one went through its entity lines before.
    pub(crate) fn of(
        log: &[LogEvent],
        schema: &Schema,
        rng: &mut fastrand::Rng,
    ) -> Result<Self, DamagedLine> {
        let mut shuffled: Vec<&LogEvent> = log.iter().collect();
        rng.shuffle(&mut shuffled);
        let mut whole = State::default();
        let mut rest = &shuffled[..];
        while !rest.is_empty() {
            let (group, others) = rest.split_at(rng.usize(1..=rest.len()));
            let state = fold(group, schema);
            let state = if rng.bool() {
                state
            } else {
                let lines: Vec<String> = state.lines().collect();
                State::from_lines(lines.iter().map(String::as_str), schema)?
            };
            whole.merge(state, schema);
            rest = others;
        }
        let hash = whole.hash().clone();
        Ok(Self { lines: whole.lines().collect(), hash, views: views(&whole) })
    }

    /// Whether the plain fold sees the same.
    pub(crate) fn check_plainly(&self, log: &[LogEvent], schema: &Schema) -> Option<Finding> {
        let plain = naive::views(schema, log.iter().map(|event| (&event.device, event.line.as_str())));
        (plain != self.views).then(|| {
            let what = format!("a plain fold sees {plain:?}, the replay {:?}", self.views);
            Finding::new(Wrong::Divergent, what)
        })
    }
}

fn fold(events: &[&LogEvent], schema: &Schema) -> State {
    let mut state = State::default();
    for event in events {
        if let Ok(change) = Change::read(&event.line, &Arc::new(event.device.clone()), schema) {
            state.apply(change);
        }
    }
    state
}

fn views(state: &State) -> Views {
    let visible = state.entities().iter().filter(|(_, entity)| entity.is_visible());
    visible.map(|(key, entity)| (view_key(&key.entity_type, key.entity_id.as_str()), entity.view())).collect()
}

/// How views are keyed.
pub(super) fn view_key(entity_type: &str, entity_id: &str) -> (String, String) {
    (entity_type.to_owned(), entity_id.to_owned())
}

/// An entity's fields.
pub(super) type Fields = Map<String, Value>;
