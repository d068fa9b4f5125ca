//! An app's schema: which entities it has, how their fields combine concurrent writes, and which events
//! write them. Whatever has the type [`Schema`] is valid; the services only look things up in it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::json::canonical;

mod check;
pub mod compatibility;
mod document;
mod event;
mod field;
mod name;
mod payload;
mod shape;

pub use check::{MAX_KEEP, Problem};
pub use document::MAX_SCHEMA_BYTES;
pub use event::{EventDefinition, Presence, SetValue, TIMESTAMP};
pub use field::{DEFAULT_KEEP, EntityType, Field, FieldType, MergeRule};
pub use name::{EntityTypeName, EventTypeName, FieldName, MAX_NAME_BYTES};
pub use payload::PayloadFault;

/// Why a text is not a schema. Both are the author's to repair; the sentences say where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Not YAML or JSON, or not of a schema's shape: an unknown or repeated key, a wrong kind of value.
    /// The sentence names the line and column. Nothing behind that place was looked at.
    #[error("the schema cannot be read: {0}")]
    Unreadable(String),
    /// A document of the right shape whose parts do not fit together: every problem there is.
    #[error("the schema has {} problem(s):\n{}", .0.len(), lines(.0))]
    Invalid(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("- {problem}")).collect::<Vec<_>>().join("\n")
}

/// Which schema: two with the same id mean the same, to the last default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaId {
    /// Its version.
    pub version: u32,
    /// 16 hexadecimal digits of the SHA-256 of its normal form: it tells apart what was edited without a new version.
    pub fingerprint: Box<str>,
}

fn fingerprint(normal_form: &Value) -> Box<str> {
    // Keys are texts and numbers finite, so it always is JSON.
    let digest = hmac_sha256::Hash::hash(&canonical(normal_form).unwrap_or_default());
    format!("{:016x}", u64::from_be_bytes(std::array::from_fn(|index| digest[index]))).into()
}

/// A valid schema, its payload validators compiled.
#[derive(Debug, Clone)]
pub struct Schema {
    fingerprint: Box<str>,
    name: Box<str>,
    version: u32,
    entities: BTreeMap<EntityTypeName, EntityType>,
    events: BTreeMap<EventTypeName, EventDefinition>,
}

impl Schema {
    /// Reads a schema file: YAML or JSON, at most [`MAX_SCHEMA_BYTES`].
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let mut schema = check::schema_of(document::read(text)?)?;
        schema.fingerprint = fingerprint(&schema.to_json());
        Ok(schema)
    }

    /// Which schema this is.
    pub fn id(&self) -> SchemaId {
        SchemaId { version: self.version, fingerprint: self.fingerprint.clone() }
    }

    /// The app's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema's version, from 1; it grows with every change.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The entity types by name.
    pub fn entities(&self) -> &BTreeMap<EntityTypeName, EntityType> {
        &self.entities
    }

    /// One entity type.
    pub fn entity(&self, entity_type: &str) -> Option<&EntityType> {
        self.entities.get(entity_type)
    }

    /// The event definitions by event type.
    pub fn events(&self) -> &BTreeMap<EventTypeName, EventDefinition> {
        &self.events
    }

    /// What an event of this type means; `None` for a type that is not declared.
    pub fn event(&self, event_type: &str) -> Option<&EventDefinition> {
        self.events.get(event_type)
    }

    /// The entity type that events of this type are about.
    pub fn entity_of(&self, event_type: &str) -> Option<&str> {
        self.event(event_type).map(|definition| definition.entity().as_str())
    }

    /// The document in its normal form, as `GET /v1/schema` serves it: every default written out, except
    /// a missing `unit` and the `keep` of rules that keep nothing. Parsing it gives this schema again.
    pub fn to_json(&self) -> Value {
        document::document_of(self)
    }
}

#[cfg(test)]
mod tests;
