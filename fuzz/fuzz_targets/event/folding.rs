//! The fold as a join: order and grouping change nothing, and entity lines hold all of it.

use tidelog_events::fold::{Change, Entity, State};
use tidelog_events::schema::Schema;

/// Forwards, backwards, and as two states that are merged: the same lines and the same hash.
pub fn any_order_and_grouping(changes: Vec<Change<'_>>, schema: &Schema) {
    if changes.is_empty() {
        return;
    }
    let half = changes.len() / 2;
    let mut forwards = fold(changes.iter().cloned());
    let mut backwards = fold(changes.iter().rev().cloned());
    let mut merged = fold(changes[half..].iter().cloned());
    merged.merge(fold(changes[..half].iter().cloned()), schema);
    let lines: Vec<String> = forwards.lines().collect();
    assert!(lines.iter().eq(backwards.lines().collect::<Vec<_>>().iter()), "any order");
    assert!(lines.iter().eq(merged.lines().collect::<Vec<_>>().iter()), "any grouping");
    assert_eq!(forwards.hash(), backwards.hash());
    assert_eq!(forwards.hash(), merged.hash());
    for ((key, entity), line) in forwards.entities().iter().zip(&lines) {
        let (read_key, read) = Entity::from_line(line, schema).expect("an entity line");
        assert_eq!((&read_key, &read), (key, entity), "{line}");
        assert_eq!(read.view(), entity.view());
    }
    let mut read = State::from_lines(lines.iter().map(String::as_str), schema).expect("entity lines");
    assert_eq!(read.hash(), forwards.hash());
}

fn fold<'s>(changes: impl Iterator<Item = Change<'s>>) -> State {
    let mut state = State::default();
    changes.for_each(|change| state.apply(change));
    state
}
