//! What one event says: read from its line by the schema, before anything is folded.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::clock::Clock;
use super::entity::EntityKey;
use super::field::Write;
use super::scalar::Scalar;
use crate::event::{Event, EventMembers, Key, read_event_id, read_stamp, read_text};
use crate::id::{DeviceId, EntityId, Sequence};
use crate::json::{Member, plain_elements, plain_natural, scan_object};
use crate::schema::{EventDefinition, Field, FieldName, FieldType, MergeRule, Schema, SetValue};

/// What an event does to an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'s> {
    /// The entity.
    pub entity: EntityKey,
    /// The event's place in event order.
    pub at: Clock,
    /// Whether its payload has keys that the schema does not declare, which are ignored: a later version may declare them.
    pub is_partial: bool,
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
    /// The fields that it writes.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.writes.iter().map(|(name, ..)| name.as_str())
    }

    /// What the event line says. `device` is the one that the segment's header names for it.
    ///
    /// # Errors
    /// When the event must be skipped.
    pub fn read(line: &str, device: &Arc<DeviceId>, schema: &'s Schema) -> Result<Self, Skipped> {
        match Self::read_plain(line, device, schema) {
            Some(change) => Ok(change),
            None => Self::read_any(line, device, schema),
        }
    }

    /// Reads a line that has nothing unusual, from the text of its members. `None` for any other: whether and why it
    /// is skipped says [`Self::read_any`].
    fn read_plain(line: &str, device: &Arc<DeviceId>, schema: &'s Schema) -> Option<Self> {
        let scanned = scan_object(line).ok().filter(|scanned| scanned.finding.is_none())?;
        let members = EventMembers::of(&scanned);
        // What is not needed here must be readable, too.
        read_event_id(members.value(Key::EventId)?)?;
        if let Some(last_seen) = members.value(Key::LastSeenEventId).filter(|value| *value != "null") {
            read_event_id(last_seen)?;
        }
        let sequence = match members.value(Key::DeviceSequence) {
            Some(number) => Sequence(plain_natural(number)?),
            None => Sequence(1),
        };
        let at =
            Clock { stamp: read_stamp(members.value(Key::Timestamp)?)?, device: device.clone(), sequence };
        let entity_id = EntityId::new(read_text(members.value(Key::EntityId)?)?).ok()?;
        let definition = schema.event(&read_text(members.value(Key::Type)?)?)?;
        let payload = members.payload()?;
        let mut writes = Vec::with_capacity(payload.len() + definition.sets().len());
        for member in payload {
            let key = definition.shape().key(&member.key)?;
            writes.push((&key.name, key.merge, read_write(key.merge, key.field_type, member.value)?));
        }
        // As they stand in the schema, whatever the order in the line.
        writes.sort_unstable_by_key(|(name, ..)| *name);
        for (name, written) in set_by_type(definition, &at, schema)? {
            let (field, write) = written?;
            writes.push((name, field.merge, write));
        }
        let entity = EntityKey { entity_type: definition.entity().as_str().into(), entity_id };
        Some(Self { entity, visibility: visibility(definition), writes, is_partial: false, at })
    }

    fn read_any(line: &str, device: &Arc<DeviceId>, schema: &'s Schema) -> Result<Self, Skipped> {
        let event: Event<'_> = serde_json::from_str(line).map_err(|_| Skipped::Unreadable)?;
        let definition = schema.event(&event.event_type).ok_or(Skipped::UnknownType)?;
        let payload: Map<String, Value> = match event.payload {
            Some(payload) => serde_json::from_str(payload.get()).map_err(|_| Skipped::Unreadable)?,
            None => Map::new(),
        };
        let sequence = event.device_sequence.unwrap_or(Sequence(1));
        let at = Clock { stamp: event.timestamp, device: device.clone(), sequence };
        let entity_type = definition.entity().as_str();
        let is_declared = |key: &String| definition.payload().keys().any(|name| name.as_str() == key);
        Ok(Self {
            entity: EntityKey { entity_type: entity_type.into(), entity_id: event.entity_id },
            visibility: visibility(definition),
            writes: writes(definition, &payload, &at, schema)?,
            is_partial: !payload.keys().all(is_declared),
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
    let set = set_by_type(definition, at, schema).ok_or(Skipped::UnknownType)?;
    carried
        .chain(set)
        .map(|(name, written)| match written {
            Some((field, write)) => Ok((name, field.merge, write)),
            None => Err(Skipped::Payload(name.as_str().into())),
        })
        .collect()
}

/// What the event writes to a field, or `None` where its definition writes something that the field does not take.
type Written<'s> = (&'s FieldName, Option<(&'s Field, Write)>);

/// What an event writes by its type alone; `None` if the schema does not have its entity.
fn set_by_type<'s>(
    definition: &'s EventDefinition,
    at: &Clock,
    schema: &'s Schema,
) -> Option<impl Iterator<Item = Written<'s>>> {
    let entity = schema.entity(definition.entity().as_str())?;
    let stamp = at.stamp;
    Some(definition.sets().iter().map(move |(name, value)| {
        let written = entity.field(name.as_str()).and_then(|field| match value {
            SetValue::Literal(json) => write(field, json).map(|write| (field, write)),
            SetValue::Timestamp => Some((field, Write::Value(stamp.into()))),
        });
        (name, written)
    }))
}

/// What a value writes to a field, read from its text.
fn read_write(rule: MergeRule, field_type: FieldType, value: &str) -> Option<Write> {
    let MergeRule::Set { .. } = rule else { return Scalar::read_text(field_type, value).map(Write::Value) };
    let read = |member: &Member<'_>| -> Option<Vec<Scalar>> {
        plain_elements(member.value)?
            .into_iter()
            .map(|element| Scalar::read_text(field_type, element))
            .collect()
    };
    let (mut add, mut remove) = (None, None);
    for member in scan_object(value).ok()?.members {
        match member.key.as_ref() {
            "add" => add = Some(read(&member)?),
            "remove" => remove = Some(read(&member)?),
            _ => return None,
        }
    }
    if add.is_none() && remove.is_none() {
        return None;
    }
    Some(Write::Elements { add: add.unwrap_or_default(), remove: remove.unwrap_or_default() })
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::nearly;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_plain_line_says_what_serde_reads_in_it(line in nearly::line()) {
        let schema = &*nearly::SCHEMA;
            let device = Arc::new(DeviceId::new("phone-1").unwrap());
            if let Some(change) = Change::read_plain(&line, &device, schema) {
                prop_assert_eq!(Change::read_any(&line, &device, schema), Ok(change), "{}", line);
            }
        }
    }

    #[test]
    fn a_payload_with_keys_that_the_schema_does_not_declare_is_taken_in_part() {
        let device = Arc::new(DeviceId::new("phone-1").unwrap());
        let is_partial = |payload: &str| {
            let line = format!(
                r#"{{"eventId":"018f4f7e-0000-7000-8000-000000000001","deviceSequence":1,"type":"MADE","entityId":"e","timestamp":1,"payload":{payload}}}"#
            );
            let change = Change::read(&line, &device, &nearly::SCHEMA).unwrap();
            (change.fields().any(|field| field == "text"), change.is_partial)
        };
        assert_eq!(is_partial(r#"{"text":"a"}"#), (true, false));
        assert_eq!(is_partial(r#"{"text":"a","newer":null}"#), (true, true));
        assert_eq!(is_partial(r#"{"newer":{"text":"a"}}"#), (false, true));
    }

    #[test]
    fn an_ordinary_line_is_plain() {
        let schema = &*nearly::SCHEMA;
        let device = Arc::new(DeviceId::new("phone-1").unwrap());
        let line = |event_type: &str, payload: &str| {
            format!(
                r#"{{"eventId":"018f4f7e-0000-7000-8000-000000000001","deviceSequence":1,"type":"{event_type}","entityId":"e","timestamp":"2025-08-06T10:30:00.000Z-0003","lastSeenEventId":null,"payload":{payload}}}"#
            )
        };
        for (event_type, payload) in [
            ("MADE", r#"{"text":"Ann\"s"}"#),
            ("BARE", "{}"),
            (
                "WRITTEN",
                r#"{"whole":1.0,"number":0.5,"yes":true,"words":{"add":["a"]},"when":"2025-08-06T10:30:00Z"}"#,
            ),
        ] {
            assert!(
                Change::read_plain(&line(event_type, payload), &device, schema).is_some(),
                "{event_type}"
            );
        }
    }
}
