//! A phone at the end, when everything is synced: the same state as everybody's, and every event where it belongs.

use std::collections::BTreeMap;

use tidelog_client::store::{EventState, EventStore, EventsQuery, OwnEvent, Query, SpaceStatus, StoreError};
use tidelog_events::fold::StateHash;
use tidelog_events::id::{EventId, SpaceId};
use tidelog_events::schema::Schema;

use super::culprit::compare_lines;
use super::replay::{Fields, Replay, view_key};
use crate::finding::{Culprit, Finding, Wrong};
use crate::model::Model;
use crate::naive::Views;
use crate::server::{LogEvent, ReadModel};

/// How a phone stands at the end.
pub(crate) struct PhoneEnding {
    number: usize,
    status: SpaceStatus,
    confirmed: Vec<String>,
    shown: Vec<String>,
    hash: StateHash,
    views: Views,
    own: Vec<OwnEvent>,
}

impl PhoneEnding {
    /// Asks its store.
    pub(crate) fn of(number: usize, store: &EventStore, space: &SpaceId) -> Result<Self, StoreError> {
        let mut views = Views::new();
        for entity_type in store.schema().entities().keys() {
            for entity in store.entities(space, &Query::all(entity_type.as_str()))? {
                let fields: Fields = entity.fields;
                views.insert(view_key(&entity.entity_type, entity.entity_id.as_str()), fields);
            }
        }
        Ok(Self {
            number,
            status: store.space(space)?,
            confirmed: store.confirmed_lines(space)?,
            shown: store.shown_lines(space)?,
            hash: store.state_hash(space)?,
            views,
            own: store.events(space, &EventsQuery::all())?,
        })
    }
}

/// What everybody must agree with.
pub(crate) struct Truth<'a> {
    pub(crate) log: &'a [LogEvent],
    pub(crate) replay: Replay,
    pub(crate) schema: &'a Schema,
    pub(crate) model: &'a Model,
    /// Whether a phone ever got a snapshot: then an echo may have come within that, and nobody knows its line.
    pub(crate) by_snapshot: bool,
}

/// Everything that is wrong with a phone.
pub(crate) fn check_phone(phone: &PhoneEnding, truth: &Truth<'_>) -> Vec<Finding> {
    let number = phone.number;
    let mut findings = Vec::new();
    let (SpaceStatus { pending, cursor, .. }, head) = (&phone.status, truth.log.len());
    if *pending > 0 || cursor.0 != head as u64 {
        let what = format!(
            "phone {number} has {pending} pending events and the cursor {cursor}, the head is {head}"
        );
        findings.push(Finding::new(Wrong::Stuck, what));
    }
    for (name, lines) in [("confirmed", &phone.confirmed), ("shown", &phone.shown)] {
        findings.extend(truth.compare(&format!("the {name} state of phone {number}"), lines));
    }
    let what_differs = [
        ("the state hash", phone.hash != truth.replay.hash),
        ("what is visible", phone.views != truth.replay.views),
    ];
    for (what, _) in what_differs.into_iter().filter(|(_, differs)| *differs) {
        let what = format!("{what} of phone {number} is not the replay's");
        findings.push(Finding::new(Wrong::Divergent, what));
    }
    let at: BTreeMap<EventId, &LogEvent> =
        truth.log.iter().filter_map(|event| Some((event.read()?.event_id, event))).collect();
    findings.extend(
        phone.own.iter().filter_map(|own| truth.check_own(number, own, at.get(&own.event_id).copied())),
    );
    findings
}

/// Everything that is wrong with the server's read model.
pub(crate) fn check_read_model(read_model: &ReadModel, truth: &Truth<'_>) -> Vec<Finding> {
    let lines = truth.compare("the read model", &read_model.lines);
    let what = "the state hash of the read model is not the replay's";
    let hash = (read_model.hash != truth.replay.hash).then(|| Finding::new(Wrong::Divergent, what));
    lines.into_iter().chain(hash).collect()
}

impl Truth<'_> {
    fn compare(&self, what: &str, lines: &[String]) -> Option<Finding> {
        if lines == self.replay.lines {
            return None;
        }
        let events: Vec<_> = self.log.iter().map(LogEvent::culprit).collect();
        compare_lines(what, &self.replay.lines, lines, &events, self.schema).err()
    }

    /// Whether an own event is listed as what became of it, and as the log has it.
    fn check_own(&self, number: usize, own: &OwnEvent, logged: Option<&LogEvent>) -> Option<Finding> {
        let what = match (&own.state, logged) {
            (EventState::Synced, Some(logged)) => {
                let is_same = logged.line == own.line && logged.device == own.device_id;
                if is_same || self.by_snapshot && own.position.is_none() {
                    return None;
                }
                format!("phone {number} has its own event otherwise than the log: {}", logged.line)
            }
            (EventState::Rejected { .. }, None) if !self.model.is_valid(own.event_id) => return None,
            (state, _) => format!("phone {number} lists an own event as {state:?}"),
        };
        let position = logged.map(|logged| logged.position);
        let culprit = Culprit { line: own.line.clone(), device: own.device_id.clone(), position };
        Some(Finding::of_event(Wrong::Divergent, what, culprit))
    }
}
