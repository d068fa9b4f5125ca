//! Why an entity is as it is: beside the fold of its events, which of them each field shows and which it does not. The
//! fold alone decides; this only watches what it keeps, and so cannot say anything else.

mod field;
mod why;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use field::FieldExplanation;
pub use why::meaning;

use super::change::{Change, Visibility};
use super::clock::Clock;
use super::entity::Entity;
use super::field::FieldState;
use super::scalar::Scalar;
use crate::id::{EventId, Position, UserId};
use crate::protocol::UtcTime;

/// What an explanation calls an event by, beside its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Where it stands in the log.
    pub position: Position,
    /// Its label.
    pub event_id: EventId,
    /// Its type.
    pub event_type: Box<str>,
    /// Its author.
    pub user: UserId,
    /// When the gateway took it.
    pub received_at: UtcTime,
}

/// What one event has written: to a field, to an element of a set, or of the entity as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The event's place in event order.
    pub at: Clock,
    /// Which event that is.
    pub witness: Arc<Witness>,
    /// The value or element; `None` for a create or delete, and for a write to a set that names no element.
    pub value: Option<Scalar>,
    /// Of an element of a set: whether it was added, or removed.
    pub present: Option<bool>,
}

/// An entity with the events that made it what it is. It does not depend on the order in which these are taken in.
#[derive(Debug)]
pub struct Explanation {
    entity: Entity,
    created: Option<Written>,
    deleted: Option<Written>,
    fields: BTreeMap<Box<str>, FieldExplanation>,
    listed: usize,
}

impl Explanation {
    /// Of an entity without events. Of those that a field does not show, and of the summands of a sum, it keeps the
    /// `listed` latest for each field, and counts the others.
    pub fn new(listed: usize) -> Self {
        Self { entity: Entity::default(), created: None, deleted: None, fields: BTreeMap::new(), listed }
    }

    /// Takes an event about the entity in. Each event once, in any order.
    pub fn take(&mut self, change: Change<'_>, witness: Witness) {
        let witness = Arc::new(witness);
        self.entity.apply(change.clone());
        let Change { at, visibility, writes, .. } = change;
        for (name, rule, write) in writes {
            let Some(state) = self.entity.fields.get(name.as_str()) else { continue };
            if !self.fields.contains_key(name.as_str()) {
                self.fields.insert(name.as_str().into(), FieldExplanation::new(rule, self.listed));
            }
            if let Some(field) = self.fields.get_mut(name.as_str()) {
                field.take(write, &at, &witness, state);
            }
        }
        let place = match visibility {
            Some(Visibility::Creates) if self.entity.created.as_ref() == Some(&at) => &mut self.created,
            Some(Visibility::Deletes) if self.entity.deleted.as_ref() == Some(&at) => &mut self.deleted,
            _ => return,
        };
        *place = Some(Written { at, witness, value: None, present: None });
    }

    /// The entity.
    pub fn entity(&self) -> &Entity {
        &self.entity
    }

    /// The latest of the events that create it.
    pub fn created(&self) -> Option<&Written> {
        self.created.as_ref()
    }

    /// The latest of the events that delete it.
    pub fn deleted(&self) -> Option<&Written> {
        self.deleted.as_ref()
    }

    /// The fields that were ever written, by name, each with what the fold made of it and why.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &FieldState, &FieldExplanation)> {
        self.entity.fields.iter().filter_map(|(name, state)| Some((&**name, state, self.fields.get(name)?)))
    }

    /// Bytes that it takes, roughly.
    pub fn bytes(&self) -> u64 {
        self.fields.values().map(FieldExplanation::bytes).sum()
    }
}
