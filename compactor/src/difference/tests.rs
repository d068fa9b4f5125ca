//! Differences as people are told of them.

use serde_json::json;
use std::sync::Arc;

use super::*;

const SCHEMA: &str = "{name: app, version: 1, entities: {note: {fields: {n: {type: integer, merge: sum}, title: {type: string}}}}, \
                      events: {WRITTEN: {entity: note, creates: true, payload: {n: optional, title: optional}}}}";

fn event(sequence: u64, payload: &str) -> String {
    format!(
        r#"{{"eventId":"018f4f7e-0000-7000-8000-000000000001","deviceSequence":{sequence},"type":"WRITTEN","entityId":"a","timestamp":{sequence},"payload":{payload}}}"#
    )
}

/// The entity line of these events, all of one device.
fn folded(events: &[String], schema: &Schema) -> (EntityKey, String) {
    let device = Arc::new(DeviceId::new("phone-1").unwrap());
    let mut entity = Entity::default();
    let mut key = None;
    for line in events {
        let change = Change::read(line, &device, schema).unwrap();
        key = Some(change.entity.clone());
        entity.apply(change);
    }
    let key = key.unwrap();
    let line = entity.line(&key);
    (key, line)
}

#[test]
fn a_difference_names_the_field_both_values_and_the_event_that_decides_or_wrote_last() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let events =
        [event(1, r#"{"n":2,"title":"one"}"#), event(2, r#"{"n":3}"#), event(3, r#"{"title":"two"}"#)];
    let (key, line) = folded(&events, &schema);
    let altered = line.replace("\"two\"", "\"TWO\"").replace("{\"sum\":5}", "{\"sum\":6}");
    assert_ne!(line, altered);
    let mut found = between(&key, Some(&line), Some(&altered), &schema);
    let device = Arc::new(DeviceId::new("phone-1").unwrap());
    for (position, line) in (11..).map(Position).zip(&events) {
        note_event(&mut found, &Change::read(line, &device, &schema).unwrap(), position);
    }
    let told: Vec<_> = found
        .iter()
        .map(|difference| {
            let event = difference.event.as_ref().unwrap();
            (difference.field.as_deref().unwrap(), event.device_sequence.0, event.position.unwrap().0)
        })
        .collect();
    assert_eq!(told, [("n", 2, 12), ("title", 3, 13)]);
    assert_eq!((&found[0].folded, &found[0].stored), (&json!({"sum": 5}), &json!({"sum": 6})));
}

#[test]
fn an_entity_that_one_side_lacks_differs_in_every_field() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let (key, line) = folded(&[event(1, r#"{"n":2}"#)], &schema);
    let names = |found: Vec<Difference>| {
        found.into_iter().map(|difference| difference.field.unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(between(&key, Some(&line), None, &schema)), ["created", "n"]);
    let surplus = between(&key, None, Some(&line), &schema);
    assert!(surplus.iter().all(|difference| difference.folded.is_null() && difference.event.is_none()));
    assert_eq!(names(surplus), ["created", "n"]);
}

#[test]
fn a_line_that_cannot_be_read_differs_as_a_whole() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let (key, line) = folded(&[event(1, "{}")], &schema);
    let spaced = line.replace("{\"", "{ \"");
    let found = between(&key, Some(&line), Some(&spaced), &schema);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].field.as_deref(), found[0].stored.as_str()), (None, Some(spaced.as_str())));
}

#[test]
fn what_readers_get_is_compared_too_and_numbers_as_numbers() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let (key, line) = folded(&[event(1, r#"{"n":2,"title":"one"}"#)], &schema);
    let (_, entity) = Entity::from_line(&line, &schema).unwrap();
    let view = |json: Value| json.as_object().unwrap().clone();
    assert_eq!(in_view(&key, &entity, true, &view(json!({"n": 2.0, "title": "one"}))), []);
    let altered = in_view(&key, &entity, false, &view(json!({"n": 2, "title": "two", "more": 1})));
    let names: Vec<_> = altered.iter().map(|difference| difference.field.as_deref().unwrap()).collect();
    assert_eq!(names, ["more", "title", "visible"]);
    assert_eq!((&altered[1].folded, &altered[1].stored), (&json!("one"), &json!("two")));
    assert_eq!(altered[1].event.as_ref().unwrap().device_sequence, Sequence(1));
}
