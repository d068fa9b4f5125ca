//! What one event says: read from its line by the schema, before anything is folded.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::clock::Clock;
use super::entity::EntityKey;
use super::field::Write;
use super::scalar::Scalar;
use crate::event::Event;
use crate::id::{DeviceId, Sequence};
use crate::schema::{EventDefinition, Field, FieldName, FieldType, MergeRule, Schema, SetValue};

/// What an event does to an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'s> {
    /// The entity.
    pub entity: EntityKey,
    /// The event's place in event order.
    pub at: Clock,
    pub(super) visibility: Option<Visibility>,
    pub(super) writes: Vec<(&'s FieldName, MergeRule, Write)>,
}

/// What an event says of its entity as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visibility {
    /// It exists.
    Creates,
    /// It is gone.
    Deletes,
}

/// Why an event is skipped, as a whole and by everyone who folds with the same schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    /// The line is not an event.
    #[error("the line is not an event")]
    Unreadable,
    /// The schema does not declare the event type.
    #[error("the schema does not declare the event type")]
    UnknownType,
    /// A declared payload key holds something else than a write to its field.
    #[error("the payload does not fit the field `{0}`")]
    Payload(Box<str>),
}

impl<'s> Change<'s> {
    /// What the event line says. `device` is the one that the segment's header names for it.
    ///
    /// # Errors
    /// When the event must be skipped.
    pub fn read(line: &str, device: &Arc<DeviceId>, schema: &'s Schema) -> Result<Self, Skipped> {
        let event: Event<'_> = serde_json::from_str(line).map_err(|_| Skipped::Unreadable)?;
        let definition = schema.event(&event.event_type).ok_or(Skipped::UnknownType)?;
        let payload: Map<String, Value> = match event.payload {
            Some(payload) => serde_json::from_str(payload.get()).map_err(|_| Skipped::Unreadable)?,
            None => Map::new(),
        };
        let sequence = event.device_sequence.unwrap_or(Sequence(1));
        let at = Clock { stamp: event.timestamp, device: device.clone(), sequence };
        let entity_type = definition.entity().as_str();
        Ok(Self {
            entity: EntityKey { entity_type: entity_type.into(), entity_id: event.entity_id },
            visibility: visibility(definition),
            writes: writes(definition, &payload, &at, schema)?,
            at,
        })
    }
}

fn visibility(definition: &EventDefinition) -> Option<Visibility> {
    match (definition.creates(), definition.deletes()) {
        (true, _) => Some(Visibility::Creates),
        (_, true) => Some(Visibility::Deletes),
        _ => None,
    }
}

fn writes<'s>(
    definition: &'s EventDefinition,
    payload: &Map<String, Value>,
    at: &Clock,
    schema: &'s Schema,
) -> Result<Vec<(&'s FieldName, MergeRule, Write)>, Skipped> {
    let Some(entity) = schema.entity(definition.entity().as_str()) else { return Err(Skipped::UnknownType) };
    let carried = definition.payload().keys().filter_map(|key| {
        let json = payload.get(key.as_str())?;
        Some((
            key,
            entity.field(key.as_str()).and_then(|field| write(field, json).map(|write| (field, write))),
        ))
    });
    let set = definition.sets().iter().map(|(name, value)| {
        let write = entity.field(name.as_str()).and_then(|field| match value {
            SetValue::Literal(json) => write(field, json).map(|write| (field, write)),
            SetValue::Timestamp => Some((field, Write::Value(at.stamp.into()))),
        });
        (name, write)
    });
    carried
        .chain(set)
        .map(|(name, written)| match written {
            Some((field, write)) => Ok((name, field.merge, write)),
            None => Err(Skipped::Payload(name.as_str().into())),
        })
        .collect()
}

/// What `json` writes to the field; `None` if it is no write to it.
fn write(field: &Field, json: &Value) -> Option<Write> {
    if let MergeRule::Set { .. } = field.merge {
        elements(field.field_type, json.as_object()?)
    } else {
        Scalar::read(field.field_type, json).map(Write::Value)
    }
}

fn elements(field_type: FieldType, write: &Map<String, Value>) -> Option<Write> {
    let known = write.keys().filter(|key| matches!(key.as_str(), "add" | "remove")).count();
    if known == 0 || known < write.len() {
        return None;
    }
    let read = |key: &str| -> Option<Vec<Scalar>> {
        let Some(json) = write.get(key) else { return Some(Vec::new()) };
        json.as_array()?.iter().map(|element| Scalar::read(field_type, element)).collect()
    };
    Some(Write::Elements { add: read("add")?, remove: read("remove")? })
}
