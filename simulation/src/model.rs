//! The plain model: what was recorded, by whom, and what of it nobody may have forgotten.

use std::collections::{BTreeMap, BTreeSet};

use tidelog_events::id::EventId;

use crate::plan::PlannedEvent;

/// Everything that was recorded.
#[derive(Debug, Default)]
pub(crate) struct Model {
    recorded: BTreeMap<EventId, Recorded>,
    /// Events that a phone has forgotten after the server had them.
    at_server: BTreeSet<EventId>,
}

/// An event that was recorded.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    /// The how manieth it was.
    pub(crate) number: usize,
    /// On which phone.
    pub(crate) phone: usize,
    /// What the app asked for.
    pub(crate) planned: PlannedEvent,
}

impl Model {
    pub(crate) fn record(&mut self, id: EventId, phone: usize, planned: PlannedEvent) {
        let number = self.recorded.len();
        self.recorded.insert(id, Recorded { number, phone, planned });
    }

    pub(crate) fn get(&self, id: EventId) -> Option<&Recorded> {
        self.recorded.get(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.recorded.len()
    }

    /// Whether the server's schema takes the event.
    pub(crate) fn is_valid(&self, id: EventId) -> bool {
        self.get(id).is_some_and(|recorded| recorded.planned.is_valid)
    }

    pub(crate) fn invalid(&self) -> usize {
        self.recorded.values().filter(|recorded| !recorded.planned.is_valid).count()
    }

    /// A phone has forgotten events; those of them that the server has, it must keep.
    pub(crate) fn forgotten(&mut self, events: &BTreeSet<EventId>, at_server: &BTreeSet<EventId>) {
        self.at_server.extend(events.intersection(at_server));
    }

    /// The server has only these events from now on.
    pub(crate) fn server_restored(&mut self, at_server: &BTreeSet<EventId>) {
        self.at_server.retain(|id| at_server.contains(id));
    }

    /// What must be in the log or in quarantine at the end: what a phone holds, and what one had pushed and then
    /// forgot.
    pub(crate) fn must_be_kept<'h>(
        &self,
        held: impl Iterator<Item = &'h BTreeSet<EventId>>,
    ) -> BTreeSet<EventId> {
        held.flatten().copied().chain(self.at_server.iter().copied()).collect()
    }
}
