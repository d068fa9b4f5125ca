//! From the document to the schema: every name, reference, rule and literal is judged, and every problem
//! is told, not only the first.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use serde_json::Value;

use super::document::{Document, EntityEntry, EventEntry, FieldEntry};
use super::event::{EventDefinition, Presence, SetValue, TIMESTAMP};
use super::field::{DEFAULT_KEEP, EntityType, Field, FieldType, MergeRule};
use super::name::{self, EntityTypeName, EventTypeName, FieldName};
use super::shape::Shape;
use super::{Schema, SchemaError, payload};

/// The most elements that a `set` or `list` may keep: an entity is one line of a snapshot.
pub const MAX_KEEP: u32 = 100_000;

/// Something in a schema that has to be changed before it can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: the keys that lead there, such as `events.LAP_RECORDED.payload.laps`.
    pub place: String,
    /// What is wrong, in a sentence.
    pub sentence: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.sentence)
    }
}

/// The problems so far. While there are any, what the checks return is used only to find more.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, place: &str, sentence: impl Into<String>) {
        self.0.push(Problem { place: place.to_owned(), sentence: sentence.into() });
    }

    fn check_name(&mut self, place: &str, name: &str) {
        if let Some(fault) = name::fault(name) {
            self.add(place, fault);
        }
    }
}

/// The schema that a document describes, or every reason why there is none.
pub(super) fn schema_of(document: Document) -> Result<Schema, SchemaError> {
    let mut problems = Problems::default();
    problems.check_name("name", &document.name);
    if document.version == 0 {
        problems.add("version", "versions begin at 1");
    }
    let entities = entities_of(document.entities, &mut problems);
    let mut events = BTreeMap::new();
    for (name, entry) in document.events {
        let place = format!("events.{name}");
        problems.check_name(&place, &name);
        if let Some(definition) = event_of(&place, entry, &entities, &mut problems) {
            events.insert(EventTypeName::checked(&name), definition);
        }
    }
    if problems.0.is_empty() {
        let (name, version) = (document.name.into(), document.version);
        Ok(Schema { fingerprint: Box::default(), name, version, entities, events })
    } else {
        Err(SchemaError::Invalid(problems.0))
    }
}

fn entities_of(
    entries: BTreeMap<String, EntityEntry>,
    problems: &mut Problems,
) -> BTreeMap<EntityTypeName, EntityType> {
    let mut entities = BTreeMap::new();
    for (name, entry) in entries {
        let place = format!("entities.{name}");
        problems.check_name(&place, &name);
        let mut fields = BTreeMap::new();
        for (field_name, field) in entry.fields {
            let place = format!("{place}.fields.{field_name}");
            problems.check_name(&place, &field_name);
            fields.insert(FieldName::checked(&field_name), field_of(&place, field, problems));
        }
        entities.insert(EntityTypeName::checked(&name), EntityType { fields });
    }
    entities
}

fn field_of(place: &str, entry: FieldEntry, problems: &mut Problems) -> Field {
    let field_type = FieldType::from_text(&entry.field_type).unwrap_or_else(|| {
        problems.add(&format!("{place}.type"), "the types are string, integer, number, boolean and stamp");
        FieldType::String
    });
    let keep = keep_of(place, entry.keep, problems);
    let merge = entry.merge.as_deref().unwrap_or("latest");
    let merge = MergeRule::from_text(merge, keep).unwrap_or_else(|| {
        let sentence = "the rules are latest, first, max, min, sum, set, flag and list";
        problems.add(&format!("{place}.merge"), sentence);
        // The one rule that takes every type and every `keep`: no complaints that only follow from this one.
        MergeRule::List { keep }
    });
    if let Some(allowed) = merge.fault(field_type) {
        let sentence = format!("the rule {} is for {allowed}, not {field_type}", merge.as_str());
        problems.add(&format!("{place}.merge"), sentence);
    }
    if entry.keep.is_some() && merge.keep().is_none() {
        problems.add(&format!("{place}.keep"), "only fields with the rule set or list keep elements");
    }
    Field { field_type, unit: entry.unit.map(Into::into), merge, indexed: entry.indexed }
}

fn keep_of(place: &str, keep: Option<u32>, problems: &mut Problems) -> NonZeroU32 {
    let Some(keep) = keep else { return DEFAULT_KEEP };
    NonZeroU32::new(keep).filter(|keep| keep.get() <= MAX_KEEP).unwrap_or_else(|| {
        problems.add(&format!("{place}.keep"), format!("between 1 and {MAX_KEEP} elements can be kept"));
        DEFAULT_KEEP
    })
}

fn event_of(
    place: &str,
    entry: EventEntry,
    entities: &BTreeMap<EntityTypeName, EntityType>,
    problems: &mut Problems,
) -> Option<EventDefinition> {
    if entry.creates && entry.deletes {
        problems.add(place, "an event creates or deletes, not both");
    }
    let Some(entity) = entities.get(entry.entity.as_str()) else {
        problems.add(&format!("{place}.entity"), format!("no such entity: {}", shortened(&entry.entity)));
        return None;
    };
    for field in entry.sets.keys().filter(|field| entry.payload.contains_key(*field)) {
        problems.add(&format!("{place}.sets.{field}"), "the payload writes this field already");
    }
    let within = Within { entity_type: &entry.entity, entity };
    let payload = within.payload_of(&format!("{place}.payload"), entry.payload, problems);
    let sets = within.sets_of(&format!("{place}.sets"), entry.sets, problems);
    let json_schema = payload::schema_of(&payload, entity);
    let validator = payload::compile(&json_schema).map_err(|error| problems.add(place, error)).ok()?;
    Some(EventDefinition {
        entity: EntityTypeName::checked(&entry.entity),
        creates: entry.creates,
        deletes: entry.deletes,
        shape: Shape::of(&payload, entity),
        payload,
        sets,
        json_schema,
        validator,
    })
}

/// The entity type that an event is about, to look up what the event writes.
struct Within<'a> {
    entity_type: &'a str,
    entity: &'a EntityType,
}

impl Within<'_> {
    fn field(&self, place: &str, name: &str, problems: &mut Problems) -> Option<&Field> {
        let field = self.entity.field(name);
        if field.is_none() {
            problems.add(place, format!("no such field in entity {}", shortened(self.entity_type)));
        }
        field
    }

    fn payload_of(
        &self,
        place: &str,
        entries: BTreeMap<String, String>,
        problems: &mut Problems,
    ) -> BTreeMap<FieldName, Presence> {
        let mut payload = BTreeMap::new();
        for (key, word) in entries {
            let place = format!("{place}.{key}");
            self.field(&place, &key, problems);
            match Presence::from_text(&word) {
                Some(presence) => drop(payload.insert(FieldName::checked(&key), presence)),
                None => problems.add(&place, "a payload key is `required` or `optional`"),
            }
        }
        payload
    }

    fn sets_of(
        &self,
        place: &str,
        entries: BTreeMap<String, Value>,
        problems: &mut Problems,
    ) -> BTreeMap<FieldName, SetValue> {
        let mut sets = BTreeMap::new();
        for (name, value) in entries {
            let place = format!("{place}.{name}");
            let Some(field) = self.field(&place, &name, problems) else { continue };
            match set_value(field, value) {
                Ok(value) => drop(sets.insert(FieldName::checked(&name), value)),
                Err(sentence) => problems.add(&place, sentence),
            }
        }
        sets
    }
}

fn set_value(field: &Field, value: Value) -> Result<SetValue, String> {
    if value == TIMESTAMP {
        return match (field.field_type, field.merge) {
            (FieldType::Stamp, MergeRule::Set { .. }) => Err("$timestamp cannot be written to a set".into()),
            (FieldType::Stamp, _) => Ok(SetValue::Timestamp),
            (other, _) => Err(format!("$timestamp is for fields of type stamp, not {other}")),
        };
    }
    if has_variable(&value) {
        return Err("$timestamp, as the whole value, is the only variable; texts cannot begin with $".into());
    }
    let validator = payload::compile(&payload::write_schema(field))?;
    payload::check(&validator, &value, "the value").map_err(|fault| fault.to_string())?;
    Ok(SetValue::Literal(value))
}

/// Whether a text that begins with `$` stands anywhere in the value.
fn has_variable(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with('$'),
        Value::Array(elements) => elements.iter().any(has_variable),
        Value::Object(entries) => entries.values().any(has_variable),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A name from the document, short enough for a sentence even if it is no name.
fn shortened(name: &str) -> String {
    name.chars().take(name::MAX_NAME_BYTES).collect()
}
