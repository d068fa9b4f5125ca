//! The fold is a join (invariant 4): properties over any events, few enough values that they collide all the time.

mod explain;

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Change, Entity, State};
use crate::id::DeviceId;
use crate::schema::Schema;

const SCHEMA: &str = "
name: rules
version: 1
entities:
  thing:
    fields:
      latest: { type: string }
      first:  { type: integer, merge: first }
      max:    { type: number, merge: max }
      min:    { type: stamp, merge: min }
      sum:    { type: integer, merge: sum }
      set:    { type: string, merge: set, keep: 3 }
      flag:   { type: boolean, merge: flag }
      list:   { type: integer, merge: list, keep: 3 }
      made:   { type: stamp, merge: first }
events:
  MADE:    { entity: thing, creates: true, payload: { latest: optional }, sets: { made: $timestamp } }
  GONE:    { entity: thing, deletes: true, payload: { sum: optional } }
  WRITTEN:
    entity: thing
    payload: { latest: optional, first: optional, max: optional, min: optional, sum: optional, set: optional,
               flag: optional, list: optional }
";

/// An event line and the device that recorded it; its sequence makes its clock its own.
type Recorded = (Arc<DeviceId>, String);

fn text() -> impl Strategy<Value = Value> {
    prop::sample::select(vec!["", "a", "b", "é", "e\u{301}", "\u{ff5e}", "😀"]).prop_map(Value::from)
}

fn whole() -> impl Strategy<Value = Value> {
    let extreme = 9_007_199_254_740_991_i64;
    prop_oneof![
        prop::sample::select(vec![json!(0), json!(-1), json!(1.0), json!(extreme), json!(-extreme)]),
        (-5_i64..5).prop_map(Value::from)
    ]
}

fn stamp() -> impl Strategy<Value = String> {
    (0..3_u8, 0..2_u8).prop_map(|(second, counter)| format!("2025-08-06T10:30:0{second}.000Z-000{counter}"))
}

fn payload() -> impl Strategy<Value = Value> {
    let number = prop_oneof![any::<f64>().prop_filter("finite", |n| n.is_finite()), Just(-0.0), Just(0.5)];
    let elements = || prop::collection::vec(text(), 0..3);
    let write = prop_oneof![
        text().prop_map(|value| ("latest", value)),
        whole().prop_map(|value| ("first", value)),
        number.prop_map(|value| ("max", Value::from(value))),
        stamp().prop_map(|value| ("min", Value::from(value))),
        whole().prop_map(|value| ("sum", value)),
        (elements(), elements()).prop_map(|(add, remove)| ("set", json!({"add": add, "remove": remove}))),
        any::<bool>().prop_map(|value| ("flag", Value::from(value))),
        whole().prop_map(|value| ("list", value)),
        // Not a write to its field: the event is skipped, by everyone.
        Just(("first", Value::Null)),
    ];
    prop::collection::vec(write, 0..4).prop_map(|writes| writes.into_iter().collect())
}

fn events() -> impl Strategy<Value = Vec<Recorded>> {
    let event = (
        prop::sample::select(vec!["phone-1", "phone-2", "Phone-1"]),
        prop::sample::select(vec!["MADE", "GONE", "WRITTEN", "WRITTEN", "WRITTEN", "UNKNOWN"]),
        prop::sample::select(vec!["e-1", "e-2"]),
        stamp(),
        payload(),
    );
    prop::collection::vec(event, 0..24).prop_map(|events| {
        let line = |(index, (device, event_type, entity, stamp, payload)): (
            usize,
            (&str, &str, &str, String, Value),
        )| {
            let line = json!({
                "eventId": format!("0198f2a4-0000-7000-8000-{:012}", index + 1),
                "deviceSequence": index + 1,
                "type": event_type,
                "entityId": entity,
                "timestamp": stamp,
                "payload": payload,
            });
            (Arc::new(DeviceId::new(device).unwrap()), line.to_string())
        };
        events.into_iter().enumerate().map(line).collect()
    })
}

fn fold(events: &[Recorded], schema: &Schema) -> State {
    let mut state = State::default();
    for (device, line) in events {
        if let Ok(change) = Change::read(line, device, schema) {
            state.apply(change);
        }
    }
    state
}

fn bytes(state: &mut State) -> (Vec<String>, String) {
    (state.lines().collect(), json!(state.hash()).to_string())
}

fn check_same(mut state: State, mut expected: State) -> Result<(), TestCaseError> {
    prop_assert_eq!(bytes(&mut state), bytes(&mut expected));
    Ok(())
}

proptest! {
    #[test]
    fn invariant_4_any_order_folds_to_the_same_bytes(
        (events, shuffled) in events().prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle()))
    ) {
        let schema = Schema::parse(SCHEMA).unwrap();
        check_same(fold(&shuffled, &schema), fold(&events, &schema))?;
    }

    #[test]
    fn invariant_4_any_grouping_into_batches_folds_to_the_same_bytes(
        events in events(),
        batches in prop::collection::vec(0..4_usize, 24),
    ) {
        let schema = Schema::parse(SCHEMA).unwrap();
        let mut merged = State::default();
        // From the last batch to the first: merging is commutative, too.
        for batch in (0..4).rev() {
            let chosen = events.iter().zip(&batches).filter(|(_, chosen)| **chosen == batch);
            let chosen: Vec<_> = chosen.map(|(event, _)| event.clone()).collect();
            merged.merge(fold(&chosen, &schema), &schema);
            merged.hash();
        }
        check_same(merged, fold(&events, &schema))?;
    }

    #[test]
    fn invariant_4_any_split_between_snapshot_and_tail_folds_to_the_same_bytes(
        events in events(),
        split in 0..=24_usize,
    ) {
        let schema = Schema::parse(SCHEMA).unwrap();
        let (before, after) = events.split_at(split.min(events.len()));
        let lines: Vec<String> = fold(before, &schema).lines().collect();
        let mut state = State::from_lines(lines.iter().map(String::as_str), &schema).unwrap();
        prop_assert_eq!(&state.lines().collect::<Vec<_>>(), &lines, "a line is read back as it was written");
        for (device, line) in after {
            if let Ok(change) = Change::read(line, device, &schema) {
                state.apply(change);
            }
        }
        check_same(state, fold(&events, &schema))?;
    }

    #[test]
    fn a_hash_that_is_kept_up_equals_one_made_anew(events in events()) {
        let schema = Schema::parse(SCHEMA).unwrap();
        let mut kept_up = State::default();
        for (device, line) in &events {
            if let Ok(change) = Change::read(line, device, &schema) {
                kept_up.apply(change);
                kept_up.hash();
            }
        }
        let lines: Vec<String> = kept_up.lines().collect();
        let anew = State::from_lines(lines.iter().map(String::as_str), &schema).unwrap();
        check_same(kept_up, anew)?;
    }
}

#[test]
fn a_line_that_is_damaged_or_of_another_rule_is_an_error() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let check = |line: &str, expect: &str| {
        let error = State::from_lines([line], &schema).unwrap_err().to_string();
        assert!(error.contains(expect), "{line}: {error}");
    };
    check("", "cannot be read");
    check(r#"{"entityId":"e","fields":{}}"#, "cannot be read");
    check(r#"{"entityId":"e","fields":{"sum":{"sum":1.5}},"type":"thing"}"#, "cannot be read");
    check(r#"{"entityId":"e","fields":{"sum":{"max":1}},"type":"thing"}"#, "field `sum`");
    check(r#"{"entityId":"e","fields":{"sum":{"sum":1,"max":1}},"type":"thing"}"#, "cannot be read");
}

#[test]
fn what_the_schema_does_not_know_is_kept_as_it_is() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let lines = [
        r#"{"entityId":"e","fields":{"later":{"max":7}},"type":"thing"}"#,
        // Keys in the order of UTF-16, which is not that of bytes.
        r#"{"entityId":"e","fields":{"😀":{"max":7},"～":{"max":7}},"type":"unknown"}"#,
        r#"{"entityId":"f","fields":{"x":{"set":[["a",["2025-08-06T10:30:00.000Z-0000","phone-1",1],false]]}},"type":"unknown"}"#,
    ];
    let state = State::from_lines(lines, &schema).unwrap();
    assert_eq!(state.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn the_latest_stamp_is_the_greatest_of_all_clocks() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let check = |line: &str, expect: Option<&str>| {
        let line = format!(r#"{{{line},"type":"thing"}}"#).replace('@', "2025-08-06T10:30:00.000Z-000");
        let (_, entity) = Entity::from_line(&line, &schema).unwrap();
        let expect = expect.map(|counter| format!("2025-08-06T10:30:00.000Z-000{counter}"));
        assert_eq!(entity.latest_stamp().map(|stamp| stamp.to_string()), expect, "{line}");
    };
    check(r#""entityId":"e","fields":{"flag":{"flag":true},"max":{"max":7},"sum":{"sum":1}}"#, None);
    check(r#""created":["@1","p",1],"deleted":["@3","p",2],"entityId":"e","fields":{}"#, Some("3"));
    let fields = |latest: u8, first: u8, removed: u8, appended: u8| {
        format!(
            r#""created":["@0","p",1],"entityId":"e","fields":{{"first":{{"first":[1,["@{first}","p",2]]}},"latest":{{"latest":["a",["@{latest}","p",3]]}},"list":{{"list":[[1,["@0","q",1]],[2,["@{appended}","p",4]]]}},"set":{{"set":[["a",["@{removed}","p",5],false],["b",["@0","p",6],true]]}}}}"#
        )
    };
    check(&fields(9, 1, 2, 3), Some("9"));
    check(&fields(1, 9, 2, 3), Some("9"));
    check(&fields(1, 2, 9, 3), Some("9"));
    check(&fields(1, 2, 3, 9), Some("9"));
}
