//! Completes the API descriptions that are made from the handlers: what any request may be answered with, every refusal as
//! problem details with examples, what ids and positions look like. So a handler says only what is its own.

mod examples;
mod parameters;
mod refusals;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use tidelog_events::id::ID_PATTERN;
use utoipa::openapi::OpenApi;

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// Where a description is served: what its requests may be answered with differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// To devices and backends.
    Public,
    /// To support.
    Admin,
}

/// The description, complete.
pub(crate) fn complete(document: &OpenApi, api: Api) -> Value {
    // A description is plain structures with text keys, which always are JSON.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    document["servers"] = json!([{"url": "/", "description": "The installation that serves this"}]);
    document["components"]["securitySchemes"]["token"] = json!({
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A JSON Web Token that the app's backend signs. docs/operations/access.md lists its claims.",
    });
    document["components"]["examples"] = refusals::examples();
    for id in ["SpaceId", "DeviceId", "UserId", "EntityId"] {
        if let Some(schema) = document["components"]["schemas"].get_mut(id) {
            schema["pattern"] = ID_PATTERN.into();
        }
    }
    let components = document["components"].clone();
    for operation in operations(&mut document) {
        parameters::complete(operation, api);
        refusals::complete(operation, api);
        parameters::name_requests(operation);
        examples::complete(operation, &components);
    }
    document
}

/// Every operation of a description.
fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    let methods = paths.filter_map(|(_, item)| item.as_object_mut()).flatten();
    methods.filter(|(method, _)| METHODS.contains(&method.as_str())).map(|(_, operation)| operation)
}
