//! The entity line: an entity with its clocks as canonical JSON, byte for byte the same everywhere
//! (`docs/formats.md`, entity line).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::entity::{Entity, EntityKey};
use super::field::FieldState;
use crate::id::EntityId;
use crate::json::{canonical, canonical_ordered};
use crate::schema::Schema;

/// Why a line is not an entity.
#[derive(Debug, thiserror::Error)]
pub enum DamagedLine {
    /// Not JSON of a line's shape.
    #[error("an entity line cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// A field is in the form of another merge rule than the schema's.
    #[error("the field `{0}` of an entity line is not in the form of its merge rule")]
    Rule(Box<str>),
}

// The keys stand in canonical order.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line<C, I, F, T> {
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    created: Option<C>,
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    deleted: Option<C>,
    entity_id: I,
    fields: F,
    #[serde(rename = "type")]
    entity_type: T,
}

/// The entity as a line, without `\n`.
pub(super) fn write(key: &EntityKey, entity: &Entity) -> String {
    let line = Line {
        created: entity.created.as_ref(),
        deleted: entity.deleted.as_ref(),
        entity_id: &key.entity_id,
        fields: &entity.fields,
        entity_type: &key.entity_type,
    };
    // Names of schemas order as bytes and as UTF-16 alike; others only come from lines that someone else wrote.
    let is_ordered = entity.fields.keys().all(|name| name.is_ascii());
    let written = if is_ordered { canonical_ordered(&line) } else { canonical(&line) };
    let written = written.ok().and_then(|line| String::from_utf8(line).ok());
    // Keys are texts and numbers finite, so it always is JSON.
    debug_assert!(written.is_some(), "an entity is always JSON");
    written.unwrap_or_default()
}

/// The entity that a line holds, checked against the schema where that knows its fields. Entities and fields that it
/// does not know are kept as they are.
pub(super) fn read(line: &str, schema: &Schema) -> Result<(EntityKey, Entity), DamagedLine> {
    let line: Line<Clock, EntityId, BTreeMap<Box<str>, FieldState>, Box<str>> = serde_json::from_str(line)?;
    let entity_type = schema.entity(&line.entity_type);
    let of_another_rule = line.fields.iter().find(|(name, field)| {
        let known = entity_type.and_then(|entity_type| entity_type.field(name));
        known.is_some_and(|known| !field.is_of(known.merge))
    });
    if let Some((name, _)) = of_another_rule {
        return Err(DamagedLine::Rule(name.clone()));
    }
    let key = EntityKey { entity_type: line.entity_type, entity_id: line.entity_id };
    Ok((key, Entity { created: line.created, deleted: line.deleted, fields: line.fields }))
}
