//! Schemas: a text that parses has one id, gives the same schema again from itself and from its normal form, in
//! JSON as in YAML, may follow itself, and has no event that its own fold would skip.
#![no_main]

#[path = "planted.rs"]
mod planted;

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use tidelog_events::event::judge;
use tidelog_events::fold::Change;
use tidelog_events::id::DeviceId;
use tidelog_events::json::{canonical, scan_object};
use tidelog_events::schema::compatibility::check;
use tidelog_events::schema::{EventDefinition, Field, FieldType, MergeRule, Presence, Schema, SchemaError};

fuzz_target!(|text: &str| {
    match Schema::parse(text) {
        Ok(schema) => holds(text, &schema),
        Err(SchemaError::Unreadable(why)) => assert!(!why.is_empty() && !why.contains('\n'), "{why:?}"),
        Err(SchemaError::Invalid(problems)) => assert!(!problems.is_empty()),
    }
});

fn holds(text: &str, schema: &Schema) {
    assert!(schema.version() >= 1 && schema.id().version == schema.version());
    assert!(schema.id().fingerprint.len() == 16);
    is_the_same(schema, &Schema::parse(text).expect("parsed before"));
    let normal_form = schema.to_json().to_string();
    is_the_same(schema, &Schema::parse(&normal_form).expect("the normal form is a schema"));
    is_the_same_in_json(text, schema);
    follows(schema);
    planted::behind(
        schema.events().keys().map(|name| name.as_str().matches(char::is_lowercase).count()).sum(),
    );
    for (name, definition) in schema.events() {
        folds(name.as_str(), definition, schema);
    }
}

/// Numbers may be written in another way, `1e3` as `1000`, so documents are compared in canonical form.
fn is_the_same(one: &Schema, other: &Schema) {
    let form = |schema: &Schema| canonical(&schema.to_json()).expect("JSON");
    assert_eq!(form(one), form(other));
    assert_eq!(one.id(), other.id());
    assert_eq!(check(one, other), []);
}

/// Where the text is JSON without ambiguities, it means what a JSON reader reads.
fn is_the_same_in_json(text: &str, schema: &Schema) {
    let Ok(scanned) = scan_object(text) else { return };
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    if scanned.finding.is_none() {
        let form = String::from_utf8(canonical(&value).expect("JSON")).expect("UTF-8");
        is_the_same(schema, &Schema::parse(&form).expect("the canonical form is a schema, too"));
    }
}

/// The next version of the same may follow, and nothing goes back.
fn follows(schema: &Schema) {
    let Some(next) = schema.version().checked_add(1) else { return };
    let mut document = schema.to_json();
    document["version"] = json!(next);
    let newer = Schema::parse(&document.to_string()).expect("another version is a schema");
    assert_eq!(check(schema, &newer), []);
    assert_ne!(check(&newer, schema), []);
    assert_ne!(schema.id(), newer.id());
}

/// An event of every type is judged good and read by the fold, with all its keys and with only the required ones.
fn folds(name: &str, definition: &EventDefinition, schema: &Schema) {
    let entity = schema.entity(definition.entity().as_str()).expect("the entity is declared");
    let device = Arc::new(DeviceId::new("phone-1").expect("an id"));
    for all in [true, false] {
        let keys =
            definition.payload().iter().filter(|(_, presence)| all || **presence == Presence::Required);
        let payload: Map<String, Value> = keys
            .map(|(key, _)| (key.to_string(), write(entity.field(key.as_str()).expect("a field"))))
            .collect();
        let line = json!({
            "eventId": "018f4f7e-0000-7000-8000-000000000001",
            "type": name,
            "entityId": "e-1",
            "timestamp": 0,
            "payload": payload,
        });
        let line = line.to_string();
        assert_eq!(judge(&line, schema).expect("a readable line").finding, None);
        Change::read(&line, &device, schema).expect("the fold reads what the schema allows");
    }
    for field in definition.sets().keys() {
        assert!(entity.field(field.as_str()).is_some() && !definition.payload().contains_key(field));
    }
}

/// A write to a field.
fn write(field: &Field) -> Value {
    let value = match field.field_type {
        FieldType::String => json!("text"),
        FieldType::Integer => json!(-1),
        FieldType::Number => json!(0.5),
        FieldType::Boolean => json!(true),
        FieldType::Stamp => json!("2025-08-06T10:30:00Z"),
    };
    if let MergeRule::Set { .. } = field.merge { json!({ "add": [value] }) } else { value }
}
