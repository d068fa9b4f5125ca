//! Queries: entities as they are shown, by type, id and field.

use std::cmp::Ordering;

use serde_json::Value;
use tidelog_events::fold::Entity;
use tidelog_events::id::{EntityId, SpaceId};

use super::{EntityView, EventStore, StoreError, entities, spaces};

/// Which entities to read, by id.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Their type.
    pub entity_type: String,
    /// What must hold of them, all of it.
    pub conditions: Vec<Condition>,
    /// Those behind this id.
    pub after: Option<EntityId>,
    /// At most so many.
    pub limit: usize,
}

impl Query {
    /// All entities of a type.
    pub fn all(entity_type: impl Into<String>) -> Self {
        Self { entity_type: entity_type.into(), conditions: Vec::new(), after: None, limit: usize::MAX }
    }

    /// Those of them of which this holds.
    #[must_use]
    pub fn having(mut self, field: impl Into<String>, operator: Operator, value: impl Into<Value>) -> Self {
        self.conditions.push(Condition { field: field.into(), operator, value: value.into() });
        self
    }
}

/// Something that must hold of a field. A field that was never written fulfils [`Operator::Ne`] alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The field.
    pub field: String,
    /// How it compares.
    pub operator: Operator,
    /// With what.
    pub value: Value,
}

/// How a field compares with a value. Texts compare as Unicode code points, stamps are such texts; values of two kinds
/// are different, and neither is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// A set or list that holds the value.
    Has,
}

impl Condition {
    fn holds(&self, entity: &Entity) -> bool {
        let value = entity.fields().get(self.field.as_str()).map(tidelog_events::fold::FieldState::view);
        let Some(value) = value else { return self.operator == Operator::Ne };
        let order = compare(&value, &self.value);
        match self.operator {
            Operator::Eq => order == Some(Ordering::Equal),
            Operator::Ne => order != Some(Ordering::Equal),
            Operator::Lt => order == Some(Ordering::Less),
            Operator::Le => order.is_some_and(Ordering::is_le),
            Operator::Gt => order == Some(Ordering::Greater),
            Operator::Ge => order.is_some_and(Ordering::is_ge),
            Operator::Has => value.as_array().is_some_and(|elements| {
                elements.iter().any(|element| compare(element, &self.value) == Some(Ordering::Equal))
            }),
        }
    }
}

fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => Some(one.cmp(&other)),
            _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
        },
        _ => (one == other).then_some(Ordering::Equal),
    }
}

impl EventStore {
    /// One entity, if it is visible.
    pub fn entity(
        &self,
        space: &SpaceId,
        entity_type: &str,
        entity_id: &EntityId,
    ) -> Result<Option<EntityView>, StoreError> {
        let space = spaces::load(&self.connection, space)?;
        let Some(stored) = entities::load(&self.connection, space.row, entity_type, entity_id)? else {
            return Ok(None);
        };
        let entity = stored.shown(&self.schema)?;
        Ok(stored.view(&entity))
    }

    /// The visible entities that the query asks for, by id; of a space with a recent window, those written in it.
    pub fn entities(&self, space: &SpaceId, query: &Query) -> Result<Vec<EntityView>, StoreError> {
        let space = spaces::load(&self.connection, space)?;
        let window = space.filter.recent.map(|recent| {
            let synced_ms = space.last_synced_at.map_or(i64::MIN, |time| time.0);
            let now_ms = space.clock.max(space.received).millis().max(synced_ms);
            now_ms.saturating_sub_unsigned(recent.as_millis().try_into().unwrap_or(u64::MAX))
        });
        let mut views = Vec::new();
        if query.limit == 0 {
            return Ok(views);
        }
        let after = query.after.as_ref();
        entities::walk(&self.connection, space.row, Some(&query.entity_type), after, |stored| {
            let entity = stored.shown(&self.schema)?;
            let recent = || {
                let written = entity.latest_stamp();
                window.is_none_or(|since_ms| written.is_some_and(|stamp| stamp.millis() >= since_ms))
            };
            if query.conditions.iter().all(|condition| condition.holds(&entity)) && recent() {
                views.extend(stored.view(&entity));
            }
            Ok(views.len() < query.limit)
        })?;
        Ok(views)
    }
}
