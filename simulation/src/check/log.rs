//! The log and the quarantine against the model: everything once, nothing lost, nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidelog_events::event::Event;
use tidelog_events::id::{EventId, Position};

use crate::finding::{Culprit, Finding, Wrong};
use crate::model::{Model, Recorded};
use crate::server::{LogEvent, QuarantinedAt};

/// How the server stands at the end.
pub(crate) struct Ending<'a> {
    pub(crate) model: &'a Model,
    /// The events that must be in the log or in quarantine.
    pub(crate) kept: BTreeSet<EventId>,
    pub(crate) log: Vec<LogEvent>,
    pub(crate) quarantine: Vec<QuarantinedAt>,
}

/// The log as it was read last, and where its events are.
#[derive(Debug, Default)]
pub(crate) struct Logged {
    pub(crate) events: Vec<LogEvent>,
    pub(crate) positions: BTreeMap<EventId, Position>,
}

impl Logged {
    /// Takes over the log as it is now.
    ///
    /// # Errors
    /// When it is not what it was, with more behind that; and the server was not restored.
    pub(crate) fn update(&mut self, log: Vec<LogEvent>) -> Result<(), Finding> {
        let known = self.events.len();
        if let Some(changed) =
            self.events.iter().enumerate().find(|(index, event)| log.get(*index) != Some(event))
        {
            let what = "an event of the log is not there any more, or has changed";
            return Err(Finding::of_event(Wrong::Divergent, what, changed.1.culprit()));
        }
        let new = log[known..].iter();
        self.positions.extend(new.filter_map(|event| Some((event.read()?.event_id, event.position))));
        self.events = log;
        Ok(())
    }
}

/// Everything that is wrong with the log and the quarantine.
pub(crate) fn check_log(ending: &Ending<'_>) -> Vec<Finding> {
    let mut findings = gaps(&ending.log);
    let mut logged = BTreeSet::new();
    for event in &ending.log {
        findings.extend(check_event(event, &mut logged, ending.model));
    }
    let mut quarantined = BTreeSet::new();
    for event in &ending.quarantine {
        let id = event.event_id;
        let wrong = |wrong, what: &str| Finding::new(wrong, format!("quarantine: {id} {what}"));
        match ending.model.get(id) {
            None => findings.push(wrong(Wrong::Divergent, "was never recorded")),
            Some(Recorded { planned, .. }) if planned.is_valid => {
                findings.push(wrong(Wrong::Divergent, &format!("is a good event, but {}", event.code)));
            }
            Some(_) if !quarantined.insert(id) => findings.push(wrong(Wrong::Twice, "is there twice")),
            Some(_) => {}
        }
    }
    findings.extend(ending.kept.iter().filter_map(|id| {
        let recorded = ending.model.get(*id)?;
        let (is_there, place) = if recorded.planned.is_valid {
            (logged.contains(id), "the log")
        } else {
            (quarantined.contains(id), "quarantine")
        };
        (!is_there).then(|| Finding::new(Wrong::Lost, format!("{} is not in {place}", told(*id, recorded))))
    }));
    findings
}

fn told(id: EventId, recorded: &Recorded) -> String {
    let Recorded { number, phone, planned } = recorded;
    format!(
        "event {id} ({} about {}, payload {}; number {number}, recorded on phone {phone})",
        planned.event_type, planned.entity_id, planned.payload
    )
}

fn gaps(log: &[LogEvent]) -> Vec<Finding> {
    let numbered = (1..).map(Position).zip(log);
    let wrong = numbered.filter(|(expected, event)| event.position != *expected).map(|(expected, event)| {
        let what = format!("position {expected} of the log is numbered {}", event.position);
        Finding::of_event(Wrong::Disordered, what, event.culprit())
    });
    wrong.take(1).collect()
}

/// Whether an event of the log is one that was recorded, is good, is there for the first time, and says what was
/// recorded. Its stamp and its number may have changed since.
fn check_event(event: &LogEvent, logged: &mut BTreeSet<EventId>, model: &Model) -> Option<Finding> {
    let wrong = |wrong, what: &str| {
        Some(Finding::of_event(wrong, format!("the log has an event that {what}"), event.culprit()))
    };
    let Some(read) = event.read() else { return wrong(Wrong::Divergent, "cannot be read") };
    let Some(recorded) = model.get(read.event_id) else {
        return wrong(Wrong::Divergent, "was never recorded");
    };
    if !logged.insert(read.event_id) {
        return wrong(Wrong::Twice, "it has already");
    }
    let planned = &recorded.planned;
    let payload: Option<Value> = read.payload.and_then(|payload| serde_json::from_str(payload.get()).ok());
    let is_same = read.event_type == planned.event_type
        && read.entity_id.as_str() == planned.entity_id
        && payload.as_ref() == Some(&planned.payload);
    if !planned.is_valid {
        wrong(Wrong::Divergent, "belongs in quarantine")
    } else if is_same {
        None
    } else {
        wrong(Wrong::Divergent, "is not what was recorded")
    }
}

impl LogEvent {
    /// The event; `None` for a line that is none.
    pub(crate) fn read(&self) -> Option<Event<'_>> {
        serde_json::from_str(&self.line).ok()
    }

    /// The event as somebody's fault.
    pub(crate) fn culprit(&self) -> Culprit {
        Culprit { line: self.line.clone(), device: self.device.clone(), position: Some(self.position) }
    }
}
