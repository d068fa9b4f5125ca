//! A fold that shares nothing with the one under test: it keeps every write, sorts them, and computes each field from
//! all of them by the plain words of `docs/formats.md`. Simple and slow, so that it can be believed.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tidelog_events::id::DeviceId;
use tidelog_events::schema::{EventDefinition, Field, FieldType, MergeRule, Schema, SetValue};
use tidelog_events::stamp::Stamp;

/// The greatest whole number that every platform's JSON keeps.
const MAX_WHOLE: f64 = 9_007_199_254_740_991.0;

/// What readers see of the visible entities: their fields, by type and id.
pub type Views = BTreeMap<(String, String), Map<String, Value>>;

/// What these events, each once and in any order, amount to.
pub fn views<'l>(schema: &Schema, events: impl IntoIterator<Item = (&'l DeviceId, &'l str)>) -> Views {
    let mut said: Vec<Said<'_>> =
        events.into_iter().filter_map(|(device, line)| read(schema, device, line)).collect();
    said.sort_by(|one, other| one.at.cmp(&other.at));
    let mut entities: BTreeMap<(String, String), Vec<Said<'_>>> = BTreeMap::new();
    for said in said {
        let entity = (said.definition.entity().to_string(), said.entity_id.clone());
        entities.entry(entity).or_default().push(said);
    }
    entities.retain(|_, history| is_visible(history));
    entities.into_iter().map(|(entity, history)| (entity, view(schema, history))).collect()
}

/// What one event says.
struct Said<'s> {
    /// Stamp, device and sequence: the order of events.
    at: (Stamp, String, u64),
    entity_id: String,
    definition: &'s EventDefinition,
    /// Field by field, each in the one form of its value.
    writes: Vec<(String, Value)>,
}

/// `None` for an event that is skipped as a whole.
fn read<'s>(schema: &'s Schema, device: &DeviceId, line: &str) -> Option<Said<'s>> {
    let event: Value = serde_json::from_str(line).ok()?;
    let definition = schema.event(event["type"].as_str()?)?;
    let fields = schema.entity(definition.entity().as_str())?;
    let stamp: Stamp = serde_json::from_value(event["timestamp"].clone()).ok()?;
    let sequence = event.get("deviceSequence").map_or(Some(1), Value::as_u64)?;
    let nothing = Map::new();
    let payload = event.get("payload").map_or(Some(&nothing), Value::as_object)?;
    let mut writes = Vec::new();
    for key in definition.payload().keys() {
        if let Some(written) = payload.get(key.as_str()) {
            writes.push((key.to_string(), write(fields.field(key.as_str())?, written)?));
        }
    }
    for (key, value) in definition.sets() {
        let written = match value {
            SetValue::Literal(literal) => write(fields.field(key.as_str())?, literal)?,
            SetValue::Timestamp => Value::from(stamp.to_string()),
        };
        writes.push((key.to_string(), written));
    }
    let at = (stamp, device.to_string(), sequence);
    Some(Said { at, entity_id: event["entityId"].as_str()?.to_owned(), definition, writes })
}

fn write(field: &Field, written: &Value) -> Option<Value> {
    let MergeRule::Set { .. } = field.merge else { return value(field.field_type, written) };
    let parts = written.as_object()?;
    if parts.is_empty() || parts.keys().any(|key| key != "add" && key != "remove") {
        return None;
    }
    let elements = |(key, elements): (&String, &Value)| {
        let elements = elements.as_array()?.iter().map(|element| value(field.field_type, element));
        Some((key.clone(), Value::Array(elements.collect::<Option<_>>()?)))
    };
    parts.iter().map(elements).collect::<Option<Map<_, _>>>().map(Value::Object)
}

/// A value in its one form; `None` where it is of another type.
fn value(field_type: FieldType, json: &Value) -> Option<Value> {
    let is_whole = |number: f64| number.fract() == 0.0 && number.abs() <= MAX_WHOLE;
    match field_type {
        FieldType::String => json.is_string().then(|| json.clone()),
        FieldType::Boolean => json.is_boolean().then(|| json.clone()),
        FieldType::Stamp => Some(Value::from(Stamp::parse(json.as_str()?).ok()?.to_string())),
        FieldType::Integer => json.as_f64().filter(|number| is_whole(*number)).map(|n| Value::from(n as i64)),
        FieldType::Number => {
            let number = json.as_f64().filter(|number| number.is_finite())?;
            Some(if is_whole(number) { Value::from(number as i64) } else { Value::from(number) })
        }
    }
}

/// The last event that creates or deletes decides.
fn is_visible(history: &[Said<'_>]) -> bool {
    let decides = |said: &&Said<'_>| said.definition.creates() || said.definition.deletes();
    history.iter().rev().find(decides).is_some_and(|said| said.definition.creates())
}

fn view(schema: &Schema, history: Vec<Said<'_>>) -> Map<String, Value> {
    let Some(entity) = history.first().and_then(|said| schema.entity(said.definition.entity().as_str()))
    else {
        return Map::new();
    };
    let mut written: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (field, value) in history.into_iter().flat_map(|said| said.writes) {
        written.entry(field).or_default().push(value);
    }
    let shown = |(name, writes): (String, Vec<Value>)| {
        let shown = combine(entity.field(&name)?.merge, writes)?;
        Some((name, shown))
    };
    written.into_iter().filter_map(shown).collect()
}

/// What a field shows after these writes, the earliest first.
fn combine(rule: MergeRule, mut writes: Vec<Value>) -> Option<Value> {
    match rule {
        MergeRule::Latest => writes.pop(),
        MergeRule::First => writes.into_iter().next(),
        MergeRule::Max => writes.into_iter().max_by(order),
        MergeRule::Min => writes.into_iter().min_by(order),
        MergeRule::Sum => Some(sum(&writes)),
        MergeRule::Flag => Some(Value::from(writes.contains(&Value::from(true)))),
        MergeRule::List { keep } => {
            let surplus = writes.len().saturating_sub(keep.get() as usize);
            Some(Value::Array(writes.split_off(surplus)))
        }
        MergeRule::Set { keep } => Some(members(&writes, keep.get() as usize)),
    }
}

fn sum(writes: &[Value]) -> Value {
    let sum: i128 = writes.iter().filter_map(Value::as_i64).map(i128::from).sum();
    match i64::try_from(sum) {
        Ok(small) if small.unsigned_abs() <= MAX_WHOLE as u64 => Value::from(small),
        _ => Value::from(sum.to_string()),
    }
}

/// The present values of a set: of each value the latest write counts, and only the `keep` latest values.
fn members(writes: &[Value], keep: usize) -> Value {
    let mut members: Vec<(usize, &Value, bool)> = Vec::new();
    for (turn, write) in writes.iter().enumerate() {
        // Adding comes second, so that it wins within one event.
        for (key, is_present) in [("remove", false), ("add", true)] {
            for value in write[key].as_array().into_iter().flatten() {
                members.retain(|(_, member, _)| *member != value);
                members.push((turn, value, is_present));
            }
        }
    }
    members.sort_by(|(turn, value, _), (other_turn, other, _)| {
        turn.cmp(other_turn).then_with(|| order(value, other))
    });
    let mut shown: Vec<Value> = members
        .drain(members.len().saturating_sub(keep)..)
        .filter(|(_, _, is_present)| *is_present)
        .map(|(_, value, _)| value.clone())
        .collect();
    shown.sort_by(order);
    Value::Array(shown)
}

/// Values of one field: numbers by number, texts by bytes, false before true.
fn order(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        _ => one.as_f64().partial_cmp(&other.as_f64()).unwrap_or(Ordering::Equal),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;

    /// A golden vector, as far as it is needed here (`tests/vectors/README.md`).
    #[derive(Deserialize)]
    struct Vector {
        name: String,
        schema: Box<RawValue>,
        events: Vec<Recorded>,
        expected: Expected,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Recorded {
        device_id: DeviceId,
        event: Box<RawValue>,
    }

    #[derive(Deserialize)]
    struct Expected {
        views: Vec<ExpectedView>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ExpectedView {
        entity_id: String,
        #[serde(rename = "type")]
        entity_type: String,
        visible: bool,
        fields: Map<String, Value>,
    }

    /// As texts, in which `1` and `1.0` are the same number.
    fn canonical(views: &Views) -> Vec<String> {
        let text = |view| String::from_utf8(tidelog_events::json::canonical(&view).unwrap()).unwrap();
        views.iter().map(text).collect()
    }

    #[test]
    fn every_vector_shows_what_it_must_in_either_order() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut vectors = 0;
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
            let vector: Vector = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            let schema = Schema::parse(vector.schema.get()).unwrap();
            let of = |view: ExpectedView| {
                view.visible.then_some(((view.entity_type, view.entity_id), view.fields))
            };
            let expected: Views = vector.expected.views.into_iter().filter_map(of).collect();
            let events = || vector.events.iter().map(|recorded| (&recorded.device_id, recorded.event.get()));
            for found in [views(&schema, events()), views(&schema, events().rev())] {
                assert_eq!(canonical(&found), canonical(&expected), "{}", vector.name);
            }
            vectors += 1;
        }
        assert!(vectors >= 80, "there are {vectors} vectors");
    }
}
