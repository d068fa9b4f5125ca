//! However many runs, they merge to the same state.

use std::sync::Arc;

use proptest::prelude::*;
use tidelog_events::fold::{Change, State, Touched};
use tidelog_events::id::{DeviceId, Position};

use super::*;

const SCHEMA: &str = "{name: app, version: 1, entities: {note: {fields: {n: {type: integer, merge: sum}, \
                      last: {type: integer}, tags: {type: integer, merge: list, keep: 3}}}}, \
                      events: {ADDED: {entity: note, creates: true, payload: {n: required, last: required, tags: required}}}}";

/// An event about one of some notes, as a line.
fn line(sequence: usize, note: u8, value: u8) -> String {
    format!(
        r#"{{"eventId":"018f4f7e-0000-7000-8000-000000000001","deviceSequence":{},"type":"ADDED","entityId":"n{note}","timestamp":{},"payload":{{"n":{value},"last":{value},"tags":{value}}}}}"#,
        sequence + 1,
        u32::from(value) * 1000 / 7
    )
}

/// What these lines amount to by themselves.
fn delta(lines: &[String], schema: &Schema) -> Delta {
    let device = Arc::new(DeviceId::new("phone-1").unwrap());
    let mut delta = Delta::default();
    for line in lines {
        let change = Change::read(line, &device, schema).unwrap();
        let touched = delta.entities.entry(change.entity.clone()).or_insert_with(|| Touched {
            entity: Entity::default(),
            first: Position(1),
            last: Position(1),
        });
        touched.entity.apply(change);
    }
    delta
}

fn folded_at_once(lines: &[String], schema: &Schema) -> Vec<String> {
    let device = Arc::new(DeviceId::new("phone-1").unwrap());
    let mut state = State::default();
    for line in lines {
        state.apply(Change::read(line, &device, schema).unwrap());
    }
    state.lines().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn invariant_4_however_many_runs_there_are_they_merge_to_what_folding_at_once_gives(
        events in prop::collection::vec((0u8..20, any::<u8>()), 1..200),
        events_of_a_run in 1usize..40,
    ) {
        let schema = Schema::parse(SCHEMA).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<_> = events.iter().enumerate().map(|(at, (note, value))| line(at, *note, *value)).collect();
        let mut runs = Runs::new(folder.path());
        for run in lines.chunks(events_of_a_run) {
            runs.add(delta(run, &schema), &schema).unwrap();
        }
        prop_assert!(runs.files.len() < FILES_MAX);
        let merged = runs.merged(&schema).unwrap();
        let merged: Vec<_> = merged.map(|entity| entity.map(|(key, entity)| entity.line(&key)).unwrap()).collect();
        prop_assert_eq!(merged, folded_at_once(&lines, &schema));
    }
}

#[test]
fn a_work_folder_that_is_not_there_is_an_error_and_one_run_needs_none() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let mut runs = Runs::new(Path::new("/nowhere/at/all"));
    runs.add(delta(&[line(0, 1, 1)], &schema), &schema).unwrap();
    assert!(matches!(runs.add(delta(&[line(1, 1, 1)], &schema), &schema), Err(RunError::Io(_))));
}
