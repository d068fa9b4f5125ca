//! The app's schema: the one in force, and how whoever holds a token reads it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use tidelog_events::schema::Schema;
use tokio::sync::watch;

use crate::auth::Caller;
use crate::problem::Problem;

/// The schema in force.
#[derive(Clone)]
pub struct CurrentSchema(pub watch::Receiver<Arc<Schema>>);

impl CurrentSchema {
    /// The schema, at this moment.
    pub fn get(&self) -> Arc<Schema> {
        self.0.borrow().clone()
    }
}

/// The app's schema
///
/// The schema that events are judged by, every default written out.
#[utoipa::path(
    get,
    path = "/v1/schema",
    tag = "schema",
    responses(
        (status = 200, description = "The schema", body = Object, example = json!({"name": "fitness", "version": 3,
            "entities": {"workout": {"fields": {"name": {"type": "string", "merge": "latest"}}}},
            "events": {"WORKOUT_CREATED": {"entity": "workout", "creates": true, "payload": {"name": "required"}}}})),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn schema(_: Caller, State(schema): State<CurrentSchema>) -> Json<Value> {
    Json(schema.get().to_json())
}
