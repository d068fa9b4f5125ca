//! An entity: what its events amount to, visible or not.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::change::{Change, Visibility};
use super::clock::Clock;
use super::field::FieldState;
use super::line::{self, DamagedLine};
use crate::id::EntityId;
use crate::schema::{EntityType, Schema};
use crate::stamp::Stamp;

/// Which entity of a space. Orders by type, then by id, as bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityKey {
    /// Its type.
    pub entity_type: Box<str>,
    /// Its id within the type.
    pub entity_id: EntityId,
}

/// What the events about one entity amount to. The default is an entity without events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entity {
    pub(super) created: Option<Clock>,
    pub(super) deleted: Option<Clock>,
    pub(super) fields: BTreeMap<Box<str>, FieldState>,
}

impl Entity {
    /// Takes an event in. Each event once, in any order.
    pub fn apply(&mut self, change: Change<'_>) {
        let Change { at, visibility, writes, .. } = change;
        for (field, rule, write) in writes {
            // `Change::read` lets no other write through.
            let Some(written) = FieldState::of(rule, write, &at) else { continue };
            match self.fields.get_mut(field.as_str()) {
                Some(present) => present.merge(written, rule.keep()),
                None => {
                    self.fields.insert(field.as_str().into(), written);
                }
            }
        }
        match visibility {
            Some(Visibility::Creates) => self.created = self.created.take().max(Some(at)),
            Some(Visibility::Deletes) => self.deleted = self.deleted.take().max(Some(at)),
            None => {}
        }
    }

    /// Takes in what other events about this entity amount to: no event may be in both. `entity_type` is the
    /// schema's, as far as it knows the type.
    pub fn merge(&mut self, other: Self, entity_type: Option<&EntityType>) {
        self.created = self.created.take().max(other.created);
        self.deleted = self.deleted.take().max(other.deleted);
        for (name, field) in other.fields {
            let keep = entity_type.and_then(|entity_type| entity_type.field(&name)?.merge.keep());
            match self.fields.get_mut(&name) {
                Some(present) => present.merge(field, keep),
                None => {
                    self.fields.insert(name, field);
                }
            }
        }
    }

    /// Whether readers see it: whether its last create is later than its last delete.
    pub fn is_visible(&self) -> bool {
        self.created > self.deleted
    }

    /// The fields that were ever written, by name.
    pub fn fields(&self) -> &BTreeMap<Box<str>, FieldState> {
        &self.fields
    }

    /// The fields as readers get them.
    pub fn view(&self) -> Map<String, Value> {
        self.fields.iter().map(|(name, field)| (name.to_string(), field.view())).collect()
    }

    /// The greatest stamp among the clocks that it holds; `None` where it holds none. A device that takes the entity
    /// in records later than that.
    pub fn latest_stamp(&self) -> Option<Stamp> {
        let visibility = [&self.created, &self.deleted].into_iter().flatten();
        let written = self.fields.values().filter_map(FieldState::latest_clock);
        visibility.chain(written).map(|clock| clock.stamp).max()
    }

    /// The entity line, without `\n`: canonical JSON (`docs/formats.md`).
    pub fn line(&self, key: &EntityKey) -> String {
        line::write(key, self)
    }

    /// Reads an entity line. Types and fields that the schema does not know are kept as they are.
    ///
    /// # Errors
    /// When the line is damaged, or of a schema with other merge rules.
    pub fn from_line(line: &str, schema: &Schema) -> Result<(EntityKey, Self), DamagedLine> {
        line::read(line, schema)
    }
}
