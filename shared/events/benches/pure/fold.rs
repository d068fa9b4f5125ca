//! What the projector does: folds segments by themselves, merges what they amount to into stored entities,
//! and keeps the state hash.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::Criterion;
use tidelog_events::fold::{Change, Entity, EntityKey, LineDigest, StateHash};
use tidelog_events::frame::BatchLines;

use crate::measure;
use crate::recorded::{Batch, Recorded};

type Entities = BTreeMap<EntityKey, Entity>;

pub fn benches(criterion: &mut Criterion, recorded: &Recorded) {
    let folded: Vec<Entities> = recorded.batches.iter().map(|batch| fold(batch, recorded)).collect();
    let touched = folded.iter().map(|entities| entities.len() as u64).sum();
    let lines: Vec<String> = folded.iter().flatten().map(|(key, entity)| entity.line(key)).collect();

    measure(criterion, ("fold", "read and apply"), recorded.events(), || {
        for batch in &recorded.batches {
            black_box(fold(batch, recorded));
        }
    });
    measure(criterion, ("fold", "merge and write an entity"), touched, || {
        for (stored, (key, entity)) in lines.iter().zip(folded.iter().flatten()) {
            black_box(merge(stored, key, entity.clone(), recorded));
        }
    });
    let mut hash = StateHash::default();
    measure(criterion, ("fold", "state hash of an entity"), touched, || {
        for line in &lines {
            let digest = LineDigest::of(line.as_bytes());
            hash.replace("workout", Some(digest), digest);
        }
        black_box(&hash);
    });
}

fn fold(batch: &Batch, recorded: &Recorded) -> Entities {
    let mut entities = Entities::new();
    for line in BatchLines::split(&batch.body).unwrap().events {
        let change = Change::read(line, &batch.device, &recorded.schema).unwrap();
        match entities.get_mut(&change.entity) {
            Some(entity) => entity.apply(change),
            None => entities.entry(change.entity.clone()).or_default().apply(change),
        }
    }
    entities
}

/// The entity's row as it is written.
fn merge(stored: &str, key: &EntityKey, touched: Entity, recorded: &Recorded) -> (String, String) {
    let mut entity = Entity::from_line(stored, &recorded.schema).unwrap().1;
    entity.merge(touched, recorded.schema.entity(&key.entity_type));
    (entity.line(key), serde_json::to_string(&entity.view()).unwrap())
}
