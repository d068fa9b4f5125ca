//! What is seen as text for people, and as JSON.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tidelog_events::code::Fault;
use tidelog_events::event::Event;
use tidelog_events::id::{DeviceId, Position, SpaceId};

use super::{NextBatch, QueueStanding, SeenEvent, Sight, Standing};
use crate::store::{EventState, OwnEvent};

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => event.fmt(f),
            Self::Space(standing) => standing.fmt(f),
        }
    }
}

impl SeenEvent {
    fn read(&self) -> Option<Event<'_>> {
        serde_json::from_str(&self.event.line).ok()
    }
}

impl fmt::Display for SeenEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = &self.event;
        // Two columns each: a terminal gives the third mark only one.
        let mark = match event.state {
            EventState::Synced => "✅",
            EventState::Pending => "⏳",
            EventState::Rejected { .. } => "⚠ ",
        };
        write!(
            f,
            "{mark} {}  {} #{}  {}  {} {}",
            event.timestamp,
            printable(event.device_id.as_str()),
            event.device_sequence,
            printable(&event.event_type),
            printable(&event.entity_type),
            printable(event.entity_id.as_str()),
        )?;
        if let Some(payload) = self.read().and_then(|event| event.payload) {
            write!(f, "  {}", printable(RawValue::get(payload)))?;
        }
        if let EventState::Rejected { code, detail } = &event.state {
            write!(f, "  {}: {}", code.map_or("quarantined", Fault::as_str), printable(detail))?;
        }
        Ok(())
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recorded, pending, quarantined, cursor, head, .. } = self;
        let space = printable(self.space.as_str());
        write!(f, "space {space}: {recorded} recorded, {pending} pending, {quarantined} quarantined")?;
        if !f.alternate() {
            return write!(f, "; cursor {cursor} of {head}; clock {}", self.clock);
        }
        write!(f, "\n   clock   {}\n   cursor  {cursor} of {head}", self.clock)?;
        if let Some(epoch) = self.epoch {
            write!(f, ", epoch {}", epoch.0)?;
        }
        match self.last_synced_at {
            Some(at) => write!(f, ", all synced at {at}")?,
            None => write!(f, ", never all synced")?,
        }
        if self.refetching {
            write!(f, ", to be fetched anew")?;
        }
        for queue in &self.queues {
            write!(f, "\n   queue   {queue}")?;
        }
        Ok(())
    }
}

impl fmt::Display for QueueStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = printable(self.device_id.as_str());
        write!(f, "{device}: #{} recorded, #{} confirmed", self.last_sequence, self.watermark)?;
        write!(f, ", {} pending", self.pending)?;
        if let Some(NextBatch { first, last, bytes }) = &self.next_batch {
            write!(f, ", next batch #{first} to #{last}, {bytes} bytes")?;
        }
        if self.forked {
            write!(f, ", forked")?;
        }
        if !self.recording {
            write!(f, ", records no more")?;
        }
        Ok(())
    }
}

impl Serialize for SeenEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape<'a> {
            space: &'a SpaceId,
            device_id: &'a DeviceId,
            state: &'static str,
            code: Option<Fault>,
            detail: Option<&'a str>,
            position: Option<Position>,
            entity_type: &'a str,
            event: Option<Event<'a>>,
        }
        let (state, code, detail) = match &self.event.state {
            EventState::Pending => ("pending", None, None),
            EventState::Synced => ("synced", None, None),
            EventState::Rejected { code, detail } => ("quarantined", *code, Some(detail.as_str())),
        };
        let OwnEvent { device_id, position, entity_type, .. } = &self.event;
        let (space, event, position) = (&self.space, self.read(), *position);
        Shape { space, device_id, state, code, detail, position, entity_type, event }.serialize(serializer)
    }
}

/// What devices wrote must not steer the reader's terminal: control characters are escaped.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() { shown.extend(character.escape_unicode()) } else { shown.push(character) }
    }
    shown
}
