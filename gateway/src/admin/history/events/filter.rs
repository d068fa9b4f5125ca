//! Which events are asked for.

use std::ops::RangeInclusive;

use tidelog_events::id::{DeviceId, EntityId, Position, UserId};
use tidelog_events::limits::MAX_SAFE_INTEGER;
use tidelog_events::protocol::UtcTime;
use tidelog_events::stamp::Stamp;
use tidelog_store::quarantine::Quarantined;

use super::super::scan::{LineFacts, LoggedEvent};

/// What must hold for an event.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) event_type: Option<String>,
    pub(super) entity_id: Option<EntityId>,
    pub(super) device: Option<DeviceId>,
    pub(super) user: Option<UserId>,
    /// Where it stands in the log.
    pub(super) positions: RangeInclusive<Position>,
    /// The UTC milliseconds of its stamp, where these matter.
    pub(super) millis: Option<RangeInclusive<i64>>,
}

/// Any position.
pub(super) const EVERY_POSITION: RangeInclusive<Position> = Position(1)..=Position(MAX_SAFE_INTEGER);

impl Filter {
    /// Whether the event is asked for. Its position is another's to look at.
    pub(super) fn takes(&self, event: &LoggedEvent<'_>) -> bool {
        self.takes_origin(&event.batch.device_id, &event.batch.user_id)
            && (!self.reads_lines()
                || self.takes_line(&LineFacts::read(event.line.as_bytes()), event.batch.received_at))
    }

    /// Whether the quarantined event is asked for.
    pub(super) fn takes_quarantined(&self, event: &Quarantined, facts: &LineFacts) -> bool {
        self.takes_origin(&event.device, &event.user) && self.takes_line(facts, event.received_at)
    }

    pub(super) fn takes_origin(&self, device: &DeviceId, user: &UserId) -> bool {
        self.device.as_ref().is_none_or(|wanted| wanted == device)
            && self.user.as_ref().is_none_or(|wanted| wanted == user)
    }

    fn reads_lines(&self) -> bool {
        self.event_type.is_some() || self.entity_id.is_some() || self.millis.is_some()
    }

    pub(super) fn takes_line(&self, facts: &LineFacts, received_at: UtcTime) -> bool {
        self.event_type.as_ref().is_none_or(|wanted| facts.event_type.as_ref() == Some(wanted))
            && self.entity_id.as_ref().is_none_or(|id| facts.entity_id.as_deref() == Some(id.as_str()))
            && self.millis.as_ref().is_none_or(|wanted| wanted.contains(&millis_of(facts.stamp, received_at)))
    }
}

/// When an event was recorded; where its line does not say, when it was received.
fn millis_of(stamp: Option<Stamp>, received_at: UtcTime) -> i64 {
    stamp.map_or(received_at.0, Stamp::millis)
}

/// The stamp by which an event stands among others: its own, or where its line has none, that of its receipt.
pub(super) fn stamp_of(facts: &LineFacts, received_at: UtcTime) -> Stamp {
    let received = || Stamp::from_millis(received_at.0).unwrap_or(Stamp::MIN);
    facts.stamp.unwrap_or_else(received)
}
