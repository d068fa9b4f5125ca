//! What a payload may hold: JSON Schema derived from the fields, compiled once, and its verdicts in
//! sentences that say where and what, without repeating the user's text.

use std::collections::BTreeMap;

use jsonschema::Validator;
use jsonschema::error::{TypeKind, ValidationError, ValidationErrorKind};
use jsonschema::paths::{Location, LocationSegment};
use serde_json::{Map, Value, json};

use super::event::Presence;
use super::field::{EntityType, Field, FieldType, MergeRule};
use super::name::FieldName;
use crate::code::Fault;
use crate::limits::MAX_SAFE_INTEGER;
use crate::stamp::Stamp;

/// Why a payload is refused. The event goes to quarantine with this code and detail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct PayloadFault {
    code: Fault,
    detail: String,
}

impl PayloadFault {
    /// [`Fault::UnknownKey`] for a key that the event type does not declare; [`Fault::NumberOutOfRange`]
    /// for a whole number beyond ±(2⁵³ − 1), however it is written; else [`Fault::PayloadInvalid`].
    pub fn code(&self) -> Fault {
        self.code
    }

    /// A sentence that names the place and what belongs there.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// Characters of a user's key that a detail repeats.
const MAX_ECHOED_CHARS: usize = 64;

/// The JSON Schema of an event's payload. Keys without a field are left to the checker's complaints.
pub(super) fn schema_of(payload: &BTreeMap<FieldName, Presence>, entity: &EntityType) -> Value {
    let properties: Map<String, Value> = payload
        .keys()
        .filter_map(|key| Some((key.to_string(), write_schema(entity.field(key.as_str())?))))
        .collect();
    let required: Vec<&str> = payload
        .iter()
        .filter(|(_, presence)| **presence == Presence::Required)
        .map(|(key, _)| key.as_str())
        .collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// The JSON Schema of one write to a field, which depends on its merge rule (see [`MergeRule`]).
pub(super) fn write_schema(field: &Field) -> Value {
    let value = value_schema(field.field_type);
    let mut schema = match field.merge {
        MergeRule::Set { .. } => {
            let elements = json!({ "type": "array", "items": value });
            json!({
                "type": "object",
                "properties": { "add": elements, "remove": elements },
                "additionalProperties": false,
                "minProperties": 1,
            })
        }
        MergeRule::Latest
        | MergeRule::First
        | MergeRule::Max
        | MergeRule::Min
        | MergeRule::Sum
        | MergeRule::Flag
        | MergeRule::List { .. } => value,
    };
    if let Some(unit) = &field.unit {
        schema["description"] = json!(format!("Unit: {unit}"));
    }
    schema
}

fn value_schema(field_type: FieldType) -> Value {
    let greatest = MAX_SAFE_INTEGER as i64;
    match field_type {
        FieldType::String => json!({ "type": "string" }),
        FieldType::Integer => json!({ "type": "integer", "minimum": -greatest, "maximum": greatest }),
        FieldType::Number => json!({ "type": "number" }),
        FieldType::Boolean => json!({ "type": "boolean" }),
        FieldType::Stamp => json!({ "type": "string", "format": "stamp" }),
    }
}

/// Compiles a schema of this module. The error cannot happen but is the checker's to report.
pub(super) fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::draft202012::options()
        .with_format("stamp", |text: &str| Stamp::parse(text).is_ok())
        .should_validate_formats(true)
        .build(schema)
        .map_err(|error| error.to_string())
}

/// Judges `value`, which details call `root`.
pub(super) fn check(validator: &Validator, value: &Value, root: &str) -> Result<(), PayloadFault> {
    // Asking for a verdict alone is much faster, and nearly every payload is valid.
    if validator.is_valid(value) {
        return Ok(());
    }
    // The first error only: a payload can have one for every few of its bytes.
    validator.validate(value).map_err(|error| describe(&error, root))
}

fn describe(error: &ValidationError<'_>, root: &str) -> PayloadFault {
    let place = place(root, error.instance_path());
    let invalid = |detail: String| PayloadFault { code: Fault::PayloadInvalid, detail };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let key = unexpected.first().map_or("", String::as_str);
            let key = key.escape_debug().take(MAX_ECHOED_CHARS).collect::<String>();
            let detail = format!("{place} has the key `{key}`, which is not declared");
            let at_root = error.instance_path().as_str().is_empty();
            PayloadFault { code: if at_root { Fault::UnknownKey } else { Fault::PayloadInvalid }, detail }
        }
        ValidationErrorKind::Required { property } => {
            invalid(format!("{place}.{} is missing", property.as_str().unwrap_or_default()))
        }
        ValidationErrorKind::Type { kind: TypeKind::Single(expected) } => {
            invalid(format!("{place} must be of type {expected}, not {}", kind_of(error.instance())))
        }
        ValidationErrorKind::Minimum { .. } | ValidationErrorKind::Maximum { .. } => PayloadFault {
            code: Fault::NumberOutOfRange,
            detail: format!("{place} must lie within ±{MAX_SAFE_INTEGER}"),
        },
        ValidationErrorKind::Format { .. } => {
            invalid(format!("{place} must be a stamp such as 2025-08-06T10:30:00.000Z-0003"))
        }
        ValidationErrorKind::MinProperties { .. } => invalid(format!("{place} must have `add` or `remove`")),
        _ => invalid(format!("{place} is not as declared")),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null (a field cannot be cleared)",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The way from `root` to the value, such as `payload.tags.add[2]`. It leads through declared keys only.
fn place(root: &str, path: &Location) -> String {
    path.iter().fold(root.to_owned(), |place, segment| match segment {
        LocationSegment::Property(key) => format!("{place}.{key}"),
        LocationSegment::Index(index) => format!("{place}[{index}]"),
    })
}
