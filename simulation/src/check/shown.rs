//! What a phone shows at any time: the log through its cursor, and what it has recorded that is not in there. It is
//! looked at after every step, since the end forgives: what was wrong for a while is right again by then.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidelog_client::store::{EventState, EventStore, EventsQuery, StoreError};
use tidelog_events::fold::{Change, State};
use tidelog_events::id::{Epoch, EventId, Position, SpaceId};
use tidelog_events::schema::Schema;

use super::culprit::compare_lines;
use super::log::Logged;
use crate::finding::{Culprit, Finding, Wrong};
use crate::model::Model;
use crate::server::LogEvent;

/// The log folded through a phone's cursor, kept from look to look.
#[derive(Default)]
pub(crate) struct Shadow {
    epoch: Option<Epoch>,
    cursor: usize,
    state: State,
}

impl Shadow {
    fn follow(&mut self, epoch: Option<Epoch>, cursor: usize, log: &[LogEvent], schema: &Schema) -> &State {
        if self.epoch != epoch || cursor < self.cursor {
            *self = Self { epoch, ..Self::default() };
        }
        for event in &log[self.cursor..cursor] {
            if let Ok(change) = Change::read(&event.line, &Arc::new(event.device.clone()), schema) {
                self.state.apply(change);
            }
        }
        self.cursor = cursor;
        &self.state
    }
}

/// What a phone's state is compared with.
pub(crate) struct Showing<'a> {
    pub(crate) space: &'a SpaceId,
    /// The phone's schema, as it should be.
    pub(crate) schema: &'a Schema,
    pub(crate) model: &'a Model,
    /// The log.
    pub(crate) log: &'a Logged,
    /// Its incarnation; `None` where that is not known just now.
    pub(crate) epoch: Option<Epoch>,
    /// The events that the phone must hold.
    pub(crate) held: &'a BTreeSet<EventId>,
}

/// Whether the phone shows what it must; `false` where that cannot be said, since it reads an older incarnation of
/// the log.
pub(crate) fn check_shown(
    store: &EventStore,
    shadow: &mut Shadow,
    showing: &Showing<'_>,
) -> Result<Result<bool, Finding>, StoreError> {
    let status = store.space(showing.space)?;
    let is_new = status.cursor == Position::ZERO && status.epoch.is_none();
    if status.refetching || !is_new && (status.epoch.is_none() || showing.epoch != status.epoch) {
        return Ok(Ok(false));
    }
    let cursor = status.cursor.0 as usize;
    if cursor > showing.log.events.len() {
        let what = format!("a phone's cursor {cursor} lies beyond the head {}", showing.log.events.len());
        return Ok(Err(Finding::new(Wrong::Divergent, what)));
    }
    let overlay = match overlay(store, status.cursor, showing)? {
        Ok(overlay) => overlay,
        Err(finding) => return Ok(Err(finding)),
    };
    let mut expected = shadow.follow(status.epoch, cursor, &showing.log.events, showing.schema).clone();
    for event in &overlay {
        if let Ok(change) = Change::read(&event.line, &Arc::new(event.device.clone()), showing.schema) {
            expected.apply(change);
        }
    }
    let (expected, found): (Vec<_>, _) = (expected.lines().collect(), store.shown_lines(showing.space)?);
    if expected == found {
        return Ok(Ok(true));
    }
    let logged = showing.log.events[..cursor].iter().map(LogEvent::culprit);
    let events: Vec<_> = logged.chain(overlay).collect();
    let what = "a phone does not show the log through its cursor and its own events";
    Ok(compare_lines(what, &expected, &found, &events, showing.schema).map(|()| true))
}

/// The phone's events that the log through its cursor does not have, as the phone has them.
fn overlay(
    store: &EventStore,
    cursor: Position,
    showing: &Showing<'_>,
) -> Result<Result<Vec<Culprit>, Finding>, StoreError> {
    let is_behind = |id: &&EventId| showing.log.positions.get(*id).is_none_or(|position| *position > cursor);
    let mut missing: BTreeSet<EventId> = showing.held.iter().filter(is_behind).copied().collect();
    let mut overlay = Vec::new();
    // Most that the log does not have is pending; what is synced is looked through only for the rest.
    for query in [EventsQuery::pending(), EventsQuery::rejected(), EventsQuery::synced()] {
        if missing.is_empty() {
            break;
        }
        for event in store.events(showing.space, &query)? {
            if !missing.remove(&event.event_id) {
                continue;
            }
            let is_rejected = matches!(event.state, EventState::Rejected { .. });
            let culprit = Culprit { line: event.line, device: event.device_id, position: None };
            if is_rejected && showing.model.is_valid(event.event_id) {
                let what = "a phone holds a good event to be rejected";
                return Ok(Err(Finding::of_event(Wrong::Divergent, what, culprit)));
            }
            if !is_rejected {
                overlay.push(culprit);
            }
        }
    }
    // What had folded away is in the log, though not through the cursor of a phone that fetches it anew.
    let forgotten = missing.iter().find(|id| !showing.log.positions.contains_key(*id));
    Ok(match forgotten {
        Some(id) => Err(Finding::new(Wrong::Store, format!("a phone has forgotten its event {id}"))),
        None => Ok(overlay),
    })
}
