//! What a payload may hold, by the type and rule of each field.

use serde_json::json;

use super::*;
use crate::code::Fault;

/// One event type a field, so that each can be tried alone, and one with a required key.
fn schema() -> Schema {
    let field = |name, definition| format!("      {name}: {{ {definition} }}\n");
    let fields = [
        field("string", "type: string"),
        field("integer", "type: integer, unit: s"),
        field("number", "type: number, merge: max"),
        field("boolean", "type: boolean, merge: first"),
        field("stamp", "type: stamp, merge: min"),
        field("sum", "type: integer, merge: sum"),
        field("flag", "type: boolean, merge: flag"),
        field("set", "type: integer, merge: set"),
        field("list", "type: stamp, merge: list"),
    ];
    let keys = ["string", "integer", "number", "boolean", "stamp", "sum", "flag", "set", "list"]
        .map(|key| format!("{key}: optional"));
    Schema::parse(&format!(
        "name: a\nversion: 1\nentities:\n  e:\n    fields:\n{}\
         events:\n  ANY: {{ entity: e, payload: {{ {} }} }}\n  NAMED: {{ entity: e, payload: {{ string: required }} }}\n  BARE: {{ entity: e }}\n",
        fields.concat(),
        keys.join(", "),
    ))
    .unwrap()
}

fn verdict(schema: &Schema, event_type: &str, payload: &Value) -> Result<(), (Fault, String)> {
    let verdict = schema.event(event_type).unwrap().check_payload(payload);
    verdict.map_err(|fault| (fault.code(), fault.to_string()))
}

#[test]
fn a_field_takes_what_its_type_and_rule_say() {
    let schema = schema();
    let check = |payload: Value| assert_eq!(verdict(&schema, "ANY", &payload), Ok(()), "{payload}");
    check(json!({}));
    check(json!({ "string": "" }));
    check(json!({ "string": "🏃 \u{1}" }));
    check(json!({ "integer": 9_007_199_254_740_991_i64, "sum": -9_007_199_254_740_991_i64 }));
    check(json!({ "integer": 1.0 }));
    check(json!({ "number": 1, "boolean": false, "flag": true }));
    check(json!({ "number": 1e300 }));
    check(json!({ "number": u64::MAX }));
    check(json!({ "stamp": "2025-08-06T10:30:00.000Z-0003", "list": "2025-08-06T10:30:00Z" }));
    check(json!({ "set": { "add": [1, 1], "remove": [] } }));
    check(json!({ "set": { "remove": [2] } }));
}

#[test]
fn a_payload_that_is_not_as_declared_is_told_where_and_why() {
    let schema = schema();
    let check = |payload: Value, fault: Fault, detail: &str| {
        assert_eq!(verdict(&schema, "ANY", &payload), Err((fault, detail.to_owned())), "{payload}");
    };
    let invalid = |payload, detail| check(payload, Fault::PayloadInvalid, detail);
    invalid(json!(null), "payload must be of type object, not null (a field cannot be cleared)");
    invalid(json!([]), "payload must be of type object, not array");
    invalid(json!({ "string": 1 }), "payload.string must be of type string, not number");
    invalid(
        json!({ "string": null }),
        "payload.string must be of type string, not null (a field cannot be cleared)",
    );
    invalid(json!({ "integer": "1" }), "payload.integer must be of type integer, not string");
    invalid(json!({ "integer": 1.5 }), "payload.integer must be of type integer, not number");
    invalid(json!({ "number": true }), "payload.number must be of type number, not boolean");
    invalid(json!({ "flag": "true" }), "payload.flag must be of type boolean, not string");
    invalid(json!({ "stamp": 1_754_476_200_000_i64 }), "payload.stamp must be of type string, not number");
    invalid(
        json!({ "stamp": "2025-02-29T00:00:00Z" }),
        "payload.stamp must be a stamp such as 2025-08-06T10:30:00.000Z-0003",
    );
    invalid(json!({ "set": [1] }), "payload.set must be of type object, not array");
    invalid(json!({ "set": {} }), "payload.set must have `add` or `remove`");
    invalid(json!({ "set": { "add": 1 } }), "payload.set.add must be of type array, not number");
    invalid(json!({ "set": { "add": [1, "2"] } }), "payload.set.add[1] must be of type integer, not string");
    invalid(
        json!({ "set": { "add": [1], "clear": true } }),
        "payload.set has the key `clear`, which is not declared",
    );
    invalid(json!({ "list": ["2025-08-06T10:30:00Z"] }), "payload.list must be of type string, not array");
    check(json!({ "colour": 1 }), Fault::UnknownKey, "payload has the key `colour`, which is not declared");
    for beyond in
        [json!(9_007_199_254_740_992_i64), json!(-9_007_199_254_740_992_i64), json!(u64::MAX), json!(1e20)]
    {
        let detail = "payload.integer must lie within ±9007199254740991";
        check(json!({ "integer": beyond }), Fault::NumberOutOfRange, detail);
    }
}

#[test]
fn required_keys_must_be_there_and_an_event_without_keys_takes_none() {
    let schema = schema();
    let missing = Err((Fault::PayloadInvalid, "payload.string is missing".to_owned()));
    assert_eq!(verdict(&schema, "NAMED", &json!({})), missing);
    assert_eq!(verdict(&schema, "NAMED", &json!({ "string": "x" })), Ok(()));
    assert_eq!(verdict(&schema, "BARE", &json!({})), Ok(()));
    let unknown = verdict(&schema, "BARE", &json!({ "string": "x" })).unwrap_err();
    assert_eq!(unknown.0, Fault::UnknownKey);
}

#[test]
fn a_detail_stays_short_whatever_the_user_wrote() {
    let schema = schema();
    for key in ["x".repeat(60_000), "\u{1}".repeat(10_000), "é".repeat(10_000)] {
        let (_, detail) = verdict(&schema, "ANY", &json!({ key: "v".repeat(1000) })).unwrap_err();
        assert!(detail.chars().count() < 120, "{detail}");
    }
    let (_, detail) = verdict(&schema, "ANY", &json!({ "stamp": "v".repeat(1000) })).unwrap_err();
    assert!(!detail.contains("vv"), "{detail}");
}

#[test]
fn the_json_schema_says_the_same_in_public_words() {
    let schema = Schema::parse(FITNESS).unwrap();
    let expect = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string" },
            "tags": {
                "type": "object",
                "properties": {
                    "add": { "type": "array", "items": { "type": "string" } },
                    "remove": { "type": "array", "items": { "type": "string" } },
                },
                "additionalProperties": false,
                "minProperties": 1,
            },
        },
        "required": ["name"],
        "additionalProperties": false,
    });
    assert_eq!(schema.event("WORKOUT_CREATED").unwrap().json_schema(), &expect);
    let duration = &schema.event("WORKOUT_DURATION_UPDATED").unwrap().json_schema()["properties"]["duration"];
    let greatest = 9_007_199_254_740_991_i64;
    assert_eq!(
        duration,
        &json!({ "type": "integer", "minimum": -greatest, "maximum": greatest, "description": "Unit: s" })
    );
}

#[test]
fn the_example_schema_takes_the_recorded_payloads() {
    let schema = Schema::parse(include_str!("../../../../../config/fitness.yaml")).unwrap();
    for (event_type, payload) in [
        (
            "WORKOUT_CREATED",
            json!({ "name": "Cycling", "sport": "cycling", "tags": { "add": ["cycling", "garmin"] } }),
        ),
        (
            "TRACK_POINT_RECORDED",
            json!({ "points": 1, "distance": 0, "maxHeartRate": 74, "maxSpeed": 0.0, "maxPower": 0 }),
        ),
        ("TRACK_POINT_RECORDED", json!({ "points": 1 })),
        ("WORKOUT_DURATION_UPDATED", json!({ "duration": 3600 })),
        ("LAP_RECORDED", json!({ "laps": 1 })),
        ("WORKOUT_COMPLETED", json!({ "calories": 512 })),
        ("WORKOUT_COMPLETED", json!({})),
        ("WORKOUT_DELETED", json!({})),
    ] {
        assert_eq!(verdict(&schema, event_type, &payload), Ok(()), "{event_type} {payload}");
    }
}
