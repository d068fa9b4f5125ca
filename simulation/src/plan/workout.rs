//! The events of a plan: what people do with workouts, and what an older app records.

use serde_json::{Map, Value, json};

use super::{PlannedEvent, chance};
use crate::schemas::{RETIRED_EVENT, RETIRED_KEY};

const NAMES: [&str; 5] = ["Morgenrunde", "Long run", "Тренировка", "朝のラン", "Long run "];
const SPORTS: [&str; 3] = ["running", "cycling", "rowing"];
const TAGS: [&str; 4] = ["trail", "road", "race", "café"];

/// Something that happens to a workout, as the server's schema has it.
pub(super) fn some_event(workout: u32, rng: &mut fastrand::Rng) -> PlannedEvent {
    let (event_type, payload) = match rng.u32(..100) {
        0..15 => ("WORKOUT_CREATED", created(rng)),
        15..45 => ("TRACK_POINT_RECORDED", track_point(rng)),
        45..65 => ("WORKOUT_DURATION_UPDATED", json!({ "duration": rng.i64(0..7200) })),
        65..82 => ("LAP_RECORDED", json!({ "laps": rng.i64(-1..4) })),
        82..92 => ("WORKOUT_COMPLETED", completed(rng)),
        _ => ("WORKOUT_DELETED", json!({})),
    };
    PlannedEvent { event_type, entity_id: format!("w-{workout}"), payload, is_valid: true }
}

/// The first event of a workout.
pub(super) fn creation(workout: u32, rng: &mut fastrand::Rng) -> PlannedEvent {
    let (event_type, payload) = ("WORKOUT_CREATED", created(rng));
    PlannedEvent { event_type, entity_id: format!("w-{workout}"), payload, is_valid: true }
}

/// Makes of an event one that only an older version of the app knows.
pub(super) fn make_retired(event: &mut PlannedEvent, rng: &mut fastrand::Rng) {
    event.is_valid = false;
    event.payload = json!({ RETIRED_KEY: rng.i64(1..6) });
    event.event_type = if rng.bool() { RETIRED_EVENT } else { "WORKOUT_COMPLETED" };
}

fn created(rng: &mut fastrand::Rng) -> Value {
    let mut payload = Map::new();
    payload.insert("name".into(), json!(pick(&NAMES, rng)));
    if chance(0.6, rng) {
        payload.insert("sport".into(), json!(pick(&SPORTS, rng)));
    }
    if chance(0.7, rng) {
        payload.insert("tags".into(), tags(rng));
    }
    Value::Object(payload)
}

fn tags(rng: &mut fastrand::Rng) -> Value {
    let some = |rng: &mut fastrand::Rng| {
        let count = rng.usize(..3);
        rng.choose_multiple(TAGS, count)
    };
    match rng.u32(..3) {
        0 => json!({ "add": some(rng) }),
        1 => json!({ "remove": some(rng) }),
        _ => json!({ "add": some(rng), "remove": some(rng) }),
    }
}

fn track_point(rng: &mut fastrand::Rng) -> Value {
    let mut payload = Map::new();
    payload.insert("points".into(), json!(1));
    if chance(0.7, rng) {
        payload.insert("distance".into(), json!(f64::from(rng.u32(..420_000)) / 10.0));
    }
    if chance(0.5, rng) {
        payload.insert("maxHeartRate".into(), json!(rng.u32(60..200)));
    }
    if chance(0.3, rng) {
        payload.insert("maxSpeed".into(), json!(f64::from(rng.u32(..2000)) / 100.0));
    }
    if chance(0.3, rng) {
        payload.insert("maxPower".into(), json!(rng.u32(..1200)));
    }
    Value::Object(payload)
}

fn completed(rng: &mut fastrand::Rng) -> Value {
    if rng.bool() { json!({ "calories": rng.u32(..2000) }) } else { json!({}) }
}

fn pick<'a>(among: &[&'a str], rng: &mut fastrand::Rng) -> &'a str {
    rng.choice(among).copied().unwrap_or_default()
}
