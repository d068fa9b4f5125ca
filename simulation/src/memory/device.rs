//! What a space has of one device: the watermark, and where each of its events went.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use tidelog_events::admit::{KnownIds, Mark};
use tidelog_events::id::{EventId, Position, Sequence};
use tidelog_events::limits::MAX_HELLO_QUARANTINED;
use tidelog_events::protocol::{
    DeviceEvent, DeviceMark, DeviceState, EventReceipt, EventStatus, QuarantinedEvent,
};

/// A device that has pushed.
#[derive(Clone)]
pub(super) struct Device {
    pub(super) mark: Mark,
    pub(super) events: BTreeMap<Sequence, Place>,
}

/// Where an event went.
#[derive(Clone)]
pub(super) enum Place {
    Log(EventId, Position),
    Quarantine(QuarantinedEvent),
}

impl Place {
    fn event_id(&self) -> EventId {
        match self {
            Self::Log(event_id, _) => *event_id,
            Self::Quarantine(event) => event.event_id,
        }
    }
}

impl Device {
    /// The ids that are still stored: what was pruned is a duplicate by its number alone.
    pub(super) fn known(&self, range: RangeInclusive<Sequence>, horizon: Position) -> KnownIds {
        let is_stored = |place: &Place| !matches!(place, Place::Log(_, position) if *position <= horizon);
        let stored = self.events.range(range).filter(|(_, place)| is_stored(place));
        stored.map(|(sequence, place)| (*sequence, place.event_id())).collect()
    }

    /// The watermark as a push answer tells it.
    pub(super) fn told_mark(&self) -> DeviceMark {
        DeviceMark { last_sequence: self.mark.sequence, last_event_id: self.mark.event_id }
    }

    /// The receipt of an event that came again.
    pub(super) fn receipt_of_duplicate(&self, sequence: Sequence, event_id: EventId) -> EventReceipt {
        match self.events.get(&sequence) {
            Some(Place::Quarantine(event)) => receipt_of_quarantined(event),
            _ => EventReceipt {
                device_sequence: Some(sequence),
                event_id,
                status: EventStatus::Duplicate,
                code: None,
                detail: None,
            },
        }
    }

    /// Its quarantined events, from a sequence on.
    pub(super) fn quarantined_from(
        &self,
        sequence: Sequence,
    ) -> impl DoubleEndedIterator<Item = &QuarantinedEvent> {
        self.events.range(sequence..).filter_map(|(_, place)| match place {
            Place::Quarantine(event) => Some(event),
            Place::Log(..) => None,
        })
    }

    /// What a hello tells the device.
    pub(super) fn state(&self) -> DeviceState {
        let latest_first = || self.quarantined_from(Sequence::ZERO).rev();
        DeviceState {
            last_sequence: self.mark.sequence,
            last_event_id: Some(self.mark.event_id),
            quarantined: latest_first().take(MAX_HELLO_QUARANTINED).cloned().collect(),
            more_quarantined: latest_first().nth(MAX_HELLO_QUARANTINED).is_some(),
        }
    }

    /// What became of a range of its sequences.
    pub(super) fn events(&self, range: RangeInclusive<Sequence>) -> Vec<DeviceEvent> {
        let event = |(sequence, place): (&Sequence, &Place)| {
            let (position, quarantined) = match place {
                Place::Log(_, position) => (Some(*position), None),
                Place::Quarantine(event) => (None, Some(event.code)),
            };
            DeviceEvent { device_sequence: *sequence, event_id: place.event_id(), position, quarantined }
        };
        self.events.range(range).map(event).collect()
    }

    /// Its last sequence in the log.
    pub(super) fn last_in_log(&self) -> Option<Sequence> {
        let mut latest_first = self.events.iter().rev();
        latest_first.find(|(_, place)| matches!(place, Place::Log(..))).map(|(sequence, _)| *sequence)
    }
}

/// The receipt of an event that lies in quarantine.
pub(super) fn receipt_of_quarantined(event: &QuarantinedEvent) -> EventReceipt {
    EventReceipt {
        device_sequence: Some(event.device_sequence),
        event_id: event.event_id,
        status: EventStatus::Quarantined,
        code: Some(event.code),
        detail: Some(event.detail.clone()),
    }
}
