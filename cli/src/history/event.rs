//! One event of a space's history, as a line for people or as JSON.

use std::borrow::Cow;
use std::io::Write;

use anyhow::{Context, Result};
use owo_colors::Style;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidelog_archive::Source;
use tidelog_client::inspect::printable;
use tidelog_events::frame::SegmentBatch;
use tidelog_events::id::{DeviceId, Position, Sequence, UserId};
use tidelog_events::protocol::UtcTime;

use crate::terminal::styled;

/// What is shown of an event line.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventLine<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) event_type: Cow<'a, str>,
    #[serde(borrow)]
    entity_id: Cow<'a, str>,
    /// A stamp or a number, as the device wrote it.
    #[serde(borrow)]
    timestamp: &'a RawValue,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

impl<'a> EventLine<'a> {
    pub(super) fn parse(line: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(line)
    }
}

/// An event, and where it stands.
pub(super) struct Event<'a> {
    pub(super) position: Position,
    pub(super) source: Source,
    pub(super) batch: &'a SegmentBatch,
    pub(super) line: &'a str,
    pub(super) content: EventLine<'a>,
}

/// What stands in JSON before the event's own keys.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Origin<'a> {
    position: Position,
    source: &'static str,
    device_id: &'a DeviceId,
    user_id: &'a UserId,
    received_at: UtcTime,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    released: bool,
    /// Written only where the line has none: such an event is a device of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_sequence: Option<Sequence>,
}

impl Event<'_> {
    fn source(&self) -> &'static str {
        match self.source {
            Source::Archive => "archive",
            Source::Log => "log",
        }
    }

    /// Appends one object, as a pull has it: where it stands, then the event's own keys as they stand in its line.
    pub(super) fn append_json(&self, text: &mut Vec<u8>) -> Result<()> {
        let is_own_device = self.batch.device_id.as_str().starts_with(DeviceId::EVENT_PREFIX);
        let origin = Origin {
            position: self.position,
            source: self.source(),
            device_id: &self.batch.device_id,
            user_id: &self.batch.user_id,
            received_at: self.batch.received_at,
            released: self.batch.released,
            device_sequence: is_own_device.then_some(Sequence(1)),
        };
        serde_json::to_writer(&mut *text, &origin)?;
        text.pop();
        text.push(b',');
        let own = self.line.trim().strip_prefix('{').context("an event line is no object")?;
        text.extend_from_slice(own.as_bytes());
        text.push(b'\n');
        Ok(())
    }

    /// Appends a line for people.
    pub(super) fn append_line(&self, text: &mut Vec<u8>, colours: bool) {
        let EventLine { event_type, entity_id, timestamp, payload } = &self.content;
        let (batch, dimmed) = (self.batch, Style::new().dimmed());
        let stamp = timestamp.get().trim_matches('"');
        let _ = writeln!(
            text,
            "{:>8}  {:<7}  {}  {}  {}  {}  {}  {}  {}{}",
            format!("#{}", self.position),
            self.source(),
            styled(&format!("received {}", batch.received_at), dimmed, colours),
            printable(batch.device_id.as_str()),
            printable(batch.user_id.as_str()),
            styled(&printable(stamp), dimmed, colours),
            styled(&printable(event_type), Style::new().bold(), colours),
            printable(entity_id),
            styled(&printable(payload.map_or("", RawValue::get)), dimmed, colours),
            if batch.released { "  (released from quarantine)" } else { "" },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{ "payload":{"laps":1,"x":"]2J"},"eventId":"e","deviceSequence":7,"type":"LAP_RECORDED","entityId":"w-1","timestamp":"2025-08-06T10:30:00.000Z-0003" }"#;

    fn written(
        source: Source,
        released: bool,
        line: &str,
        write: impl Fn(&Event<'_>, &mut Vec<u8>),
    ) -> String {
        let batch = SegmentBatch {
            first: Position(7),
            device_id: DeviceId::new("phone-1").unwrap(),
            user_id: UserId::new("ann").unwrap(),
            received_at: UtcTime(0),
            released,
        };
        let content = EventLine::parse(line).unwrap();
        let event = Event { position: Position(7), source, batch: &batch, line, content };
        let mut text = Vec::new();
        write(&event, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_line_tells_position_source_origin_stamp_type_entity_and_payload() {
        assert_eq!(
            written(Source::Archive, false, LINE, |event, text| event.append_line(text, false)),
            "      #7  archive  received 1970-01-01T00:00:00.000Z  phone-1  ann  2025-08-06T10:30:00.000Z-0003  \
             LAP_RECORDED  w-1  {\"laps\":1,\"x\":\"]2J\"}\n"
        );
    }

    #[test]
    fn a_stamp_in_milliseconds_and_a_release_are_shown_as_they_are() {
        let line = r#"{"eventId":"e","type":"T","entityId":"w","timestamp":1754476200000}"#;
        let shown = written(Source::Log, true, line, |event, text| event.append_line(text, false));
        assert!(shown.contains("  log      ") && shown.contains("  1754476200000  T  w"), "{shown}");
        assert!(shown.ends_with("(released from quarantine)\n"), "{shown}");
    }

    #[test]
    fn json_has_the_origin_and_then_the_events_own_keys_untouched() {
        let write = |event: &Event<'_>, text: &mut Vec<u8>| event.append_json(text).unwrap();
        assert_eq!(
            written(Source::Log, true, LINE, write),
            "{\"position\":7,\"source\":\"log\",\"deviceId\":\"phone-1\",\"userId\":\"ann\",\
             \"receivedAt\":\"1970-01-01T00:00:00.000Z\",\"released\":true, \"payload\":{\"laps\":1,\"x\":\"]2J\"},\
             \"eventId\":\"e\",\"deviceSequence\":7,\"type\":\"LAP_RECORDED\",\"entityId\":\"w-1\",\
             \"timestamp\":\"2025-08-06T10:30:00.000Z-0003\" }\n"
        );
    }
}
