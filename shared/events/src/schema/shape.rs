//! What a payload is at a glance: its keys, with what their values must be. Made from the same fields as the
//! JSON Schema, and never more permissive: what is not obvious here is left to the checker.

use std::collections::BTreeMap;

use super::event::Presence;
use super::field::{EntityType, FieldType, MergeRule};
use super::name::FieldName;
use crate::json::{Member, plain_elements, plain_text, plain_whole, scan_object};
use crate::stamp::Stamp;

/// The keys of an event type's payload.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    keys: Box<[PayloadKey]>,
    required: usize,
}

/// A key of a payload, and the field that it writes.
#[derive(Debug, Clone)]
pub(crate) struct PayloadKey {
    pub(crate) name: FieldName,
    pub(crate) field_type: FieldType,
    pub(crate) merge: MergeRule,
    required: bool,
}

impl Shape {
    /// Keys without a field are left out: no schema that has one gets past the checker.
    pub(super) fn of(payload: &BTreeMap<FieldName, Presence>, entity: &EntityType) -> Self {
        let key = |(name, presence): (&FieldName, &Presence)| {
            let field = entity.field(name.as_str())?;
            let required = *presence == Presence::Required;
            Some(PayloadKey {
                name: name.clone(),
                field_type: field.field_type,
                merge: field.merge,
                required,
            })
        };
        let keys: Box<[_]> = payload.iter().filter_map(key).collect();
        let required = keys.iter().filter(|key| key.required).count();
        Self { keys, required }
    }

    /// The key of that name.
    pub(crate) fn key(&self, name: &str) -> Option<&PayloadKey> {
        self.keys.iter().find(|key| key.name.as_str() == name)
    }

    /// Whether a payload of these members is valid beyond doubt. They come from a scan without findings, so no
    /// key stands twice and every text and number is one that is kept.
    pub(crate) fn obviously_takes(&self, members: &[Member<'_>]) -> bool {
        let mut required = 0;
        for member in members {
            match self.key(&member.key) {
                Some(key) if key.obviously_takes(member.value) => required += usize::from(key.required),
                _ => return false,
            }
        }
        required == self.required
    }
}

impl PayloadKey {
    fn obviously_takes(&self, value: &str) -> bool {
        match self.merge {
            MergeRule::Set { .. } => self.obviously_takes_elements(value),
            _ => is_obviously(self.field_type, value),
        }
    }

    fn obviously_takes_elements(&self, value: &str) -> bool {
        let Ok(write) = scan_object(value) else { return false };
        let are_elements = |member: &Member<'_>| {
            matches!(member.key.as_ref(), "add" | "remove")
                && plain_elements(member.value).is_some_and(|elements| {
                    elements.into_iter().all(|element| is_obviously(self.field_type, element))
                })
        };
        !write.members.is_empty() && write.members.iter().all(are_elements)
    }
}

fn is_obviously(field_type: FieldType, value: &str) -> bool {
    match field_type {
        FieldType::String => value.starts_with('"'),
        FieldType::Integer => plain_whole(value).is_some(),
        FieldType::Number => value.starts_with(|first: char| first == '-' || first.is_ascii_digit()),
        FieldType::Boolean => matches!(value, "true" | "false"),
        FieldType::Stamp => plain_text(value).is_some_and(|text| Stamp::parse(text).is_ok()),
    }
}
