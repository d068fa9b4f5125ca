//! The schema file as it is written: its keys and their shapes, nothing about what they mean. Read from
//! YAML, of which JSON is a part.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::event::{EventDefinition, SetValue, TIMESTAMP};
use super::field::Field;
use super::{Schema, SchemaError};

/// Bytes of a schema file.
pub const MAX_SCHEMA_BYTES: usize = 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) entities: BTreeMap<String, EntityEntry>,
    pub(super) events: BTreeMap<String, EventEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntityEntry {
    pub(super) fields: BTreeMap<String, FieldEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldEntry {
    #[serde(rename = "type")]
    pub(super) field_type: String,
    pub(super) unit: Option<String>,
    pub(super) merge: Option<String>,
    pub(super) keep: Option<u32>,
    #[serde(default)]
    pub(super) indexed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventEntry {
    pub(super) entity: String,
    #[serde(default)]
    pub(super) creates: bool,
    #[serde(default)]
    pub(super) deletes: bool,
    #[serde(default)]
    pub(super) payload: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) sets: BTreeMap<String, Value>,
}

/// Reads a document, within bounds that aliases of aliases cannot escape.
pub(super) fn read(text: &str) -> Result<Document, SchemaError> {
    if text.len() > MAX_SCHEMA_BYTES {
        return Err(SchemaError::Unreadable(format!("it has more than {MAX_SCHEMA_BYTES} bytes")));
    }
    let options = serde_saphyr::options! {
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        // YAML 1.2 as JSON writes it: `no` and `on` are texts.
        strict_booleans: true,
        reject_unsupported_tags: true,
        // The error becomes one line of a log or of a problem document.
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        SchemaError::Unreadable(error.render_with_formatter(&serde_saphyr::UserMessageFormatter))
    })
}

/// The document that says what `schema` says, with every default written out.
pub(super) fn document_of(schema: &Schema) -> Value {
    let entities = object(schema.entities().iter().map(|(name, entity)| {
        let fields = object(entity.fields().iter().map(|(name, field)| (name, field_entry(field))));
        (name, json!({ "fields": fields }))
    }));
    let events = object(schema.events().iter().map(|(name, definition)| (name, event_entry(definition))));
    json!({ "name": schema.name(), "version": schema.version(), "entities": entities, "events": events })
}

fn field_entry(field: &Field) -> Value {
    let mut entry = json!({
        "type": field.field_type.as_str(),
        "merge": field.merge.as_str(),
        "indexed": field.indexed,
    });
    if let Some(unit) = &field.unit {
        entry["unit"] = json!(unit);
    }
    if let Some(keep) = field.merge.keep() {
        entry["keep"] = json!(keep);
    }
    entry
}

fn event_entry(definition: &EventDefinition) -> Value {
    let payload = object(definition.payload().iter().map(|(key, presence)| (key, json!(presence.as_str()))));
    let sets = object(definition.sets().iter().map(|(field, value)| {
        let value = match value {
            SetValue::Literal(literal) => literal.clone(),
            SetValue::Timestamp => json!(TIMESTAMP),
        };
        (field, value)
    }));
    json!({
        "entity": definition.entity().as_str(),
        "creates": definition.creates(),
        "deletes": definition.deletes(),
        "payload": payload,
        "sets": sets,
    })
}

fn object(entries: impl Iterator<Item = (impl ToString, Value)>) -> Map<String, Value> {
    entries.map(|(key, value)| (key.to_string(), value)).collect()
}
