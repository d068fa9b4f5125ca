//! The blocks of a document: commands, and the JSON that they print.

use serde_json::{Deserializer, Value};

/// Matches anything.
const ANYTHING: &str = "…";

/// Commands, and what they print; nothing where the document does not say.
#[derive(Debug)]
pub struct Step {
    pub commands: String,
    pub printed: Vec<Value>,
}

/// The steps of a document, in order, behind the heading that begins with `after`.
pub fn steps(text: &str, after: &str) -> Vec<Step> {
    let (_, rest) = text.split_once(after).unwrap();
    let mut steps: Vec<Step> = Vec::new();
    for fenced in rest.split("\n```").skip(1).step_by(2) {
        let (language, content) = fenced.split_once('\n').unwrap();
        if language == "sh" {
            steps.push(Step { commands: content.to_owned(), printed: Vec::new() });
        } else {
            assert_eq!(language, "json", "{content}");
            steps.last_mut().unwrap().printed = values(content);
        }
    }
    steps
}

/// The JSON values of a text, one after the other.
pub fn values(text: &str) -> Vec<Value> {
    let values = Deserializer::from_str(text).into_iter::<Value>();
    let values: Result<_, _> = values.collect();
    assert!(values.is_ok(), "{values:?}: {text}");
    values.unwrap()
}

/// Whether a value is as it is written, `…` standing for anything.
pub fn matches(written: &Value, value: &Value) -> bool {
    match (written, value) {
        (Value::String(text), _) if text == ANYTHING => true,
        (Value::Object(written), Value::Object(value)) => {
            let same = |(key, member)| value.get(key).is_some_and(|found| matches(member, found));
            written.len() == value.len() && written.iter().all(same)
        }
        (Value::Array(written), Value::Array(value)) => {
            written.len() == value.len()
                && written.iter().zip(value).all(|(written, value)| matches(written, value))
        }
        _ => written == value,
    }
}

#[test]
fn a_value_matches_what_is_written_and_nothing_else() {
    let check = |written: &str, value: &str, expect: bool| {
        let value = values(value).remove(0);
        assert_eq!(matches(&values(written)[0], &value), expect, "{written} {value}");
    };
    check(r#"{"a":"…","b":[1]}"#, r#"{"a":7,"b":[1]}"#, true);
    check(r#"{"a":"…"}"#, r#"{"a":7,"b":[1]}"#, false);
    check(r#"{"b":[1,"…"]}"#, r#"{"b":[1]}"#, false);
    check(r#"{"a":1}"#, r#"{"a":2}"#, false);
}
