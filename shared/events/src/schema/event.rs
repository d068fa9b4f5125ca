//! What an event of one type means: the entity it is about, what it may carry, and what it sets.

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::Value;

use super::name::{EntityTypeName, FieldName};
use super::payload::{self, PayloadFault};
use super::shape::Shape;
use crate::json::canonical;

/// The one variable in `sets`, as it stands in a schema.
pub const TIMESTAMP: &str = "$timestamp";

/// Whether an event must carry a payload key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// The key must be there.
    Required,
    /// The key may be left out; it is never `null`.
    Optional,
}

impl Presence {
    /// The word as it stands in a schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
        }
    }

    /// The presence that the word means.
    pub fn from_text(word: &str) -> Option<Self> {
        [Self::Required, Self::Optional].into_iter().find(|presence| presence.as_str() == word)
    }
}

/// What an event sets a field to, by its type alone.
#[derive(Debug, Clone)]
pub enum SetValue {
    /// A write as it could stand in a payload; it fits the field's type and rule.
    Literal(Value),
    /// The event's own stamp; only for fields of type stamp.
    Timestamp,
}

impl PartialEq for SetValue {
    /// Numbers are what they count, however they are written: `1e3` is `1000`.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Timestamp, Self::Timestamp) => true,
            (Self::Literal(one), Self::Literal(other)) => canonical(one).ok() == canonical(other).ok(),
            _ => false,
        }
    }
}

/// The definition of an event type.
#[derive(Debug, Clone)]
pub struct EventDefinition {
    pub(super) entity: EntityTypeName,
    pub(super) creates: bool,
    pub(super) deletes: bool,
    pub(super) payload: BTreeMap<FieldName, Presence>,
    pub(super) sets: BTreeMap<FieldName, SetValue>,
    pub(super) shape: Shape,
    pub(super) json_schema: Value,
    pub(super) validator: Validator,
}

impl EventDefinition {
    /// The entity type that the event is about.
    pub fn entity(&self) -> &EntityTypeName {
        &self.entity
    }

    /// Whether the event makes its entity visible.
    pub fn creates(&self) -> bool {
        self.creates
    }

    /// Whether the event makes its entity invisible; never together with [`Self::creates`].
    pub fn deletes(&self) -> bool {
        self.deletes
    }

    /// The payload's keys. Each is a field of the entity type, and none is also in [`Self::sets`].
    pub fn payload(&self) -> &BTreeMap<FieldName, Presence> {
        &self.payload
    }

    /// The fields that the event sets by its type alone.
    pub fn sets(&self) -> &BTreeMap<FieldName, SetValue> {
        &self.sets
    }

    /// The JSON Schema (draft 2020-12, as in OpenAPI 3.1) of the payload. The format `stamp` is ours: a
    /// text that [`Stamp::parse`](crate::stamp::Stamp::parse) reads.
    pub fn json_schema(&self) -> &Value {
        &self.json_schema
    }

    /// The payload's keys with what their values must be.
    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Judges a payload. One that is absent from the event counts as `{}`, so pass that.
    pub fn check_payload(&self, payload: &Value) -> Result<(), PayloadFault> {
        payload::check(&self.validator, payload, "payload")
    }
}
