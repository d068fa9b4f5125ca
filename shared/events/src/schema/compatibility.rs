//! Whether a schema may follow another: changes are additions. The log holds events of every version
//! before, and the newest schema must fold them all to what they meant.

use std::collections::BTreeMap;
use std::fmt;

use super::event::{EventDefinition, Presence};
use super::field::Field;
use super::name::{EventTypeName, FieldName};
use super::{EntityType, Schema};

/// A change that would give a recorded event another meaning, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakage {
    /// Where: the keys that lead there, such as `entities.workout.fields.laps.merge`.
    pub place: String,
    /// What changed and what to do, in a sentence.
    pub sentence: String,
}

impl fmt::Display for Breakage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.sentence)
    }
}

/// Everything that keeps `new` from following `old`; nothing if it may.
///
/// Allowed are new entities, fields and events, new optional payload keys, required keys that become
/// optional, and any `unit` or `indexed`; each change with a greater version.
pub fn check(old: &Schema, new: &Schema) -> Vec<Breakage> {
    let mut breakages = Breakages(Vec::new());
    breakages.check_name_and_version(old, new);
    for (name, entity) in old.entities() {
        let place = format!("entities.{name}");
        match new.entity(name.as_str()) {
            Some(new_entity) => breakages.check_fields(&place, entity, new_entity),
            None => breakages.add(place, REMOVED),
        }
    }
    breakages.check_events(old.events(), new);
    breakages.0
}

const REMOVED: &str = "was removed, but recorded events need it";
const FROZEN: &str = "is frozen; give the change a new name";

struct Breakages(Vec<Breakage>);

impl Breakages {
    fn add(&mut self, place: String, sentence: impl Into<String>) {
        self.0.push(Breakage { place, sentence: sentence.into() });
    }

    fn check_name_and_version(&mut self, old: &Schema, new: &Schema) {
        if old.name() != new.name() {
            let sentence = format!("was {} and is {}: another app's schema", old.name(), new.name());
            self.add("name".into(), sentence);
        }
        let (from, to) = (old.version(), new.version());
        if to < from {
            self.add("version".into(), format!("went back from {from} to {to}"));
        } else if to == from && old.id() != new.id() {
            self.add("version".into(), format!("is still {from}, but the schema has changed"));
        }
    }

    fn check_fields(&mut self, place: &str, old: &EntityType, new: &EntityType) {
        for (name, field) in old.fields() {
            let place = format!("{place}.fields.{name}");
            match new.field(name.as_str()) {
                Some(new_field) => self.check_field(&place, field, new_field),
                None => self.add(place, REMOVED),
            }
        }
    }

    fn check_field(&mut self, place: &str, old: &Field, new: &Field) {
        if old.field_type != new.field_type {
            self.add(format!("{place}.type"), FROZEN);
        }
        if old.merge.as_str() != new.merge.as_str() {
            self.add(format!("{place}.merge"), FROZEN);
        } else if old.merge != new.merge {
            self.add(format!("{place}.keep"), FROZEN);
        }
    }

    fn check_events(&mut self, old: &BTreeMap<EventTypeName, EventDefinition>, new: &Schema) {
        for (name, definition) in old {
            let place = format!("events.{name}");
            match new.event(name.as_str()) {
                Some(new_definition) => self.check_event(&place, definition, new_definition),
                None => self.add(place, REMOVED),
            }
        }
    }

    fn check_event(&mut self, place: &str, old: &EventDefinition, new: &EventDefinition) {
        if old.entity() != new.entity() {
            self.add(format!("{place}.entity"), FROZEN);
        }
        if old.creates() != new.creates() {
            self.add(format!("{place}.creates"), FROZEN);
        }
        if old.deletes() != new.deletes() {
            self.add(format!("{place}.deletes"), FROZEN);
        }
        if old.sets() != new.sets() {
            self.add(format!("{place}.sets"), FROZEN);
        }
        self.check_payload(&format!("{place}.payload"), old.payload(), new.payload());
    }

    fn check_payload(
        &mut self,
        place: &str,
        old: &BTreeMap<FieldName, Presence>,
        new: &BTreeMap<FieldName, Presence>,
    ) {
        for key in old.keys().filter(|key| !new.contains_key(*key)) {
            self.add(format!("{place}.{key}"), REMOVED);
        }
        for (key, _) in new.iter().filter(|(_, presence)| **presence == Presence::Required) {
            if old.get(key) != Some(&Presence::Required) {
                let sentence = "is newly required, but recorded events may lack it; make it optional";
                self.add(format!("{place}.{key}"), sentence);
            }
        }
    }
}
