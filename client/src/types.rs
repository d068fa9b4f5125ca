//! What types that `tidelog schema types` generated are made of: an event's payload is written with [`Payload`], an
//! entity is read with [`ViewFields`].

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use crate::store::{EntityView, NewEvent};
pub use tidelog_events::id::EntityId;
pub use tidelog_events::stamp::Stamp;

/// What an event does to a set. An element that is in both is added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetChange<T> {
    /// Elements to put in.
    pub add: Vec<T>,
    /// Elements to take out.
    pub remove: Vec<T>,
}

impl<T> SetChange<T> {
    /// Puts elements in.
    #[must_use]
    pub fn adding(elements: impl IntoIterator<Item = impl Into<T>>) -> Self {
        Self { add: elements.into_iter().map(Into::into).collect(), remove: Vec::new() }
    }

    /// Takes elements out.
    #[must_use]
    pub fn removing(elements: impl IntoIterator<Item = impl Into<T>>) -> Self {
        Self { add: Vec::new(), remove: elements.into_iter().map(Into::into).collect() }
    }
}

/// The payload of an event, key by key. What a key must hold is judged where the event is recorded.
#[derive(Debug, Default)]
pub struct Payload(Map<String, Value>);

impl Payload {
    /// Writes a key. What JSON cannot hold, such as an infinite number, is written as `null`, which no schema allows.
    pub fn put(&mut self, key: &str, value: impl Serialize) {
        self.0.insert(key.to_owned(), serde_json::to_value(value).unwrap_or_default());
    }

    /// Writes a key that may be left out.
    pub fn put_optional(&mut self, key: &str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// The event with this payload.
    #[must_use]
    pub fn into_event(self, event_type: &str, entity_id: &EntityId) -> NewEvent {
        NewEvent::new(event_type, entity_id.clone(), Value::Object(self.0))
    }
}

/// An entity that the generated type does not fit: the types were made from another app's schema.
#[derive(Debug, thiserror::Error)]
pub enum UnexpectedView {
    /// It is of another type.
    #[error("`{found}` is not an entity of type `{expected}`")]
    EntityType {
        /// The type that is read.
        expected: &'static str,
        /// The entity's type.
        found: String,
    },
    /// A field holds something else than the schema says.
    #[error("the field `{field}` is not what the schema says")]
    Field {
        /// Its name in the schema.
        field: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The fields of an entity, to be read one by one.
#[derive(Debug, Clone, Copy)]
pub struct ViewFields<'a> {
    view: &'a EntityView,
}

impl<'a> ViewFields<'a> {
    /// The fields of an entity of that type.
    pub fn of(view: &'a EntityView, entity_type: &'static str) -> Result<Self, UnexpectedView> {
        if view.entity_type == entity_type {
            Ok(Self { view })
        } else {
            Err(UnexpectedView::EntityType { expected: entity_type, found: view.entity_type.clone() })
        }
    }

    /// Which entity it is.
    #[must_use]
    pub fn entity_id(&self) -> EntityId {
        self.view.entity_id.clone()
    }

    /// A field's value; the default where nothing was ever written.
    pub fn read<T: DeserializeOwned + Default>(&self, field: &'static str) -> Result<T, UnexpectedView> {
        let Some(value) = self.view.fields.get(field) else { return Ok(T::default()) };
        T::deserialize(value).map_err(|source| UnexpectedView::Field { field, source })
    }

    /// A sum: a number, or a text of digits where that is beyond ±(2⁵³ − 1). 0 where nothing was ever written.
    pub fn sum(&self, field: &'static str) -> Result<i128, UnexpectedView> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Sum {
            Number(i64),
            Digits(String),
        }
        match self.read::<Option<Sum>>(field)? {
            None => Ok(0),
            Some(Sum::Number(sum)) => Ok(sum.into()),
            Some(Sum::Digits(digits)) => digits.parse().map_err(|error| {
                let source = serde::de::Error::custom(error);
                UnexpectedView::Field { field, source }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn view(fields: Value) -> EntityView {
        let Value::Object(fields) = fields else { panic!("fields are an object") };
        let entity_id = EntityId::new("w-1").unwrap();
        EntityView { entity_type: "workout".to_owned(), entity_id, fields, pending: false }
    }

    #[test]
    fn a_payload_has_the_keys_that_were_put() {
        let mut payload = Payload::default();
        payload.put("name", "Run");
        payload.put("tags", SetChange::<String>::adding(["trail"]));
        payload.put_optional("laps", Some(3));
        payload.put_optional("sport", None::<String>);
        payload.put_optional("distance", Some(f64::NAN));
        let entity_id = EntityId::new("w-1").unwrap();
        let expected = json!({
            "name": "Run",
            "tags": {"add": ["trail"], "remove": []},
            "laps": 3,
            "distance": null,
        });
        let event = payload.into_event("WORKOUT_CREATED", &entity_id);
        assert_eq!(event, NewEvent::new("WORKOUT_CREATED", entity_id, expected));
    }

    #[test]
    fn a_field_is_read_or_was_never_written() {
        let view = view(json!({"name": "Run", "tags": ["b", "a"], "at": "2025-08-06T10:30:00.000Z-0003"}));
        let fields = ViewFields::of(&view, "workout").unwrap();
        assert_eq!(fields.read::<Option<String>>("name").unwrap().as_deref(), Some("Run"));
        assert_eq!(fields.read::<Option<String>>("sport").unwrap(), None);
        let tags = ["a".to_owned(), "b".to_owned()];
        assert_eq!(fields.read::<BTreeSet<String>>("tags").unwrap(), BTreeSet::from(tags));
        assert_eq!(fields.read::<Vec<f64>>("notes").unwrap(), Vec::<f64>::new());
        let stamp = Stamp::parse("2025-08-06T10:30:00.000Z-0003").unwrap();
        assert_eq!(fields.read::<Option<Stamp>>("at").unwrap(), Some(stamp));
        let error = fields.read::<Option<bool>>("name").unwrap_err();
        assert_eq!(error.to_string(), "the field `name` is not what the schema says");
        let error = ViewFields::of(&view, "note").unwrap_err();
        assert_eq!(error.to_string(), "`workout` is not an entity of type `note`");
    }

    #[test]
    fn a_sum_is_a_number_or_digits() {
        let check = |laps: Value, expect: Option<i128>| {
            let view = view(json!({"laps": laps}));
            assert_eq!(ViewFields::of(&view, "workout").unwrap().sum("laps").ok(), expect);
        };
        check(json!(-3), Some(-3));
        check(json!("9007199254740992"), Some(9_007_199_254_740_992));
        check(json!("-170141183460469231731687303715884105728"), Some(i128::MIN));
        check(json!("x"), None);
        check(json!(1.5), None);
        let nothing = view(json!({}));
        assert_eq!(ViewFields::of(&nothing, "workout").unwrap().sum("laps").unwrap(), 0);
    }
}
