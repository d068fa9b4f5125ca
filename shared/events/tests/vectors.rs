//! The golden vectors (`tests/vectors`): what this fold makes of their events must be, byte for byte, what an
//! independent fold in Python makes of them; in the order of the file and in every other way that events can arrive.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what is not there fails the test")]

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tidelog_events::fold::{Change, State};
use tidelog_events::id::DeviceId;
use tidelog_events::schema::Schema;

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
#[serde(rename_all = "camelCase")]
struct Expected {
    lines: Vec<String>,
    views: Vec<Value>,
    state_hash: Value,
    skipped: Vec<usize>,
}

fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert!(files.len() >= 80, "there are {} vectors", files.len());
    let read = |file: &std::path::PathBuf| {
        let vector: Vector = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(Some(vector.name.as_str()), file.file_stem().and_then(|stem| stem.to_str()));
        vector
    };
    files.iter().map(read).collect()
}

impl Vector {
    fn schema(&self) -> Schema {
        Schema::parse(self.schema.get()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// The changes of the events that are not skipped, and the numbers, from 1, of those that are.
    fn changes<'s>(&self, schema: &'s Schema) -> (Vec<Change<'s>>, Vec<usize>) {
        let mut skipped = Vec::new();
        let read = |(number, recorded): (usize, &Recorded)| {
            let device = Arc::new(recorded.device_id.clone());
            let change = Change::read(recorded.event.get(), &device, schema);
            change.map_err(|_| skipped.push(number)).ok()
        };
        let changes = (1..).zip(&self.events).filter_map(read).collect();
        (changes, skipped)
    }

    fn check(&self, mut state: State, how: &str) {
        let name = &self.name;
        let lines: Vec<String> = state.lines().collect();
        assert_eq!(lines, self.expected.lines, "{name}, {how}: entity lines");
        let view = |(key, entity): (&tidelog_events::fold::EntityKey, &tidelog_events::fold::Entity)| {
            json!({
                "entityId": key.entity_id,
                "type": key.entity_type,
                "visible": entity.is_visible(),
                "fields": entity.view(),
            })
        };
        let views: Vec<Value> = state.entities().iter().map(view).collect();
        assert_eq!(canonical(&views), canonical(&self.expected.views), "{name}, {how}: views");
        assert_eq!(json!(state.hash()), self.expected.state_hash, "{name}, {how}: state hash");
    }
}

/// As values: `1` and `1.0` are the same number.
fn canonical(views: &[Value]) -> String {
    String::from_utf8(tidelog_events::json::canonical(&views).unwrap()).unwrap()
}

fn fold<'s>(changes: impl IntoIterator<Item = Change<'s>>) -> State {
    let mut state = State::default();
    for change in changes {
        state.apply(change);
    }
    state
}

/// The changes in an order that `seed` says (Fisher-Yates, with the generator of Knuth's MMIX).
fn shuffled<'s>(changes: &[Change<'s>], mut seed: u64) -> Vec<Change<'s>> {
    let mut changes = changes.to_vec();
    for last in (1..changes.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        changes.swap(last, (seed >> 33) as usize % (last + 1));
    }
    changes
}

#[test]
fn invariant_4_every_vector_folds_to_its_expected_state() {
    for vector in vectors() {
        let schema = vector.schema();
        let (changes, skipped) = vector.changes(&schema);
        assert_eq!(skipped, vector.expected.skipped, "{}: skipped", vector.name);
        vector.check(fold(changes), "in order");
    }
}

#[test]
fn invariant_4_every_vector_folds_alike_in_every_order() {
    for vector in vectors() {
        let schema = vector.schema();
        let (changes, _) = vector.changes(&schema);
        vector.check(fold(changes.iter().rev().cloned()), "reversed");
        for seed in 0..20 {
            vector.check(fold(shuffled(&changes, seed)), &format!("shuffled by {seed}"));
        }
    }
}

#[test]
fn invariant_4_every_vector_folds_alike_however_it_is_split() {
    for vector in vectors() {
        let schema = vector.schema();
        let (changes, _) = vector.changes(&schema);
        for split in 0..=changes.len() {
            let (before, after) = changes.split_at(split);
            // A snapshot, and the log behind it.
            let lines: Vec<String> = fold(before.to_vec()).lines().collect();
            let mut state = State::from_lines(lines.iter().map(String::as_str), &schema).unwrap();
            state.hash();
            after.iter().cloned().for_each(|change| state.apply(change));
            vector.check(state, &format!("snapshot through {split}"));
            // Two folds of disjoint sets, merged.
            let mut state = fold(after.to_vec());
            state.hash();
            state.merge(fold(before.to_vec()), &schema);
            vector.check(state, &format!("merged at {split}"));
        }
    }
}
