//! The same line in other words: a reader may be quick where a line is written plainly, but it must not read another
//! thing there.

use std::sync::Arc;

use serde_json::{Map, Value};
use tidelog_events::event::{UnreadableLine, judge};
use tidelog_events::fold::Change;
use tidelog_events::id::DeviceId;
use tidelog_events::json::{canonical, scan_object};
use tidelog_events::schema::Schema;

/// A line without ambiguities, its canonical form, and one in which every character is escaped.
pub fn says_the_same(line: &str, schemas: &[Schema]) {
    if scan_object(line).ok().is_none_or(|scanned| scanned.finding.is_some()) {
        return;
    }
    let value: Value = serde_json::from_str(line).expect("JSON without ambiguities");
    let form = String::from_utf8(canonical(&value).expect("JSON")).expect("UTF-8");
    let escaped = escaped(&value);
    let device = Arc::new(DeviceId::new("phone-1").expect("an id"));
    for schema in schemas {
        // The canonical form may write a number of the fold in another way, but never one that is judged by its form.
        let read = Change::read(line, &device, schema);
        assert_eq!(Change::read(&escaped, &device, schema), read, "{escaped}");
        if judge(line, schema).is_ok_and(|judged| judged.finding.is_none()) {
            assert_eq!(Change::read(&form, &device, schema), read, "{form}");
        }
        // Of several faults another one may come first, since the keys do.
        let verdict = |line: &str| {
            let judged = judge(line, schema)?;
            Ok::<_, UnreadableLine>((
                judged.event_id,
                judged.device_sequence,
                judged.timestamp,
                judged.finding.is_none(),
            ))
        };
        assert_eq!(verdict(&escaped), verdict(line), "{escaped}");
    }
}

/// JSON in which no text stands as it is.
fn escaped(value: &Value) -> String {
    match value {
        Value::String(text) => escaped_text(text),
        Value::Array(elements) => {
            format!("[ {} ]", elements.iter().map(escaped).collect::<Vec<_>>().join(" ,"))
        }
        Value::Object(members) => escaped_object(members),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn escaped_object(members: &Map<String, Value>) -> String {
    let members = members.iter().map(|(key, value)| format!("{} :{}", escaped_text(key), escaped(value)));
    format!("{{ {} }}", members.collect::<Vec<_>>().join(" ,"))
}

fn escaped_text(text: &str) -> String {
    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
    format!("\"{}\"", units.collect::<String>())
}
