//! Event lines that are nearly as a schema says, for properties: each value, key and member may be wrong.

use std::sync::LazyLock;

use proptest::prelude::*;

use crate::schema::Schema;

/// Every type, and every rule that writes differently.
pub(crate) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::parse(DOCUMENT).unwrap());

const DOCUMENT: &str = "
name: nearly
version: 1
entities:
  thing:
    fields:
      text:    { type: string }
      whole:   { type: integer, merge: sum }
      number:  { type: number, merge: max }
      yes:     { type: boolean, merge: flag }
      when:    { type: stamp, merge: min }
      words:   { type: string, merge: set }
      wholes:  { type: integer, merge: set }
      moments: { type: stamp, merge: set }
      made:    { type: stamp, merge: first }
events:
  BARE: { entity: thing, deletes: true }
  MADE:
    entity: thing
    creates: true
    payload: { text: required }
    sets: { made: $timestamp, yes: true }
  WRITTEN:
    entity: thing
    payload: { text: optional, whole: required, number: optional, yes: optional, when: optional,
               words: optional, wholes: optional, moments: optional }
";

/// The text of any JSON value, of the kinds between which a reader must tell, and some that are not JSON.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        prop::sample::select(vec![
            "0",
            "-0",
            "1",
            "-1",
            "1.0",
            "-0.0",
            "1e2",
            "1E-2",
            "0.1",
            "123456789012345",
            "1234567890123456",
            "9007199254740991",
            "-9007199254740991",
            "9007199254740992",
            "18446744073709551616",
            "1e308",
            "1e400",
            "01",
            "1754476200000",
            "253402300800000",
            "2.2250738585072011e-308",
        ])
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<i32>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("JSON", |number| number.is_finite()).prop_map(|number| number.to_string()),
    ];
    let text = prop_oneof![
        prop::sample::select(vec![
            r#""""#,
            r#""a""#,
            r#"" a""#,
            r#""é""#,
            r#""\u0041""#,
            r#""\n""#,
            r#""\\""#,
            r#""\u0000""#,
            r#""\ud800""#,
            "\"\u{7f}\"",
            r#""2025-08-06T10:30:00.000Z-0003""#,
            r#""2025-08-06T10:30:00Z""#,
            r#""2025-02-29T10:30:00Z""#,
            r#""2025-08-06T10:30:00.000\u005a-0003""#,
            r#""2025-08-06T10:30:00+02:00""#,
            r#""1754476200000""#,
            r#""018f4f7e-0000-7000-8000-000000000001""#,
            r#""018F4F7E000070008000000000000001""#,
            r#""{018f4f7e-0000-7000-8000-000000000001}""#,
            r#""urn:uuid:018f4f7e-0000-7000-8000-000000000001""#,
            r#""018f4f7e-0000-7000-8000-00000000000\u0031""#,
            r#""018f4f7e-0000-7000-8000-00000000000""#,
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    let word = prop::sample::select(vec!["true", "false", "null", "tru", ""]).prop_map(str::to_owned);
    let leaf = prop_oneof![4 => number, 4 => text, 1 => word];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let elements =
            prop::collection::vec(inner.clone(), 0..3).prop_map(|values| format!("[{}]", values.join(", ")));
        let key = prop::sample::select(vec!["add", "remove", "add", "remove", "clear", "\\u0061dd"]);
        let write = prop::collection::vec((key, prop_oneof![3 => elements.clone(), 1 => inner]), 0..3);
        prop_oneof![1 => elements, 2 => write.prop_map(|members| object(&members))]
    })
}

/// The texts of payloads near [`SCHEMA`].
pub(crate) fn payload() -> impl Strategy<Value = String> {
    let fits = |field: &str| -> &'static [&'static str] {
        match field {
            "text" => &[r#""a""#, r#""\n""#, r#""é""#],
            "whole" => &["0", "7", "-3", "1.0"],
            "number" => &["0.5", "-1", "1e3", "0.0"],
            "yes" => &["true", "false"],
            "when" => &[r#""2025-08-06T10:30:00.000Z-0003""#, r#""2025-08-06T10:30:00Z""#],
            "words" => &[r#"{"add":["a","b"]}"#, r#"{"remove" : [ "a" ],"add":[]}"#, r#"{"add":["\t"]}"#],
            "wholes" => &[r#"{"add":[1,-2]}"#, r#"{"remove":[1.0]}"#, "{}"],
            _ => &[r#"{"add":["2025-08-06T10:30:00Z"]}"#],
        }
    };
    let keys = vec!["text", "whole", "number", "yes", "when", "words", "wholes", "moments"];
    let right = prop::sample::select(keys.clone())
        .prop_flat_map(move |key| (Just(key), prop::sample::select(fits(key)).prop_map(str::to_owned)));
    let key = prop::sample::select([keys, vec!["made", "other", "t\\u0065xt"]].concat());
    let member = prop_oneof![4 => right, 1 => (key, value())];
    let members = prop::collection::vec(member, 0..5).prop_map(|mut members| {
        // Mostly as the schema says: no key twice, and the required one there.
        members.sort_by_key(|(key, _)| *key);
        members.dedup_by_key(|(key, _)| *key);
        if members.iter().all(|(key, _)| *key != "whole") {
            members.push(("whole", "1".to_owned()));
        }
        object(&members)
    });
    let short = prop::sample::select(vec!["{}", r#"{"text":"a"}"#]).prop_map(str::to_owned);
    prop_oneof![6 => members, 2 => short, 1 => value()]
}

/// Event lines near [`SCHEMA`]; each member may be missing, twice or something else.
pub(crate) fn line() -> impl Strategy<Value = String> {
    let member = |key: &'static str, right: &'static [&'static str]| {
        let value = prop_oneof![30 => prop::sample::select(right).prop_map(str::to_owned), 1 => value()];
        let times = prop_oneof![30 => Just(1_usize), 1 => Just(0), 1 => Just(2)];
        (value, times).prop_map(move |(value, times)| vec![(key, value); times])
    };
    let payload = (payload(), prop::bool::weighted(0.9))
        .prop_map(|(payload, there)| if there { vec![("payload", payload)] } else { Vec::new() });
    let other = prop_oneof![30 => Just(Vec::new()), 1 => value().prop_map(|value| vec![("withheld", value)]),
        1 => value().prop_map(|value| vec![("more", value)])];
    (
        member("eventId", &[r#""018f4f7e-0000-7000-8000-000000000001""#]),
        member("deviceSequence", &["1", "77", "9007199254740991", "null"]),
        member("type", &[r#""WRITTEN""#, r#""MADE""#, r#""BARE""#, r#""WRITT\u0045N""#]),
        member("entityId", &[r#""w-1""#, r#""é 1""#, r#""\u0041""#]),
        member(
            "timestamp",
            &["1754476200000", r#""2025-08-06T10:30:00.000Z-0003""#, r#""2025-08-06T10:30:00Z""#],
        ),
        member("lastSeenEventId", &["null", r#""018f4f7e-0000-7000-8000-000000000001""#]),
        payload,
        other,
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| object(&[a, b, c, d, e, f, g, h].concat()))
}

fn object(members: &[(&str, String)]) -> String {
    let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}
