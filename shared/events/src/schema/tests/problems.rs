//! What is not a schema, and what the author is told.

use super::*;

fn check(changes: &[(&str, &str)], expect: &[&str]) {
    let problems = match Schema::parse(&fitness_with(changes)) {
        Err(SchemaError::Invalid(problems)) => problems,
        other => panic!("{changes:?} gave {other:?}"),
    };
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), expect, "{changes:?}");
}

#[test]
fn every_problem_names_its_place() {
    check(
        &[("name: fitness", "name: fit ness")],
        &["name: a name has ASCII letters, digits and `_` only, and begins with a letter"],
    );
    check(&[("version: 3", "version: 0")], &["version: versions begin at 1"]);
    check(
        &[
            ("duration:    { type: integer", "9lives:  { type: integer"),
            ("duration: required", "name: optional"),
        ],
        &[
            "entities.workout.fields.9lives: a name has ASCII letters, digits and `_` only, and begins with a letter",
        ],
    );
    check(
        &[("WORKOUT_DELETED:", "WORKOUT-DELETED:")],
        &["events.WORKOUT-DELETED: a name has ASCII letters, digits and `_` only, and begins with a letter"],
    );
    check(
        &[("name:        { type: string }", "name:        { type: text }")],
        &["entities.workout.fields.name.type: the types are string, integer, number, boolean and stamp"],
    );
    check(
        &[("merge: min", "merge: newest")],
        &[
            "entities.workout.fields.bestPace.merge: the rules are latest, first, max, min, sum, set, flag and list",
        ],
    );
    check(
        &[("keep: 200", "keep: 0")],
        &["entities.workout.fields.notes.keep: between 1 and 100000 elements can be kept"],
    );
    check(
        &[("{ type: integer, unit: s }", "{ type: integer, keep: 5 }")],
        &["entities.workout.fields.duration.keep: only fields with the rule set or list keep elements"],
    );
    check(
        &[("{ entity: workout, payload: { laps", "{ entity: workuot, payload: { laps")],
        &["events.LAP_RECORDED.entity: no such entity: workuot"],
    );
    check(
        &[("payload: { laps: required }", "payload: { lap: required }")],
        &["events.LAP_RECORDED.payload.lap: no such field in entity workout"],
    );
    check(
        &[("laps: required", "laps: needed")],
        &["events.LAP_RECORDED.payload.laps: a payload key is `required` or `optional`"],
    );
    check(
        &[("deletes: true", "deletes: true, creates: true")],
        &["events.WORKOUT_DELETED: an event creates or deletes, not both"],
    );
    check(
        &[("payload: { name: required,", "payload: { createdAt: optional, name: required,")],
        &["events.WORKOUT_CREATED.sets.createdAt: the payload writes this field already"],
    );
}

#[test]
fn a_name_has_a_limit() {
    let named = |length: usize| {
        Schema::parse(&fitness_with(&[("name: fitness", &format!("name: {}", "n".repeat(length)))]))
    };
    assert!(named(MAX_NAME_BYTES).is_ok());
    let told = named(MAX_NAME_BYTES + 1).unwrap_err().to_string();
    assert!(told.ends_with("name: a name has at most 64 characters"), "{told}");
}

#[test]
fn all_problems_are_told_at_once() {
    check(
        &[
            ("version: 3", "version: 0"),
            ("merge: min", "merge: flag"),
            ("deletes: true", "sets: { gone: true }"),
        ],
        &[
            "version: versions begin at 1",
            "entities.workout.fields.bestPace.merge: the rule flag is for fields of type boolean, not number",
            "events.WORKOUT_DELETED.sets.gone: no such field in entity workout",
        ],
    );
}

#[test]
fn a_rule_takes_only_the_types_that_it_can_combine() {
    const TYPES: [&str; 5] = ["string", "integer", "number", "boolean", "stamp"];
    let check = |rule: &str, allowed: &[&str]| {
        for field_type in TYPES {
            let text = format!(
                "{{name: a, version: 1, entities: {{e: {{fields: {{f: {{type: {field_type}, merge: {rule}}}}}}}}}, events: {{}}}}"
            );
            assert_eq!(Schema::parse(&text).is_ok(), allowed.contains(&field_type), "{rule} of {field_type}");
        }
    };
    for rule in ["latest", "first", "set", "list"] {
        check(rule, &TYPES);
    }
    for rule in ["max", "min"] {
        check(rule, &["integer", "number", "stamp"]);
    }
    check("sum", &["integer"]);
    check("flag", &["boolean"]);
}

#[test]
fn what_an_event_sets_must_fit_its_field() {
    let check_set = |set: &str, expect: Option<&str>| {
        let text = fitness_with(&[("deletes: true", &format!("sets: {{ {set} }}"))]);
        let told = Schema::parse(&text).err().map(|error| error.to_string());
        let expect = expect
            .map(|problem| format!("the schema has 1 problem(s):\n- events.WORKOUT_DELETED.sets.{problem}"));
        assert_eq!(told, expect, "{set}");
    };
    for fits in [
        "name: gone",
        "name: ''",
        "duration: 0",
        "bestPace: 1.5",
        "tags: { add: [deleted], remove: [new] }",
        "notes: deleted",
        "completed: false",
        "createdAt: $timestamp",
        "createdAt: 2025-08-06T10:30:00Z",
    ] {
        check_set(fits, None);
    }
    for (set, problem) in [
        ("name: 5", "name: the value must be of type string, not number"),
        ("name: null", "name: the value must be of type string, not null (a field cannot be cleared)"),
        ("duration: 1.5", "duration: the value must be of type integer, not number"),
        ("duration: 9007199254740992", "duration: the value must lie within ±9007199254740991"),
        ("completed: yes", "completed: the value must be of type boolean, not string"),
        ("tags: [a]", "tags: the value must be of type object, not array"),
        ("tags: {}", "tags: the value must have `add` or `remove`"),
        ("tags: { put: [a] }", "tags: the value has the key `put`, which is not declared"),
        ("tags: { add: [a, 1] }", "tags: the value.add[1] must be of type string, not number"),
        (
            "createdAt: 2025-08-06",
            "createdAt: the value must be a stamp such as 2025-08-06T10:30:00.000Z-0003",
        ),
        ("name: $timestamp", "name: $timestamp is for fields of type stamp, not string"),
        (
            "name: $deviceId",
            "name: $timestamp, as the whole value, is the only variable; texts cannot begin with $",
        ),
        (
            "tags: { add: [$timestamp] }",
            "tags: $timestamp, as the whole value, is the only variable; texts cannot begin with $",
        ),
    ] {
        check_set(set, Some(problem));
    }
}

#[test]
fn a_document_of_another_shape_is_unreadable_and_the_line_is_named() {
    let check = |text: &str, expect: &[&str]| match Schema::parse(text) {
        Err(SchemaError::Unreadable(told)) => {
            for part in expect {
                assert!(told.contains(part), "{part:?} is not in {told:?}");
            }
            assert!(!told.contains('\n'), "{told:?} is more than one line");
        }
        other => panic!("{text:?} gave {other:?}"),
    };
    check("", &[]);
    check("- a", &[]);
    check("name: [", &[]);
    check("name: a", &["version"]);
    check("{\"name\":\"a\",}x", &[]);
    check(&fitness_with(&[("version: 3", "version: -1")]), &["line 3"]);
    check(&fitness_with(&[("version: 3", "version: 4294967296")]), &["line 3"]);
    check(&fitness_with(&[("version: 3", "version: 3\nauthor: me")]), &["author", "line 4"]);
    check(&fitness_with(&[("version: 3", "version: 3\nversion: 3")]), &["version", "line 4"]);
    check(&fitness_with(&[("unit: s", "units: s")]), &["units", "line 8"]);
    check(&fitness_with(&[("merge: sum", "merge: sum, merge: sum")]), &["merge", "line 9"]);
    check(&fitness_with(&[("laps: required", "laps: required, laps: required")]), &["laps", "line 18"]);
    check(&fitness_with(&[("WORKOUT_DELETED", "LAP_RECORDED")]), &["LAP_RECORDED", "line 20"]);
    check(&fitness_with(&[("completed: true", "bestPace: .inf")]), &["line 19"]);
    check(&fitness_with(&[("creates: true", "creates: yes")]), &["line 16"]);
    check(&format!("{FITNESS}---\n{FITNESS}"), &[]);
    check(&format!("{FITNESS}{}", " ".repeat(MAX_SCHEMA_BYTES)), &["it has more than 1048576 bytes"]);
}

#[test]
fn a_document_cannot_exhaust_the_reader() {
    let level =
        |level: usize| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", "));
    let bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &(1..12).map(level).collect::<Vec<_>>().concat();
    let literal = format!(
        "{{name: a, version: 1, entities: {{e: {{fields: {{f: {{type: string}}}}}}}}, events: {{E: {{entity: e, sets: {{f: {{{}}}}}}}}}}}",
        bomb.trim().replace('\n', ", ")
    );
    let deep =
        FITNESS.replace("completed: true", &format!("name: {}{}", "[".repeat(100_000), "]".repeat(100_000)));
    for text in [bomb, literal, deep] {
        assert!(matches!(Schema::parse(&text), Err(SchemaError::Unreadable(_))));
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}", at in 0..FITNESS.len(), insert in "[ -~\n]{0,3}") {
        let _ = Schema::parse(&text);
        let _ = Schema::parse(&format!("{}{insert}{}", &FITNESS[..at], &FITNESS[at..]));
        let _ = Schema::parse(&FITNESS[..at]);
    }
}
