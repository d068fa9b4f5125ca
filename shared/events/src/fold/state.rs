//! All entities of a space in memory, with their hash.

use std::collections::{BTreeMap, BTreeSet};

use super::change::Change;
use super::entity::{Entity, EntityKey};
use super::hash::{LineDigest, StateHash};
use super::line::DamagedLine;
use crate::schema::Schema;

/// What the events of a space amount to. The default is a space without events.
#[derive(Debug, Clone, Default)]
pub struct State {
    entities: BTreeMap<EntityKey, Entity>,
    /// Of those that are in `hash`.
    digests: BTreeMap<EntityKey, LineDigest>,
    hash: StateHash,
    /// Entities whose line has changed since it went into `hash`.
    touched: BTreeSet<EntityKey>,
}

impl State {
    /// The state that a snapshot's entity lines hold.
    ///
    /// # Errors
    /// When a line is damaged.
    pub fn from_lines<'l>(
        lines: impl IntoIterator<Item = &'l str>,
        schema: &Schema,
    ) -> Result<Self, DamagedLine> {
        let mut state = Self::default();
        for line in lines {
            let (key, entity) = Entity::from_line(line, schema)?;
            state.touched.insert(key.clone());
            state.entities.insert(key, entity);
        }
        Ok(state)
    }

    /// Takes an event in. Each event once, in any order.
    pub fn apply(&mut self, change: Change<'_>) {
        let key = change.entity.clone();
        self.touched.insert(key.clone());
        self.entities.entry(key).or_default().apply(change);
    }

    /// Takes in what other events amount to: no event may be in both.
    pub fn merge(&mut self, other: Self, schema: &Schema) {
        for (key, entity) in other.entities {
            self.touched.insert(key.clone());
            let entity_type = schema.entity(&key.entity_type);
            self.entities.entry(key).or_default().merge(entity, entity_type);
        }
    }

    /// The entities, invisible ones too, by type and id.
    pub fn entities(&self) -> &BTreeMap<EntityKey, Entity> {
        &self.entities
    }

    /// The entity lines in order of type and id, without `\n`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.entities.iter().map(|(key, entity)| entity.line(key))
    }

    /// The state hash. Only what was touched since the last call is hashed.
    pub fn hash(&mut self) -> &StateHash {
        for key in std::mem::take(&mut self.touched) {
            let Some(entity) = self.entities.get(&key) else { continue };
            let new = LineDigest::of(entity.line(&key).as_bytes());
            self.hash.replace(&key.entity_type, self.digests.get(&key).copied(), new);
            self.digests.insert(key, new);
        }
        &self.hash
    }
}
