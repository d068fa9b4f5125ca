//! What `tidelog schema types` generated works with the SDK: events are valid under their schema, and entities are read
//! back from what readers get.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what is not there fails the test")]

mod awkward;
mod every_type;
#[path = "../../examples/fitness/mod.rs"]
mod fitness;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidelog_client::types::{EntityId, EntityView, NewEvent, SetChange, Stamp};
use tidelog_events::schema::Schema;

use awkward::{OptionEntity, SelfEntity, SetChangeEvent};
use every_type::{Everything, EverythingOptional, EverythingRequired};
use fitness::{Workout, WorkoutCompleted, WorkoutCreated, WorkoutDeleted};

const FITNESS: &str = include_str!("../../../config/fitness.yaml");
const AWKWARD: &str = include_str!("awkward.yaml");
const EVERY_TYPE: &str = include_str!("every_type.yaml");

fn id() -> EntityId {
    EntityId::new("e-1").unwrap()
}

fn view(entity_type: &str, fields: Value) -> EntityView {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    EntityView { entity_type: entity_type.to_owned(), entity_id: id(), fields, pending: false }
}

fn check_event(schema: &str, event: &NewEvent, event_type: &str, payload: &Value) {
    assert_eq!((event.event_type.as_str(), &event.entity_id), (event_type, &id()));
    assert_eq!(&event.payload, payload);
    let schema = Schema::parse(schema).unwrap();
    schema.event(event_type).unwrap().check_payload(&event.payload).unwrap();
}

#[test]
fn an_event_carries_what_it_must_and_what_it_was_given() {
    let check = |event: &NewEvent, event_type: &str, payload: &Value| {
        check_event(FITNESS, event, event_type, payload);
    };
    let created = WorkoutCreated::new("Morning run");
    check(&created.clone().about(&id()), "WORKOUT_CREATED", &json!({"name": "Morning run"}));
    let tags = SetChange::adding(["trail"]);
    let created = WorkoutCreated { tags: Some(tags), sport: Some("run".into()), ..created };
    check(
        &created.about(&id()),
        "WORKOUT_CREATED",
        &json!({"name": "Morning run", "sport": "run", "tags": {"add": ["trail"], "remove": []}}),
    );
    check(&WorkoutCompleted::new().about(&id()), "WORKOUT_COMPLETED", &json!({}));
    check(&WorkoutDeleted.about(&id()), "WORKOUT_DELETED", &json!({}));
    assert_eq!(WorkoutCompleted::new(), WorkoutCompleted::default());
}

#[test]
fn an_entity_is_read_as_its_type() {
    let fields = json!({
        "name": "Morning run",
        "laps": "9007199254740992",
        "bestPace": 240,
        "completed": true,
        "createdAt": "2025-08-06T10:30:00.000Z-0003",
        "tags": ["road", "trail"],
        "notes": ["b", "a"],
        "ofALaterVersion": 1,
    });
    let workout = Workout::try_from(&view(Workout::TYPE, fields)).unwrap();
    let expected = Workout {
        entity_id: id(),
        best_pace: Some(240.0),
        completed: true,
        created_at: Some(Stamp::parse("2025-08-06T10:30:00.000Z-0003").unwrap()),
        laps: 9_007_199_254_740_992,
        name: Some("Morning run".to_owned()),
        notes: vec!["b".to_owned(), "a".to_owned()],
        tags: BTreeSet::from(["road".to_owned(), "trail".to_owned()]),
        ..Workout::try_from(&view(Workout::TYPE, json!({}))).unwrap()
    };
    assert_eq!(workout, expected);
    assert_eq!((expected.points, expected.sport), (0, None));
    assert!(Workout::try_from(&view("note", json!({}))).is_err());
    assert!(Workout::try_from(&view(Workout::TYPE, json!({"name": 1}))).is_err());
}

#[test]
fn every_type_under_every_rule_is_written_as_its_schema_says() {
    let stamp = Stamp::parse("2025-08-06T10:30:00.000Z-0003").unwrap();
    let event = EverythingRequired {
        first_boolean: true,
        first_integer: -1,
        first_number: 0.5,
        first_stamp: stamp,
        first_string: "é".to_owned(),
        flag_boolean: false,
        latest_boolean: true,
        latest_integer: 9_007_199_254_740_991,
        latest_number: 1e300,
        latest_stamp: stamp,
        latest_string: String::new(),
        list_boolean: true,
        list_integer: 1,
        list_number: 1.0,
        list_stamp: stamp,
        list_string: "a".to_owned(),
        max_integer: 1,
        max_number: 1.5,
        max_stamp: stamp,
        min_integer: 1,
        min_number: 1.5,
        min_stamp: stamp,
        set_boolean: SetChange { add: vec![true], remove: vec![false] },
        set_integer: SetChange::removing([1_i64]),
        set_number: SetChange::adding([1.5]),
        set_stamp: SetChange::adding([stamp]),
        set_string: SetChange::adding(["a"]),
        sum_integer: 7,
    };
    let payload = event.about(&id()).payload;
    let schema = Schema::parse(EVERY_TYPE).unwrap();
    schema.event(EverythingRequired::TYPE).unwrap().check_payload(&payload).unwrap();
    // Sets and lists are read as arrays, everything else as it is written.
    let fields: serde_json::Map<String, Value> = payload
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| match value {
            Value::Object(change) => (key.clone(), change["add"].clone()),
            value if key.starts_with("list") => (key.clone(), json!([value])),
            value => (key.clone(), value.clone()),
        })
        .collect();
    let everything = Everything::try_from(&view(Everything::TYPE, Value::Object(fields))).unwrap();
    assert_eq!((everything.latest_integer, everything.sum_integer), (Some(9_007_199_254_740_991), 7));
    assert_eq!((everything.set_boolean, everything.set_number), (BTreeSet::from([true]), vec![1.5]));
    assert_eq!((everything.list_stamp, everything.min_stamp), (vec![stamp], Some(stamp)));
    check_event(EVERY_TYPE, &EverythingOptional::new().about(&id()), EverythingOptional::TYPE, &json!({}));
}

#[test]
fn awkward_names_mean_what_they_mean_in_the_schema() {
    let event =
        SetChangeEvent { foo_bar_field3: Some("c".to_owned()), ..SetChangeEvent::new("a", true, "b") };
    let payload = event.about(&id()).payload;
    let schema = Schema::parse(AWKWARD).unwrap();
    schema.event("SetChange").unwrap().check_payload(&payload).unwrap();
    let written = ["type", "super", "fooBar", "foo_bar"].map(|key| payload[key].clone());
    assert_eq!(payload.as_object().unwrap().len(), 4, "{written:?}");
    let option =
        OptionEntity::try_from(&view("option", json!({"type": "t", "entityId": "x", "Z": 5}))).unwrap();
    assert_eq!((option.r#type.as_deref(), option.z), (Some("t"), Some(5)));
    assert_eq!((option.entity_id, option.entity_id_field.as_deref()), (id(), Some("x")));
    assert_eq!(SelfEntity::try_from(&view("self", json!({}))).unwrap().name, None);
}
