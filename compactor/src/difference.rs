//! Where a read model is not what the log says: which entity, which field, and which event wrote it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidelog_events::fold::{Change, Clock, DamagedLine, Entity, EntityKey, FieldState};
use tidelog_events::id::{DeviceId, EntityId, Position, Sequence};
use tidelog_events::json::canonical;
use tidelog_events::schema::Schema;
use tidelog_events::stamp::Stamp;

/// One value that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The entity's type.
    #[serde(rename = "type")]
    pub entity_type: Box<str>,
    /// Its id.
    pub entity_id: EntityId,
    /// The field, in the form of entity lines, or as readers get it where only that differs; `created`, `deleted` and
    /// `visible` are the entity's own. None where the whole line differs.
    pub field: Option<Box<str>>,
    /// What snapshot and log fold to; null where there is nothing.
    pub folded: Value,
    /// What the read model has.
    pub stored: Value,
    /// The event that decides the field, as far as its rule knows one event: else the last one that wrote it.
    pub event: Option<Deciding>,
    /// Whether the rule knows it.
    #[serde(skip)]
    is_named: bool,
}

/// An event, by the name that everyone knows it by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deciding {
    /// Who recorded it.
    pub device_id: DeviceId,
    /// Its number there.
    pub device_sequence: Sequence,
    /// Its time.
    pub timestamp: Stamp,
    /// Where it stands in the log; none where it is pruned.
    pub position: Option<Position>,
}

impl Deciding {
    fn of(at: &Clock, position: Option<Position>) -> Self {
        Self { device_id: (*at.device).clone(), device_sequence: at.sequence, timestamp: at.stamp, position }
    }
}

/// What differs between an entity's folded and its stored line, of which one may be missing.
pub(crate) fn between(
    key: &EntityKey,
    folded: Option<&str>,
    stored: Option<&str>,
    schema: &Schema,
) -> Vec<Difference> {
    let of_field = |field: Option<Box<str>>, folded, stored, event: Option<Deciding>| Difference {
        entity_type: key.entity_type.clone(),
        entity_id: key.entity_id.clone(),
        field,
        folded,
        stored,
        is_named: event.is_some(),
        event,
    };
    let (folded_fields, stored_fields) = (fields(folded), fields(stored));
    let names: BTreeSet<_> = folded_fields.keys().chain(stored_fields.keys()).collect();
    let value = |of: &BTreeMap<Box<str>, Value>, name: &str| of.get(name).cloned().unwrap_or(Value::Null);
    let mut differences = Vec::new();
    for name in names {
        let (is, was) = (value(&folded_fields, name), value(&stored_fields, name));
        if is != was {
            let event = folded.and_then(|line| deciding(line, name, schema).ok().flatten());
            differences.push(of_field(Some(name.clone()), is, was, event));
        }
    }
    if differences.is_empty() {
        let text = |line: Option<&str>| line.map_or(Value::Null, Value::from);
        differences.push(of_field(None, text(folded), text(stored), None));
    }
    differences
}

/// What differs between what an entity shows and what the read model says of it, whose line is right. Numbers are compared
/// as numbers, however they are written.
pub(crate) fn in_view(
    key: &EntityKey,
    entity: &Entity,
    visible: bool,
    view: &Map<String, Value>,
) -> Vec<Difference> {
    let of_field = |field: &str, folded: Value, stored: Value| {
        let at = entity.fields().get(field).and_then(FieldState::latest_clock);
        Difference {
            entity_type: key.entity_type.clone(),
            entity_id: key.entity_id.clone(),
            field: Some(field.into()),
            folded,
            stored,
            event: at.map(|at| Deciding::of(at, None)),
            is_named: at.is_some(),
        }
    };
    let shown = entity.view();
    let names: BTreeSet<&String> = shown.keys().chain(view.keys()).collect();
    let value = |of: &Map<String, Value>, name: &str| of.get(name).cloned().unwrap_or(Value::Null);
    let mut differences: Vec<_> = names
        .into_iter()
        .map(|name| (name, value(&shown, name), value(view, name)))
        .filter(|(_, is, was)| canonical(is).ok() != canonical(was).ok())
        .map(|(name, is, was)| of_field(name, is, was))
        .collect();
    if visible != entity.is_visible() {
        differences.push(of_field("visible", entity.is_visible().into(), visible.into()));
    }
    differences
}

/// The fields of a line by name, and `created` and `deleted`.
fn fields(line: Option<&str>) -> BTreeMap<Box<str>, Value> {
    let line = line.and_then(|line| serde_json::from_str::<BTreeMap<Box<str>, Value>>(line).ok());
    let mut members = line.unwrap_or_default();
    let fields = members.remove("fields");
    members.retain(|name, _| matches!(&**name, "created" | "deleted"));
    if let Some(Value::Object(fields)) = fields {
        members.extend(fields.into_iter().map(|(name, value)| (name.into(), value)));
    }
    members
}

/// The event that a field of the line names by its clock.
fn deciding(line: &str, field: &str, schema: &Schema) -> Result<Option<Deciding>, DamagedLine> {
    let (_, entity) = Entity::from_line(line, schema)?;
    let at = entity.fields().get(field).and_then(|field| field.latest_clock());
    Ok(at.map(|at| Deciding::of(at, None)))
}

/// Tells the differences about an event of the log, which come in order: whether it is the one that decides.
pub(crate) fn note_event(differences: &mut [Difference], change: &Change<'_>, position: Position) {
    let at = &change.at;
    for difference in differences {
        let key = &change.entity;
        if difference.entity_type != key.entity_type || difference.entity_id != key.entity_id {
            continue;
        }
        match (&mut difference.event, &difference.field) {
            (Some(event), _) if difference.is_named => {
                if event.device_id == *at.device && event.device_sequence == at.sequence {
                    event.position = Some(position);
                }
            }
            (event, Some(field)) => {
                if change.fields().any(|written| written == &**field) {
                    *event = Some(Deciding::of(at, Some(position)));
                }
            }
            (event, None) => *event = Some(Deciding::of(at, Some(position))),
        }
    }
}

#[cfg(test)]
mod tests;
