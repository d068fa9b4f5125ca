//! Examples of bodies for which the handler gives none: made from the schema, and the examples of its fields.

use serde_json::{Map, Value, json};

/// Deeper schemas are cut off: they contain themselves.
const MAX_DEPTH: usize = 12;

/// Gives every JSON body of the operation an example. `components` is the description's.
pub(super) fn complete(operation: &mut Value, components: &Value) {
    let Some(operation) = operation.as_object_mut() else { return };
    let (mut request, mut responses) = (None, None);
    for (key, value) in operation {
        match key.as_str() {
            "requestBody" => request = Some(value),
            "responses" => responses = value.as_object_mut(),
            _ => {}
        }
    }
    let responses = responses.into_iter().flatten().map(|(_, response)| response);
    for body in request.into_iter().chain(responses) {
        let Some(content) = body.pointer_mut("/content/application~1json") else { continue };
        if content.get("example").is_none() && content.get("examples").is_none() {
            content["example"] = example(&content["schema"], components, 0);
        }
    }
}

fn example(schema: &Value, components: &Value, depth: usize) -> Value {
    let deeper = |schema: &Value| example(schema, components, depth + 1);
    let given = ["example", "default", "const"].iter().find_map(|key| schema.get(*key));
    let listed = ["examples", "enum"].iter().find_map(|key| schema.get(*key)?.as_array()?.first());
    if let Some(value) = given.or(listed) {
        return value.clone();
    }
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    if let Some(name) =
        schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/components/schemas/"))
    {
        return deeper(&components["schemas"][name]);
    }
    if let Some(choice) = ["oneOf", "anyOf"].iter().find_map(|key| schema[*key].as_array()) {
        let said = choice.iter().find(|choice| choice["type"] != "null");
        return said.map_or(Value::Null, deeper);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let members = parts.iter().filter_map(|part| deeper(part).as_object().cloned()).flatten();
        return members.collect::<Map<_, _>>().into();
    }
    of_type(schema, deeper)
}

fn of_type(schema: &Value, deeper: impl Fn(&Value) -> Value) -> Value {
    let is = |kind: &str| match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|other| other == kind),
        other => other == kind,
    };
    if is("object") {
        let properties = schema["properties"].as_object().into_iter().flatten();
        properties.map(|(name, property)| (name.clone(), deeper(property))).collect::<Map<_, _>>().into()
    } else if is("array") {
        json!([deeper(&schema["items"])])
    } else if is("integer") || is("number") {
        schema["minimum"].as_u64().unwrap_or(1).into()
    } else if is("boolean") {
        true.into()
    } else if is("string") {
        match schema["format"].as_str() {
            Some("uuid") => json!("018f4f7e-0000-7000-8000-000000000001"),
            Some("date-time") => json!("2026-01-01T07:00:00.000Z"),
            _ => json!("ann"),
        }
    } else {
        Value::Null
    }
}
