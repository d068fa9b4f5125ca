//! What the sender of a batch is told, event by event where an event was not simply accepted.

use std::collections::{BTreeMap, BTreeSet};

use tidelog_events::code::Refusal;
use tidelog_events::frame::SegmentHeader;
use tidelog_events::id::{DeviceId, EventId, Position, Sequence, SpaceId};
use tidelog_events::protocol::{Committed, DeviceMark, EventReceipt, EventStatus, Outcome, QuarantinedEvent};

use crate::batch::Contents;
use crate::decide::DeviceKey;

pub(super) fn refused(code: Refusal, detail: String, expected: Option<Sequence>) -> Outcome {
    Outcome::Refused { code, detail, expected }
}

pub(super) fn committed(
    head: Position,
    appended: Option<&SegmentHeader>,
    device: Option<DeviceMark>,
    receipts: Vec<EventReceipt>,
) -> Outcome {
    Outcome::Committed(Committed {
        head,
        first: appended.map(|header| header.first),
        last: appended.map(|header| header.last),
        device,
        receipts,
    })
}

/// The events before `new_from`: duplicates, and those of them that lie in quarantine answered so again.
pub(super) fn duplicates(
    contents: Option<&Contents>,
    new_from: Sequence,
    quarantined: &BTreeMap<Sequence, QuarantinedEvent>,
) -> Vec<EventReceipt> {
    let events = contents.map(|contents| contents.events.as_slice()).unwrap_or_default();
    events
        .iter()
        .filter(|event| event.sequence < new_from)
        .map(|event| match quarantined.get(&event.sequence) {
            Some(found) => self::quarantined(found, true),
            None => duplicate(Some(event.sequence), event.event_id),
        })
        .collect()
}

/// The events of a batch without sequences that the log, or quarantine, had already.
pub(super) fn single_duplicates(
    space: &SpaceId,
    contents: &Contents,
    new: &BTreeSet<Sequence>,
    quarantined: &BTreeMap<DeviceKey, BTreeMap<Sequence, QuarantinedEvent>>,
) -> Vec<EventReceipt> {
    let old = contents.events.iter().filter(|event| !new.contains(&event.sequence));
    old.map(|event| {
        let key = (space.clone(), DeviceId::of_event(event.event_id));
        match quarantined.get(&key).and_then(|theirs| theirs.get(&Sequence(1))) {
            Some(found) => self::quarantined(found, false),
            None => duplicate(None, event.event_id),
        }
    })
    .collect()
}

fn duplicate(device_sequence: Option<Sequence>, event_id: EventId) -> EventReceipt {
    EventReceipt { device_sequence, event_id, status: EventStatus::Duplicate, code: None, detail: None }
}

/// The receipt of an event in quarantine, with its sequence where the sender numbers its events.
pub(super) fn quarantined(event: &QuarantinedEvent, numbered: bool) -> EventReceipt {
    EventReceipt {
        device_sequence: numbered.then_some(event.device_sequence),
        event_id: event.event_id,
        status: EventStatus::Quarantined,
        code: Some(event.code),
        detail: Some(event.detail.clone()),
    }
}
