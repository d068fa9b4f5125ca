//! Finds the event that two states differ by.

use std::sync::Arc;

use tidelog_events::fold::{Change, Entity, EntityKey};
use tidelog_events::schema::Schema;

use crate::finding::{Culprit, Finding, Wrong};

/// Compares entity lines; `events` are those that the expected ones are folded from.
pub(super) fn compare_lines(
    what: &str,
    expected: &[String],
    found: &[String],
    events: &[Culprit],
    schema: &Schema,
) -> Result<(), Finding> {
    if expected == found {
        return Ok(());
    }
    let differing = expected.iter().find(|line| !found.contains(line)).or_else(|| {
        // Or there is one too many.
        found.iter().find(|line| !expected.contains(line))
    });
    let key = differing.and_then(|line| Entity::from_line(line, schema).ok()).map(|(key, _)| key);
    let line_of = |lines: &[String]| {
        let of_key =
            |line: &&String| Entity::from_line(line, schema).is_ok_and(|(other, _)| Some(other) == key);
        lines.iter().find(of_key).cloned()
    };
    let (expected, found) = (line_of(expected), line_of(found));
    let told = |line: &Option<String>| line.clone().unwrap_or_else(|| "nothing".to_owned());
    let what = format!("{what}: expected {}, found {}", told(&expected), told(&found));
    let event = key.and_then(|key| differing_by(&key, found.as_deref(), events, schema));
    Err(Finding { wrong: Wrong::Divergent, what, event })
}

/// The first event about the entity without which the fold is what was found; else the first about it.
fn differing_by(
    key: &EntityKey,
    found: Option<&str>,
    events: &[Culprit],
    schema: &Schema,
) -> Option<Culprit> {
    let read = |event: &Culprit| Change::read(&event.line, &Arc::new(event.device.clone()), schema).ok();
    let about: Vec<&Culprit> =
        events.iter().filter(|event| read(event).is_some_and(|change| change.entity == *key)).collect();
    let without = |left_out: usize| {
        let mut entity = Entity::default();
        let others = about.iter().enumerate().filter(|(index, _)| *index != left_out);
        others.filter_map(|(_, event)| read(event)).for_each(|change| entity.apply(change));
        entity.line(key)
    };
    let missing = (0..about.len()).find(|&index| found == Some(without(index).as_str()));
    about.get(missing.unwrap_or(0)).map(|event| (*event).clone())
}
