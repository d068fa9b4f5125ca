//! Quarantine: one bad event is kept aside with its reason and its bytes, and never blocks the ones around it.

use serde_json::{Value, json};
use tidelog_tests::{Batch, EventLine, World, event_id};

const CREATED: &str = "WORKOUT_CREATED";
const POINT: &str = "TRACK_POINT_RECORDED";

fn payload(event_type: &str, payload: &str) -> String {
    let line = EventLine::new("D", 2).with("type", event_type).with("payload", "PAYLOAD").0.to_string();
    line.replace("\"PAYLOAD\"", payload)
}

fn duration(value: &str) -> String {
    payload("WORKOUT_DURATION_UPDATED", &format!("{{\"duration\":{value}}}"))
}

fn name(value: &str) -> String {
    payload(CREATED, &format!("{{\"name\":{value}}}"))
}

/// The event with further members, as text.
fn plus(members: &str) -> String {
    let line = EventLine::new("D", 2).0.to_string();
    format!("{},{members}}}", line.strip_suffix('}').unwrap())
}

fn with(key: &str, value: Value) -> String {
    EventLine::new("D", 2).with(key, value).0.to_string()
}

fn nested(levels: usize) -> String {
    // The event and its payload are the first two levels.
    payload(CREATED, &format!("{{\"name\":{}{}}}", "[".repeat(levels - 2), "]".repeat(levels - 2)))
}

/// Pushes each line between two good events of a device of its own: the line alone is quarantined.
async fn check(cases: &[(&str, String, &str)]) {
    let world = World::new().await;
    for (index, (case, line, code)) in cases.iter().enumerate() {
        let device = format!("phone-{index}");
        let line = line.replace(&event_id("D", 2).to_string(), &event_id(&device, 2).to_string());
        let batch = Batch::new(&device, 1, 3).with_line(1, &line);
        let head = world.head("ann").await as u64;
        let answer = world.push("ann", &batch).await;
        answer.expect_committed(Some((head + 1, head + 2)));
        assert_eq!(answer.receipts(), [(2, "quarantined".into(), Some((*code).into()))], "{case}");
        assert!(!answer.json["receipts"][0]["detail"].as_str().unwrap().is_empty(), "{case}");
        assert_eq!(answer.json["device"]["lastSequence"], 3, "{case}");

        let kept = world.quarantine("ann", &device).await;
        assert_eq!(kept.len(), 1, "{case}");
        assert_eq!((kept[0].sequence, kept[0].code.as_str()), (2, *code), "{case}");
        assert_eq!(kept[0].line, line, "{case}: the bytes are kept");
        let stored = world.segments("ann").await.pop().unwrap().lines();
        assert_eq!(stored[1..], [batch.lines[0].as_str(), batch.lines[2].as_str()], "{case}");

        let pull = world.pull("ann", &format!("after={head}&deviceId={device}")).await;
        let quarantined = &pull.json["device"]["quarantined"];
        assert_eq!(quarantined.as_array().map(Vec::len), Some(1), "{case}");
        assert_eq!(quarantined[0]["deviceSequence"], 2, "{case}");
        assert_eq!(quarantined[0]["eventId"], json!(event_id(&device, 2)), "{case}");
        assert_eq!(quarantined[0]["code"], *code, "{case}");
    }
    world.push("bob", &Batch::new("phone-1", 1, 1)).await.expect_committed(Some((1, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_the_wrong_type_are_quarantined_alone() {
    let code = "event-payload-invalid";
    check(&[
        ("text for an integer", duration("\"90\""), code),
        ("fraction for an integer", duration("90.5"), code),
        ("boolean for an integer", duration("true"), code),
        ("null for an integer", duration("null"), code),
        ("number for a text", name("7"), code),
        ("null for a text", name("null"), code),
        ("null for an optional key", payload(CREATED, r#"{"name":"a","sport":null}"#), code),
        ("list for a set", payload(CREATED, r#"{"name":"a","tags":["trail"]}"#), code),
        ("null in a set", payload(CREATED, r#"{"name":"a","tags":{"add":[null]}}"#), code),
        (
            "a set that is neither added to nor removed from",
            payload(CREATED, r#"{"name":"a","tags":{"put":["b"]}}"#),
            code,
        ),
        ("a required key is missing", payload(CREATED, "{}"), code),
        ("a payload that is null", payload(CREATED, "null"), code),
        ("a payload that is a list", payload(CREATED, "[]"), code),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_not_every_platform_keeps_are_quarantined_alone() {
    let code = "event-text-invalid";
    check(&[
        ("U+0000", name(r#""a\u0000b""#), code),
        ("U+0000 in a key", payload(CREATED, r#"{"name":"a","b\u0000":1}"#), code),
        ("a lone high surrogate", name(r#""\ud800""#), code),
        ("a lone low surrogate", name(r#""\udc00 a""#), code),
        ("two high surrogates", name(r#""\ud800\ud800""#), code),
        ("surrogates the wrong way round", name(r#""\udc00\ud800""#), code),
        ("U+0000 outside the payload", plus(r#""x":"\u0000""#), code),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_nesting_is_quarantined_alone() {
    let code = "event-too-deep";
    let deep =
        |levels: usize| format!("\"x\":{}{}", "{\"a\":".repeat(levels), "1".to_owned() + &"}".repeat(levels));
    check(&[
        ("33 levels", nested(33), code),
        ("10,000 levels", nested(10_000), code),
        ("10,000 objects at the top level", plus(&deep(10_000)), code),
        ("32 levels are not too deep, only wrong", nested(32), "event-payload-invalid"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_not_every_platform_keeps_are_quarantined_alone() {
    let code = "event-number-out-of-range";
    check(&[
        ("not finite", duration("1e400"), code),
        ("not finite for a fraction", payload(POINT, r#"{"points":1,"distance":-1e400}"#), code),
        ("2^53", duration("9007199254740992"), code),
        ("-2^53", duration("-9007199254740992"), code),
        ("2^53 written with an exponent", duration("9007199254740992e0"), code),
        ("twenty digits", duration("18446744073709551616"), code),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_keys_are_quarantined_alone() {
    let code = "event-duplicate-key";
    check(&[
        ("at the top level", plus(r#""entityId":"w-2""#), code),
        ("at the top level, escaped", plus(r#""entity\u0049d":"w-2""#), code),
        ("in the payload", payload(CREATED, r#"{"name":"a","name":"b"}"#), code),
        ("in the payload, escaped", payload(CREATED, r#"{"name":"a","n\u0061me":"b"}"#), code),
        ("deep in the payload", payload(CREATED, r#"{"name":"a","tags":{"add":["b"],"add":["c"]}}"#), code),
        ("twice the same value", plus(r#""lastSeenEventId":null"#), code),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_keys_are_quarantined_alone() {
    let code = "event-unknown-key";
    check(&[
        ("at the top level", plus(r#""colour":"red""#), code),
        ("a key of segment headers", plus(r#""segment":{"first":1,"last":9,"lines":9,"batches":[]}"#), code),
        ("a key of hellos", plus(r#""hello":{"head":1}"#), code),
        ("a key of snapshots", plus(r#""snapshot":{"through":1}"#), code),
        ("a key that pulls add", plus(r#""position":1"#), code),
        ("in the payload", payload(CREATED, r#"{"name":"a","colour":"red"}"#), code),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_types_are_quarantined_alone() {
    let code = "event-unknown-type";
    check(&[
        ("unknown", with("type", json!("WORKOUT_TELEPORTED")), code),
        ("another case", with("type", json!("workout_created")), code),
        ("empty", with("type", json!("")), code),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stamps_that_are_none_are_quarantined_alone() {
    let code = "event-stamp-invalid";
    check(&[
        ("an offset", with("timestamp", json!("2025-08-06T10:30:00+02:00")), code),
        ("an offset of zero", with("timestamp", json!("2025-08-06T10:30:00+00:00")), code),
        ("no zone", with("timestamp", json!("2025-08-06T10:30:00")), code),
        ("a date that is none", with("timestamp", json!("2025-02-30T10:30:00Z")), code),
        ("a fraction", with("timestamp", json!(1.5)), code),
        ("null", with("timestamp", Value::Null), code),
        ("missing", EventLine::new("D", 2).without("timestamp").0.to_string(), code),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_missing_or_malformed_are_quarantined_alone() {
    let code = "event-field-invalid";
    check(&[
        ("no type", EventLine::new("D", 2).without("type").0.to_string(), code),
        ("a type that is a number", with("type", json!(7)), code),
        ("no entity", EventLine::new("D", 2).without("entityId").0.to_string(), code),
        ("an empty entity", with("entityId", json!("")), code),
        ("an entity of 129 bytes", with("entityId", json!("w".repeat(129))), code),
        ("a last seen event that is none", with("lastSeenEventId", json!("soon")), code),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_its_device_withheld_is_quarantined_alone() {
    let notice = |code: Value| json!({"eventId": event_id("D", 2), "deviceSequence": 2, "withheld": code});
    check(&[
        ("withheld", notice(json!("body-too-large")).to_string(), "event-withheld"),
        ("without a code", notice(Value::Null).to_string(), "event-withheld"),
    ])
    .await;
}
