//! Queries.

use std::time::Duration;

use serde_json::json;
use tidelog_client::store::{Filter, Operator, Query};

use super::device::{Device, ann, id};

fn found(device: &Device, query: &Query) -> Vec<String> {
    let views = device.store.entities(&ann(), query).unwrap();
    views.into_iter().map(|view| view.entity_id.to_string()).collect()
}

fn three_workouts() -> Device {
    let mut device = Device::new("phone-1");
    for (entity, name, laps) in [("a", "run", 3), ("b", "ride", 10), ("c", "swim", 7)] {
        device.record("WORKOUT_CREATED", entity, json!({"name": name}));
        device.record("LAP_RECORDED", entity, json!({"laps": laps}));
    }
    device.record("WORKOUT_TAGGED", "b", json!({"tags": {"add": ["hill", "wind"]}}));
    device
}

#[test]
fn entities_are_found_by_type_and_field() {
    let device = three_workouts();
    let workouts = || Query::all("workout");
    let check = |query: &Query, expect: &[&str]| assert_eq!(found(&device, query), expect, "{query:?}");
    check(&workouts(), &["a", "b", "c"]);
    check(&workouts().having("name", Operator::Eq, "ride"), &["b"]);
    check(&workouts().having("name", Operator::Ne, "ride"), &["a", "c"]);
    check(&workouts().having("laps", Operator::Ge, 7), &["b", "c"]);
    check(&workouts().having("laps", Operator::Lt, 7.5), &["a", "c"]);
    check(&workouts().having("laps", Operator::Gt, 3).having("laps", Operator::Le, 7), &["c"]);
    check(&workouts().having("tags", Operator::Has, "hill"), &["b"]);
    check(&workouts().having("tags", Operator::Ne, "hill"), &["a", "b", "c"]);
    check(&workouts().having("name", Operator::Lt, 5), &[]);
    check(&Query { limit: 2, ..workouts() }, &["a", "b"]);
    check(&Query { limit: 0, ..workouts() }, &[]);
    check(&Query { after: Some(id("a")), limit: 1, ..workouts() }, &["b"]);
    check(&Query::all("note"), &[]);
}

#[test]
fn a_deleted_entity_is_not_found_and_comes_back_when_it_is_created_again() {
    let mut device = three_workouts();
    device.record("WORKOUT_DELETED", "b", json!({}));
    assert_eq!(found(&device, &Query::all("workout")), ["a", "c"]);
    assert_eq!(device.fields("workout", "b"), None);
    device.record("WORKOUT_CREATED", "b", json!({"name": "again"}));
    assert_eq!(device.fields("workout", "b").unwrap()["laps"], 10);
}

#[test]
fn a_recent_window_leaves_out_what_was_written_before_it() {
    let mut device = three_workouts();
    device.later(10 * 86_400_000);
    device.record("LAP_RECORDED", "c", json!({"laps": 1}));
    device.record("WORKOUT_CREATED", "d", json!({"name": "row"}));
    device.record("WORKOUT_CREATED", "c", json!({"name": "swim"}));
    let filter = Filter { types: None, recent: Some(Duration::from_hours(24)) };
    device.store.join(&ann(), &filter).unwrap();
    assert_eq!(found(&device, &Query::all("workout")), ["c", "d"]);
    device.store.join(&ann(), &Filter::default()).unwrap();
    assert_eq!(found(&device, &Query::all("workout")), ["a", "b", "c", "d"]);
}
