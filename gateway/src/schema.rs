//! The app's schema, to whoever holds a token.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::CurrentSchema;

/// The app's schema
///
/// The schema that events are judged by, every default written out.
#[utoipa::path(
    get,
    path = "/v1/schema",
    tag = "schema",
    responses(
        (status = 200, description = "The schema", body = Object),
        (status = 401, description = "`unauthorized`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn schema(_: Caller, State(schema): State<CurrentSchema>) -> Json<Value> {
    Json(schema.get().to_json())
}
