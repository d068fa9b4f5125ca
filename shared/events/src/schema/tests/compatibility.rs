//! Which schema may follow which.

use super::*;
use crate::schema::compatibility::check as breakages;

/// Version 4 of the example with these changes, against version 3.
fn check(changes: &[(&str, &str)], expect: &[&str]) {
    let changes = [&[("version: 3", "version: 4")], changes].concat();
    check_between(FITNESS, &fitness_with(&changes), expect);
}

fn check_between(old: &str, new: &str, expect: &[&str]) {
    let (old, new) = (Schema::parse(old).unwrap(), Schema::parse(new).unwrap());
    let told: Vec<String> = breakages(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(told, expect);
}

const FROZEN: &str = "is frozen; give the change a new name";
const REMOVED: &str = "was removed, but recorded events need it";
const NEWLY_REQUIRED: &str = "is newly required, but recorded events may lack it; make it optional";

#[test]
fn additions_may_follow() {
    check(&[], &[]);
    check(&[("  workout:", "  goal: { fields: {} }\n  workout:")], &[]);
    check(&[("    fields:", "    fields:\n      colour: { type: string }")], &[]);
    check(
        &[(
            "  WORKOUT_DELETED:",
            "  WORKOUT_RENAMED: { entity: workout, payload: { name: required } }\n  WORKOUT_DELETED:",
        )],
        &[],
    );
    check(&[("{ duration: required }", "{ duration: required, notes: optional }")], &[]);
    check(&[("{ duration: required }", "{ duration: optional }")], &[]);
    check(&[("unit: s", "unit: min, indexed: true")], &[]);
    check(&[("keep: 200", "keep: 200, unit: words")], &[]);
    check(&[("merge: set", "merge: set, keep: 1000")], &[]);
}

#[test]
fn what_is_in_use_is_frozen() {
    let frozen = |changes: &[(&str, &str)], place: &str| check(changes, &[&format!("{place}: {FROZEN}")]);
    frozen(
        &[("{ type: integer, unit: s }", "{ type: number, unit: s }")],
        "entities.workout.fields.duration.type",
    );
    frozen(&[("merge: min", "merge: max")], "entities.workout.fields.bestPace.merge");
    frozen(&[("keep: 200", "keep: 300")], "entities.workout.fields.notes.keep");
    frozen(&[("merge: set", "merge: set, keep: 999")], "entities.workout.fields.tags.keep");
    frozen(
        &[
            ("  workout:", "  goal: { fields: {} }\n  workout:"),
            ("{ entity: workout, deletes", "{ entity: goal, deletes"),
        ],
        "events.WORKOUT_DELETED.entity",
    );
    frozen(&[("creates: true", "creates: false")], "events.WORKOUT_CREATED.creates");
    frozen(&[("deletes: true", "deletes: false")], "events.WORKOUT_DELETED.deletes");
    frozen(&[("completed: true", "completed: false")], "events.WORKOUT_COMPLETED.sets");
    frozen(&[(", sets: { createdAt: $timestamp }", "")], "events.WORKOUT_CREATED.sets");
    frozen(
        &[("{ laps: required }", "{ laps: required }, sets: { name: lapped }")],
        "events.LAP_RECORDED.sets",
    );
}

#[test]
fn nothing_in_use_is_removed() {
    check(
        &[("      duration:    { type: integer, unit: s }\n", ""), ("duration: required", "name: optional")],
        &[
            &format!("entities.workout.fields.duration: {REMOVED}"),
            &format!("events.WORKOUT_DURATION_UPDATED.payload.duration: {REMOVED}"),
        ],
    );
    check(
        &[("  WORKOUT_DELETED:          { entity: workout, deletes: true }\n", "")],
        &[&format!("events.WORKOUT_DELETED: {REMOVED}")],
    );
    let gone = "{name: fitness, version: 4, entities: {}, events: {}}";
    check_between(
        "{name: fitness, version: 3, entities: {goal: {fields: {}}}, events: {}}",
        gone,
        &[&format!("entities.goal: {REMOVED}")],
    );
}

#[test]
fn recorded_payloads_must_stay_valid() {
    check(
        &[("tags: optional", "tags: required")],
        &[&format!("events.WORKOUT_CREATED.payload.tags: {NEWLY_REQUIRED}")],
    );
    check(
        &[("{ laps: required }", "{ laps: required, notes: required }")],
        &[&format!("events.LAP_RECORDED.payload.notes: {NEWLY_REQUIRED}")],
    );
    check(&[(", tags: optional", "")], &[&format!("events.WORKOUT_CREATED.payload.tags: {REMOVED}")]);
}

#[test]
fn the_version_grows_with_every_change_and_the_name_stays() {
    check_between(FITNESS, FITNESS, &[]);
    check_between(
        FITNESS,
        &fitness_with(&[("unit: s", "unit: min")]),
        &["version: is still 3, but the schema has changed"],
    );
    check_between(
        FITNESS,
        &fitness_with(&[("version: 3", "version: 2")]),
        &["version: went back from 3 to 2"],
    );
    check(&[("name: fitness", "name: chess")], &["name: was fitness and is chess: another app's schema"]);
    // Spelling out a default changes nothing.
    check_between(FITNESS, &fitness_with(&[("merge: set", "merge: set, keep: 1000, indexed: false")]), &[]);
}

#[test]
fn a_number_written_otherwise_is_the_same_number() {
    let with = |number: &str| {
        format!(
            "{{\"name\":\"app\",\"version\":1,\"entities\":{{\"a\":{{\"fields\":{{\"n\":{{\"type\":\"number\"}}}}}}}},\
             \"events\":{{\"SET\":{{\"entity\":\"a\",\"sets\":{{\"n\":{number}}}}}}}}}"
        )
    };
    check_between(&with("100000"), &with("1e5"), &[]);
    assert!(
        !breakages(&Schema::parse(&with("100000")).unwrap(), &Schema::parse(&with("1e6")).unwrap())
            .is_empty()
    );
}
