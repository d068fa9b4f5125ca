//! An event line: read once at the door, judged against the schema, and kept byte for byte from there on.

mod members;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::code::Fault;
use crate::id::{EntityId, EventId, Sequence};
use crate::json::{Finding, scan_object};
use crate::limits::MAX_SAFE_INTEGER;
use crate::schema::Schema;
use crate::stamp::Stamp;

pub(crate) use members::{EventMembers, Key, read_event_id, read_stamp, read_text};

/// An event of the log, borrowed from its line. The log holds judged lines only, so this reading is lenient.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event<'a> {
    /// The event's label.
    pub event_id: EventId,
    /// The device's number for it; absent where a backend pushed it without a counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_sequence: Option<Sequence>,
    /// The event type, as the schema names it.
    #[serde(rename = "type", borrow)]
    pub event_type: Cow<'a, str>,
    /// What it is about.
    pub entity_id: EntityId,
    /// When it was recorded.
    pub timestamp: Stamp,
    /// The last event that the device had seen: a hint for people.
    pub last_seen_event_id: Option<EventId>,
    /// The payload as it stands in the line, `null` too.
    #[serde(borrow, default, deserialize_with = "present")]
    pub payload: Option<&'a RawValue>,
}

/// A member that is there, whatever it holds: serde takes a `null` for a member that is not.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// An event line that yields its identity, with what the schema says of the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedEvent {
    /// The event's label.
    pub event_id: EventId,
    /// The device's number for it, 1 or more, if the line has one.
    pub device_sequence: Option<Sequence>,
    /// When it was recorded, as far as that can be read.
    pub timestamp: Option<Stamp>,
    /// Why the event must be quarantined; `None` for a good one.
    pub finding: Option<Finding>,
}

/// A line that does not yield an event's identity, so that the whole batch cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableLine {
    /// Not one JSON object.
    #[error("is not a JSON object")]
    NotAnObject,
    /// `eventId` is missing, ambiguous, or no UUID.
    #[error("has no `eventId` that is a UUID")]
    EventId,
    /// `deviceSequence` is ambiguous or no whole number from 1 to 2⁵³−1.
    #[error("has a `deviceSequence` that is no whole number from 1 on")]
    DeviceSequence,
}

/// Reads and judges one line of a batch.
///
/// # Errors
/// When the line does not yield an identity: then its batch is refused whole. Any other fault is the
/// event's alone and stands in [`JudgedEvent::finding`].
pub fn judge(line: &str, schema: &Schema) -> Result<JudgedEvent, UnreadableLine> {
    let scanned = scan_object(line).map_err(|_| UnreadableLine::NotAnObject)?;
    let members = EventMembers::of(&scanned);
    let event_id = members.value(Key::EventId).and_then(read_event_id).ok_or(UnreadableLine::EventId)?;
    let device_sequence = device_sequence(&members)?;
    let timestamp = members.value(Key::Timestamp).and_then(read_stamp);
    let finding = match scanned.finding.clone() {
        Some(ambiguity) => Some(ambiguity),
        None => judge_members(&members, timestamp, schema).err(),
    };
    Ok(JudgedEvent { event_id, device_sequence, timestamp, finding })
}

fn device_sequence(members: &EventMembers<'_, '_>) -> Result<Option<Sequence>, UnreadableLine> {
    if !members.has(Key::DeviceSequence) {
        return Ok(None);
    }
    members
        .value(Key::DeviceSequence)
        .and_then(|text| text.parse::<u64>().ok())
        .filter(|number| (1..=MAX_SAFE_INTEGER).contains(number))
        .map(|number| Some(Sequence(number)))
        .ok_or(UnreadableLine::DeviceSequence)
}

fn judge_members(
    members: &EventMembers<'_, '_>,
    timestamp: Option<Stamp>,
    schema: &Schema,
) -> Result<(), Finding> {
    if let Some(code) = members.value(Key::Withheld) {
        return Err(Finding::new(Fault::Withheld, format!("the device kept the event: {}", withheld(code))));
    }
    if let Some(unknown) = members.unknown() {
        let key: String = unknown.chars().take(60).collect();
        return Err(Finding::new(Fault::UnknownKey, format!("an event has no key `{key}`")));
    }
    let entity_id = members.value(Key::EntityId).and_then(read_text);
    if entity_id.is_none_or(|id| !EntityId::is_valid(&id)) {
        let detail =
            "`entityId` must be text of 1 to 128 bytes without control characters and outer white space";
        return Err(Finding::new(Fault::FieldInvalid, detail));
    }
    if let Some(last_seen) = members.value(Key::LastSeenEventId)
        && last_seen != "null"
        && read_event_id(last_seen).is_none()
    {
        return Err(Finding::new(Fault::FieldInvalid, "`lastSeenEventId` must be null or a UUID"));
    }
    if timestamp.is_none() {
        let detail = "`timestamp` must be a stamp such as 2025-08-06T10:30:00.000Z-0003, an ISO time in UTC, \
                      or whole milliseconds";
        return Err(Finding::new(Fault::StampInvalid, detail));
    }
    let event_type = members
        .value(Key::Type)
        .and_then(read_text)
        .ok_or_else(|| Finding::new(Fault::FieldInvalid, "`type` must be a text"))?;
    judge_payload(members, &event_type, schema)
}

/// The code that a device gives for an event it cannot send.
fn withheld(text: &str) -> String {
    match serde_json::from_str::<String>(text) {
        Ok(code) => code.chars().take(60).collect(),
        Err(_) => "without a code".to_owned(),
    }
}

fn judge_payload(members: &EventMembers<'_, '_>, event_type: &str, schema: &Schema) -> Result<(), Finding> {
    let Some(definition) = schema.event(event_type) else {
        let name: String = event_type.chars().take(60).collect();
        let detail = format!("schema version {} has no event type `{name}`", schema.version());
        return Err(Finding::new(Fault::UnknownType, detail));
    };
    // Nearly every payload fits at a glance. The checker is the judge of all others.
    if members.payload().is_some_and(|payload| definition.shape().obviously_takes(payload)) {
        return Ok(());
    }
    let payload = members.value(Key::Payload).unwrap_or("{}");
    let payload: serde_json::Value = serde_json::from_str(payload)
        .map_err(|_| Finding::new(Fault::PayloadInvalid, "the payload cannot be read"))?;
    definition.check_payload(&payload).map_err(|fault| Finding::new(fault.code(), fault.to_string()))
}

#[cfg(test)]
pub(crate) mod nearly;
#[cfg(test)]
mod tests;
