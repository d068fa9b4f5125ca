//! What is readable, what is found, and that judging at once and judging in full agree.

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;

const SCHEMA: &str = "{name: app, version: 7, entities: {workout: {fields: {name: {type: string}, laps: \
                      {type: integer, merge: sum}}}}, events: {CREATED: {entity: workout, creates: true, \
                      payload: {name: optional, laps: optional}}}}";

/// The fault of an event line with `rest` behind its identity.
fn fault(rest: &str) -> Option<Fault> {
    let line = format!(r#"{{"eventId":"018f4f7e-0000-7000-8000-000000000001","deviceSequence":1{rest}}}"#);
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
    check(r#","type":"CREATED","entityId":"w-1","timestamp":0,"lastSeenEventId":"x""#, Fault::FieldInvalid);
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
    let check = |line: &str, expect: UnreadableLine| assert_eq!(judge(line, &schema), Err(expect), "{line}");
    let id = "018f4f7e-0000-7000-8000-000000000001";
    check("", UnreadableLine::NotAnObject);
    check("[1]", UnreadableLine::NotAnObject);
    check(r#"{"batch":{"deviceId":"phone-1"}}"#, UnreadableLine::EventId);
    check(r#"{"eventId":7,"deviceSequence":1}"#, UnreadableLine::EventId);
    check(r#"{"eventId":"x","deviceSequence":1}"#, UnreadableLine::EventId);
    let two = format!(r#"{{"eventId":"{id}","eventId":"018f4f7e-0000-7000-8000-000000000002"}}"#);
    check(&two, UnreadableLine::EventId);
    for sequence in ["0", "-1", "1.0", "1e0", "\"1\"", "null", "9007199254740992", "1,\"deviceSequence\":2"] {
        let line = format!(r#"{{"eventId":"{id}","deviceSequence":{sequence}}}"#);
        check(&line, UnreadableLine::DeviceSequence);
    }
}

/// What serde_json reads in a value's text.
fn read_by_serde<T: DeserializeOwned>(value: &str) -> Option<T> {
    serde_json::from_str(value).ok()
}

/// Judges as [`judge`] does, without any shortcut.
fn judge_in_full(line: &str, schema: &Schema) -> Result<JudgedEvent, UnreadableLine> {
    let scanned = scan_object(line).map_err(|_| UnreadableLine::NotAnObject)?;
    let unambiguous = |key: &str| {
        let mut values = scanned.members.iter().filter(|member| member.key == key).map(|member| member.value);
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    };
    let event_id = unambiguous("eventId").and_then(read_by_serde).ok_or(UnreadableLine::EventId)?;
    let device_sequence = if scanned.members.iter().any(|member| member.key == "deviceSequence") {
        let number = unambiguous("deviceSequence").and_then(|text| text.parse::<u64>().ok());
        let number = number.filter(|number| (1..=MAX_SAFE_INTEGER).contains(number));
        Some(Sequence(number.ok_or(UnreadableLine::DeviceSequence)?))
    } else {
        None
    };
    let timestamp = unambiguous("timestamp").and_then(read_by_serde::<Stamp>);
    let checked = || -> Result<(), Fault> {
        if unambiguous("withheld").is_some() {
            return Err(Fault::Withheld);
        }
        let known =
            ["eventId", "deviceSequence", "type", "entityId", "timestamp", "lastSeenEventId", "payload"];
        if scanned.members.iter().any(|member| !known.contains(&member.key.as_ref())) {
            return Err(Fault::UnknownKey);
        }
        let invalid = Fault::FieldInvalid;
        unambiguous("entityId").and_then(read_by_serde::<EntityId>).ok_or(invalid)?;
        if let Some(last_seen) = unambiguous("lastSeenEventId") {
            read_by_serde::<Option<EventId>>(last_seen).ok_or(invalid)?;
        }
        timestamp.ok_or(Fault::StampInvalid)?;
        let event_type: String = unambiguous("type").and_then(read_by_serde).ok_or(invalid)?;
        let definition = schema.event(&event_type).ok_or(Fault::UnknownType)?;
        let payload =
            read_by_serde::<Value>(unambiguous("payload").unwrap_or("{}")).ok_or(Fault::PayloadInvalid)?;
        definition.check_payload(&payload).map_err(|fault| fault.code())
    };
    let fault = scanned.finding.as_ref().map(|finding| finding.fault).or_else(|| checked().err());
    let finding = fault.map(|fault| Finding::new(fault, ""));
    Ok(JudgedEvent { event_id, device_sequence, timestamp, finding })
}

/// Without the details, which [`judge_in_full`] does not word.
fn without_detail(judged: JudgedEvent) -> JudgedEvent {
    JudgedEvent { finding: judged.finding.map(|finding| Finding::new(finding.fault, "")), ..judged }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn judging_at_a_glance_and_in_full_agree(line in nearly::line()) {
        let schema = &*nearly::SCHEMA;
        prop_assert_eq!(judge(&line, schema).map(without_detail), judge_in_full(&line, schema), "{}", line);
    }

    #[test]
    fn what_is_obviously_valid_is_valid(payload in nearly::payload(), event in 0..3_usize) {
        let schema = &*nearly::SCHEMA;
        let line = format!(r#"{{"payload":{payload}}}"#);
        let Ok(scanned) = scan_object(&line) else { return Ok(()) };
        let members = EventMembers::of(&scanned);
        let definition = schema.event(["WRITTEN", "MADE", "BARE"][event]).unwrap();
        let obvious = members.payload().is_some_and(|payload| definition.shape().obviously_takes(payload));
        if obvious && scanned.finding.is_none() {
            let read: Value = serde_json::from_str(&payload).unwrap();
            prop_assert_eq!(definition.check_payload(&read), Ok(()), "{}", payload);
        }
    }

    #[test]
    fn a_value_is_read_as_serde_reads_it(value in nearly::value()) {
        let line = format!(r#"{{"value":{value}}}"#);
        let Ok(scanned) = scan_object(&line) else { return Ok(()) };
        let value = scanned.members[0].value;
        prop_assert_eq!(read_event_id(value), read_by_serde(value));
        prop_assert_eq!(read_stamp(value), read_by_serde(value));
        prop_assert_eq!(read_text(value), read_by_serde::<String>(value).map(Cow::Owned));
    }
}

#[test]
fn ordinary_payloads_are_obviously_valid_and_those_in_doubt_are_not() {
    let schema = &*nearly::SCHEMA;
    let check = |payload: &str, expect: bool| {
        let line = format!(r#"{{"payload":{payload}}}"#);
        let scanned = scan_object(&line).unwrap();
        let members = EventMembers::of(&scanned);
        let shape = schema.event("WRITTEN").unwrap().shape();
        let obvious = members.payload().is_some_and(|payload| shape.obviously_takes(payload));
        assert_eq!(obvious, expect, "{payload}");
    };
    check(r#"{"whole":1}"#, true);
    check(r#" { "number" : 0.5 , "whole" : -3 } "#, true);
    check(r#"{"text":"Ann\"s run \u00e9","whole":0,"number":-1e3,"yes":true}"#, true);
    check(r#"{"whole":1,"when":"2025-08-06T10:30:00Z"}"#, true);
    check(r#"{"whole":1,"words":{"add":["a", "b"],"remove":[]},"wholes":{"add":[1,2]}}"#, true);
    check("{}", false);
    check(r#"{"text":"a"}"#, false);
    check(r#"{"whole":1.0}"#, false);
    check(r#"{"whole":"1"}"#, false);
    check(r#"{"whole":1,"other":1}"#, false);
    check(r#"{"whole":1,"text":null}"#, false);
    check(r#"{"whole":1,"yes":"true"}"#, false);
    check(r#"{"whole":1,"when":1754476200000}"#, false);
    check(r#"{"whole":1,"words":{}}"#, false);
    check(r#"{"whole":1,"words":{"add":["a"],"clear":true}}"#, false);
    check(r#"{"whole":1,"words":{"add":[["a"]]}}"#, false);
    check(r#"{"whole":1,"words":["a"]}"#, false);
    check("[]", false);
    check("null", false);
}
