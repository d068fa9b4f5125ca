//! What the user of a phone does next: goes on with a workout, whichever phone it was begun on, or begins one.

use anyhow::Result;
use fastrand::Rng;
use serde_json::{Value, json};
use tidelog_client::NewEvent;
use tidelog_client::store::EntityView;
use tidelog_events::id::EntityId;

/// The entity type.
pub(super) const WORKOUT: &str = "workout";
const CREATED: &str = "WORKOUT_CREATED";
const TRACK_POINT: &str = "TRACK_POINT_RECORDED";
const LAP: &str = "LAP_RECORDED";
const DURATION: &str = "WORKOUT_DURATION_UPDATED";
const COMPLETED: &str = "WORKOUT_COMPLETED";
/// What is recorded.
pub(super) const EVENT_TYPES: [&str; 5] = [CREATED, TRACK_POINT, LAP, DURATION, COMPLETED];

const WORKOUTS: [(&str, &str); 4] = [
    ("Morning run", "running"),
    ("Ride to work", "cycling"),
    ("Lunch walk", "walking"),
    ("Trail run", "running"),
];
/// Workouts of a user that are under way at once.
const MOST_UNDER_WAY: usize = 3;

/// The next event, given the workouts that are under way.
pub(super) fn next_event(under_way: &[EntityView], random: &mut Rng) -> Result<NewEvent> {
    let begins = under_way.len() < MOST_UNDER_WAY && random.u32(..12) == 0;
    let workout = random.choice(under_way).filter(|_| !begins);
    let Some(workout) = workout else {
        let (name, sport) = WORKOUTS[random.usize(..WORKOUTS.len())];
        let id = EntityId::new(format!("w-{:08x}", random.u32(..)))?;
        return Ok(NewEvent::new(CREATED, id, json!({"name": name, "sport": sport})));
    };
    let number = |field: &str| workout.fields.get(field).and_then(Value::as_f64).unwrap_or_default();
    let (event_type, payload) = match random.u32(..20) {
        0 => (COMPLETED, json!({"calories": random.u32(150..900)})),
        1..5 => (LAP, json!({"laps": 1})),
        5..9 => (DURATION, json!({"duration": number("duration") as u64 + random.u64(20..120)})),
        _ => {
            let distance = (number("distance") + random.f64() * 200.0).round();
            (TRACK_POINT, json!({"points": 1, "distance": distance, "maxHeartRate": random.u32(95..185)}))
        }
    };
    Ok(NewEvent::new(event_type, workout.entity_id.clone(), payload))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Map;
    use tidelog_events::schema::Schema;

    use super::*;

    #[test]
    fn users_begin_go_on_with_and_complete_workouts_as_the_schema_has_it() {
        let schema = Schema::parse(include_str!("../../../../config/fitness.yaml")).unwrap();
        let mut random = Rng::with_seed(3);
        let under_way = [EntityView {
            entity_type: WORKOUT.to_owned(),
            entity_id: EntityId::new("w-1").unwrap(),
            fields: Map::new(),
            pending: false,
        }];
        assert_eq!(next_event(&[], &mut random).unwrap().event_type, CREATED);
        let mut types = BTreeSet::new();
        for _ in 0..200 {
            let event = next_event(&under_way, &mut random).unwrap();
            schema.event(&event.event_type).unwrap().check_payload(&event.payload).unwrap();
            types.insert(event.event_type);
        }
        assert_eq!(types, EVENT_TYPES.map(str::to_owned).into());
    }
}
