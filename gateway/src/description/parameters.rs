//! What ids and positions look like in paths, queries and headers: the same wherever they stand.

use serde_json::{Map, Value, json};
use tidelog_events::id::ID_PATTERN;
use tidelog_events::limits::{MAX_CONDITIONS, MAX_ID_BYTES, MAX_SAFE_INTEGER};

use super::Api;

/// Says more of each parameter, by its name. What the handler says itself stays.
pub(super) fn complete(operation: &mut Value, api: Api) {
    if api == Api::Public {
        add_header(operation, client_version());
    }
    add_header(operation, request_id());
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let text = |key: &str| parameter[key].as_str().unwrap_or_default().to_owned();
        let (schema, example) = by_name(&text("in"), &text("name"), api);
        merge_all_of(&mut parameter["schema"]);
        never_null(&mut parameter["schema"]);
        for (key, value) in schema {
            add(&mut parameter["schema"], &key, value);
        }
        if !example.is_null() {
            add(parameter, "example", example);
        }
    }
}

fn add(object: &mut Value, key: &str, value: Value) {
    if object[key].is_null() {
        object[key] = value;
    }
}

/// Any request may name the version of its app.
fn client_version() -> Value {
    json!({
        "name": "Tidelog-Client-Version",
        "in": "header",
        "required": false,
        "description": "The app's version. One that is older than the installation serves is refused with `client-too-old`",
        // What cannot be read is no fault, unless there is a least version.
        "schema": {"type": "string"},
        "example": "2.14.0",
    })
}

/// Any request may have a name.
fn request_id() -> Value {
    json!({
        "name": "Tidelog-Request-Id",
        "in": "header",
        "required": false,
        "description": "The caller's own name for the request: at most 64 of `A-Za-z0-9._-`. Any other is passed over, and one is made",
        "schema": {"type": "string"},
        "example": "order-7.retry-2",
    })
}

fn add_header(operation: &mut Value, header: Value) {
    match operation.get_mut("parameters").and_then(Value::as_array_mut) {
        Some(parameters) => parameters.push(header),
        None => operation["parameters"] = json!([header]),
    }
}

/// Every answer names the request.
pub(super) fn name_requests(operation: &mut Value) {
    let header = json!({
        "description": "The request's name: the caller's own, or the id of its trace. The service's log has it",
        "schema": {"type": "string"},
        "example": "0af7651916cd43dd8448eb211c80319c",
    });
    for (_, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        response["headers"]["Tidelog-Request-Id"] = header.clone();
    }
}

/// An inlined enum comes as `allOf`, its default apart from it, as if that were an object.
fn merge_all_of(schema: &mut Value) {
    let Some(parts) = schema.get("allOf").and_then(Value::as_array) else { return };
    let members = parts.iter().filter_map(Value::as_object).flatten();
    let merged = members.filter(|(key, value)| *key != "type" || *value != "object");
    *schema = merged.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>().into();
}

/// A parameter is there or is not; none is `null`.
fn never_null(schema: &mut Value) {
    let kinds = schema.get_mut("type").and_then(Value::as_array_mut);
    if let Some(kinds) = kinds {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            schema["type"] = kind.clone();
        }
    }
}

/// Members of the parameter's schema, and an example; null for none.
fn by_name(place: &str, name: &str, api: Api) -> (Map<String, Value>, Value) {
    match (place, name) {
        ("path", "space") => (id(ID_PATTERN), json!("me")),
        // Only devices with a counter ask.
        ("query", "deviceId") if api == Api::Public => {
            (id(&ID_PATTERN.replacen('^', "^(?!event:)", 1)), json!("phone-1"))
        }
        ("path" | "query", "deviceId") => (id(ID_PATTERN), json!("phone-1")),
        ("query", "userId") => (id(ID_PATTERN), json!("ann")),
        ("path", "id") | ("query", "entityId") => (id(ID_PATTERN), json!("w-123")),
        ("query", "clientVersion") => (members(&json!({"type": "string"})), json!("2.14.0")),
        ("query", "cursor") => (members(&json!({"minLength": 1})), Value::Null),
        ("path", "type") | ("query", "types") => (members(&json!({"minLength": 1})), json!("workout")),
        ("query", "where") => (members(&json!({"maxItems": MAX_CONDITIONS})), Value::Null),
        ("query", "after" | "updatedAfter" | "atLeast" | "at" | "limit" | "wait") => (whole(0), Value::Null),
        _ => (Map::new(), Value::Null),
    }
}

fn id(pattern: &str) -> Map<String, Value> {
    members(&json!({"minLength": 1, "maxLength": MAX_ID_BYTES, "pattern": pattern}))
}

fn whole(minimum: u64) -> Map<String, Value> {
    members(&json!({"minimum": minimum, "maximum": MAX_SAFE_INTEGER}))
}

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}
