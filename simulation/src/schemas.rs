//! The schemas of a simulation: the server's, the app's, and that of an older version of the app, which declares what
//! the server does not know.

use std::sync::Arc;

use serde_json::{Value, json};
use tidelog_events::schema::{Schema, SchemaError};

/// The example app's schema, by which a simulation's server judges.
pub const FITNESS: &str = include_str!("../../config/fitness.yaml");

/// What an older version of the app records, and nobody else knows.
pub const RETIRED_EVENT: &str = "WORKOUT_RATED";

/// The payload key of an older version of the app.
pub const RETIRED_KEY: &str = "rating";

/// The schemas that a simulation runs with.
#[derive(Debug, Clone)]
pub struct Schemas {
    /// The server's, and what the checks fold by.
    pub server: Arc<Schema>,
    /// What the checks fold the state of an older app by.
    pub older: Arc<Schema>,
    /// The phones'.
    pub device: Arc<Schema>,
    /// That of phones with an older app.
    pub device_older: Arc<Schema>,
}

impl Schemas {
    /// The example app's, on all sides.
    pub fn fitness() -> Result<Self, SchemaError> {
        Self::with_device(FITNESS)
    }

    /// The example app's, but phones with a schema of their own: they fold by rules that nobody else has.
    pub fn with_device(text: &str) -> Result<Self, SchemaError> {
        let server = Arc::new(Schema::parse(FITNESS)?);
        let device = Arc::new(Schema::parse(text)?);
        let older = Arc::new(older_app(&server)?);
        let device_older = Arc::new(older_app(&device)?);
        Ok(Self { server, older, device, device_older })
    }
}

/// The schema of an older version of the app: an event type and a payload key that were taken out later.
fn older_app(schema: &Schema) -> Result<Schema, SchemaError> {
    let mut document = schema.to_json();
    let rating = json!({ "type": "integer" });
    insert(&mut document, &["entities", "workout", "fields"], RETIRED_KEY, rating);
    let rated = json!({ "entity": "workout", "payload": { RETIRED_KEY: "required" } });
    insert(&mut document, &["events"], RETIRED_EVENT, rated);
    insert(&mut document, &["events", "WORKOUT_COMPLETED", "payload"], RETIRED_KEY, json!("optional"));
    Schema::parse(&document.to_string())
}

fn insert(document: &mut Value, path: &[&str], key: &str, value: Value) {
    let place = path.iter().try_fold(document, |value, key| value.get_mut(key));
    if let Some(Value::Object(members)) = place {
        members.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_app_knows_more_than_the_server() {
        let schemas = Schemas::fitness().unwrap();
        assert!(schemas.device_older.event(RETIRED_EVENT).is_some());
        assert!(schemas.server.event(RETIRED_EVENT).is_none());
        let completed = |schema: &Schema| {
            let event = schema.event("WORKOUT_COMPLETED").unwrap();
            event.check_payload(&json!({ RETIRED_KEY: 5 })).is_ok()
        };
        assert!(completed(&schemas.device_older));
        assert!(!completed(&schemas.server));
    }
}
