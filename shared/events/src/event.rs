//! An event line: read once at the door, judged against the schema, and kept byte for byte from there on.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::code::Fault;
use crate::id::{EntityId, EventId, Sequence};
use crate::json::{Finding, Scanned, scan_object};
use crate::limits::MAX_SAFE_INTEGER;
use crate::schema::Schema;
use crate::stamp::Stamp;

const KEYS: [&str; 7] =
    ["eventId", "deviceSequence", "type", "entityId", "timestamp", "lastSeenEventId", "payload"];

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
    let event_id = event_id(&scanned)?;
    let device_sequence = device_sequence(&scanned)?;
    let timestamp = scanned.unambiguous("timestamp").and_then(|text| serde_json::from_str(text).ok());
    let finding = match scanned.finding.clone() {
        Some(ambiguity) => Some(ambiguity),
        None => judge_members(&scanned, timestamp, schema).err(),
    };
    Ok(JudgedEvent { event_id, device_sequence, timestamp, finding })
}

fn event_id(scanned: &Scanned<'_>) -> Result<EventId, UnreadableLine> {
    let text = scanned.unambiguous("eventId").ok_or(UnreadableLine::EventId)?;
    serde_json::from_str(text).map_err(|_| UnreadableLine::EventId)
}

fn device_sequence(scanned: &Scanned<'_>) -> Result<Option<Sequence>, UnreadableLine> {
    if !scanned.members.iter().any(|member| member.key == "deviceSequence") {
        return Ok(None);
    }
    scanned
        .unambiguous("deviceSequence")
        .and_then(|text| text.parse::<u64>().ok())
        .filter(|number| (1..=MAX_SAFE_INTEGER).contains(number))
        .map(|number| Some(Sequence(number)))
        .ok_or(UnreadableLine::DeviceSequence)
}

fn judge_members(scanned: &Scanned<'_>, timestamp: Option<Stamp>, schema: &Schema) -> Result<(), Finding> {
    if let Some(code) = scanned.unambiguous("withheld") {
        return Err(Finding::new(Fault::Withheld, format!("the device kept the event: {}", withheld(code))));
    }
    if let Some(unknown) = scanned.members.iter().find(|member| !KEYS.contains(&member.key.as_ref())) {
        let key: String = unknown.key.chars().take(60).collect();
        return Err(Finding::new(Fault::UnknownKey, format!("an event has no key `{key}`")));
    }
    let text_of =
        |key: &str| scanned.unambiguous(key).and_then(|text| serde_json::from_str::<Cow<'_, str>>(text).ok());
    if text_of("entityId").is_none_or(|id| EntityId::new(id.into_owned()).is_err()) {
        let detail =
            "`entityId` must be text of 1 to 128 bytes without control characters and outer white space";
        return Err(Finding::new(Fault::FieldInvalid, detail));
    }
    if let Some(last_seen) = scanned.unambiguous("lastSeenEventId")
        && serde_json::from_str::<Option<EventId>>(last_seen).is_err()
    {
        return Err(Finding::new(Fault::FieldInvalid, "`lastSeenEventId` must be null or a UUID"));
    }
    if timestamp.is_none() {
        let detail = "`timestamp` must be a stamp such as 2025-08-06T10:30:00.000Z-0003, an ISO time in UTC, \
                      or whole milliseconds";
        return Err(Finding::new(Fault::StampInvalid, detail));
    }
    let event_type =
        text_of("type").ok_or_else(|| Finding::new(Fault::FieldInvalid, "`type` must be a text"))?;
    judge_payload(scanned.unambiguous("payload").unwrap_or("{}"), &event_type, schema)
}

/// The code that a device gives for an event it cannot send.
fn withheld(text: &str) -> String {
    match serde_json::from_str::<String>(text) {
        Ok(code) => code.chars().take(60).collect(),
        Err(_) => "without a code".to_owned(),
    }
}

fn judge_payload(payload: &str, event_type: &str, schema: &Schema) -> Result<(), Finding> {
    let Some(definition) = schema.event(event_type) else {
        let name: String = event_type.chars().take(60).collect();
        let detail = format!("schema version {} has no event type `{name}`", schema.version());
        return Err(Finding::new(Fault::UnknownType, detail));
    };
    let payload: serde_json::Value = serde_json::from_str(payload)
        .map_err(|_| Finding::new(Fault::PayloadInvalid, "the payload cannot be read"))?;
    definition.check_payload(&payload).map_err(|fault| Finding::new(fault.code(), fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = "{name: app, version: 7, entities: {workout: {fields: {name: {type: string}, laps: \
                          {type: integer, merge: sum}}}}, events: {CREATED: {entity: workout, creates: true, \
                          payload: {name: optional, laps: optional}}}}";

    /// The fault of an event line with `rest` behind its identity.
    fn fault(rest: &str) -> Option<Fault> {
        let line =
            format!(r#"{{"eventId":"018f4f7e-0000-7000-8000-000000000001","deviceSequence":1{rest}}}"#);
        let judged = judge(&line, &Schema::parse(SCHEMA).unwrap()).unwrap();
        assert_eq!(judged.device_sequence, Some(Sequence(1)));
        judged.finding.map(|finding| finding.fault)
    }

    fn with_payload(payload: &str) -> String {
        format!(r#","type":"CREATED","entityId":"w-1","timestamp":1754476200000,"payload":{payload}"#)
    }

    #[test]
    fn a_good_event_has_no_fault() {
        assert_eq!(fault(&with_payload(r#"{"name":"Run","laps":3}"#)), None);
        let whole = r#","type":"CREATED","entityId":"w-1","timestamp":"2025-08-06T10:30:00.000Z-0003","lastSeenEventId":null"#;
        assert_eq!(fault(whole), None);
    }

    #[test]
    fn each_fault_has_its_code() {
        let check = |rest: &str, expect: Fault| assert_eq!(fault(rest), Some(expect), "{rest}");
        check(&with_payload(r#"{"name":1}"#), Fault::PayloadInvalid);
        check(&with_payload(r#"{"name":null}"#), Fault::PayloadInvalid);
        check(&with_payload("null"), Fault::PayloadInvalid);
        check(&with_payload(r#"{"nom":"x"}"#), Fault::UnknownKey);
        check(&with_payload(r#"{"name":"a","name":"b"}"#), Fault::DuplicateKey);
        check(&with_payload(r#"{"name":"\u0000"}"#), Fault::TextInvalid);
        check(&with_payload(r#"{"name":"\ud800"}"#), Fault::TextInvalid);
        check(&with_payload(r#"{"laps":9007199254740992}"#), Fault::NumberOutOfRange);
        check(&with_payload(r#"{"laps":1e400}"#), Fault::NumberOutOfRange);
        check(&with_payload(&format!(r#"{{"name":{}{}}}"#, "[".repeat(40), "]".repeat(40))), Fault::TooDeep);
        check(&format!(r#"{},"segment":{{}}"#, with_payload("{}")), Fault::UnknownKey);
        check(&format!(r#"{},"type":"CREATED""#, with_payload("{}")), Fault::DuplicateKey);
        check(r#","type":"GONE","entityId":"w-1","timestamp":0,"payload":{}"#, Fault::UnknownType);
        check(r#","type":7,"entityId":"w-1","timestamp":0"#, Fault::FieldInvalid);
        check(r#","entityId":"w-1","timestamp":0"#, Fault::FieldInvalid);
        check(r#","type":"CREATED","entityId":"","timestamp":0"#, Fault::FieldInvalid);
        check(r#","type":"CREATED","timestamp":0"#, Fault::FieldInvalid);
        check(
            r#","type":"CREATED","entityId":"w-1","timestamp":0,"lastSeenEventId":"x""#,
            Fault::FieldInvalid,
        );
        check(r#","type":"CREATED","entityId":"w-1""#, Fault::StampInvalid);
        check(
            r#","type":"CREATED","entityId":"w-1","timestamp":"2025-08-06T10:30:00+02:00""#,
            Fault::StampInvalid,
        );
        check(r#","withheld":"body-too-large""#, Fault::Withheld);
    }

    #[test]
    fn a_line_without_identity_is_unreadable() {
        let schema = Schema::parse(SCHEMA).unwrap();
        let check =
            |line: &str, expect: UnreadableLine| assert_eq!(judge(line, &schema), Err(expect), "{line}");
        let id = "018f4f7e-0000-7000-8000-000000000001";
        check("", UnreadableLine::NotAnObject);
        check("[1]", UnreadableLine::NotAnObject);
        check(r#"{"batch":{"deviceId":"phone-1"}}"#, UnreadableLine::EventId);
        check(r#"{"eventId":7,"deviceSequence":1}"#, UnreadableLine::EventId);
        check(r#"{"eventId":"x","deviceSequence":1}"#, UnreadableLine::EventId);
        let two = format!(r#"{{"eventId":"{id}","eventId":"018f4f7e-0000-7000-8000-000000000002"}}"#);
        check(&two, UnreadableLine::EventId);
        for sequence in
            ["0", "-1", "1.0", "1e0", "\"1\"", "null", "9007199254740992", "1,\"deviceSequence\":2"]
        {
            let line = format!(r#"{{"eventId":"{id}","deviceSequence":{sequence}}}"#);
            check(&line, UnreadableLine::DeviceSequence);
        }
    }
}
