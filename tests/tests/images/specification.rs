//! `deploy/compose.yaml` is what the Compose specification calls a compose file.

use serde_json::{Value, json};

use super::repository::{read, yaml};

/// What is wrong with a compose file by the specification's schema.
fn mistakes(compose: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(&read("tests/data/compose/compose-spec.json")).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    validator.iter_errors(compose).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_compose_file_has_only_what_the_specification_knows() {
    let compose = yaml("deploy/compose.yaml");
    assert_eq!(mistakes(&compose), Vec::<String>::new());
    assert!(compose["services"].as_object().unwrap().len() >= 9);
}

#[test]
fn an_unknown_key_a_wrong_type_and_a_missing_part_are_found() {
    let check = |place: &str, value: Value, at: &str| {
        let mut compose = yaml("deploy/compose.yaml");
        let (parent, key) = place.rsplit_once('/').unwrap();
        let parent = compose.pointer_mut(parent).unwrap_or_else(|| panic!("{place}"));
        parent.as_object_mut().unwrap().insert(key.to_owned(), value);
        let found = mistakes(&compose);
        assert!(found.iter().any(|mistake| mistake.starts_with(at)), "{place}: {found:?}");
    };
    check("/services/gateway/restarts", json!("always"), "/services/gateway");
    check("/services/gateway/healthcheck/intervall", json!("5s"), "/services/gateway/healthcheck");
    check("/services/gateway/ports", json!("8080"), "/services/gateway/ports");
    check("/services/postgres/stop_grace_period", json!(60), "/services/postgres/stop_grace_period");
    check("/services/gateway/depends_on/migrate", json!({}), "/services/gateway/depends_on");
    check("/service", json!({}), "");
}
