//! The configuration keys that `deploy/compose.yaml` sets, where there is one.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tidelog_runtime::config::{Config, ConfigError, Sources};

use super::programs::{WORKSPACE, file};

/// The names of Tidelog's variables in the `environment` of each service: a map, or a list of `NAME=value`.
fn variables(compose: &Value) -> Vec<String> {
    let services = compose["services"].as_object().into_iter().flatten();
    let named = services.flat_map(|(_, service)| match &service["environment"] {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(|item| Some(item.as_str()?.split('=').next()?.to_owned()))
            .collect::<Vec<String>>(),
        _ => Vec::new(),
    });
    named.filter(|name| name.starts_with("TIDELOG__")).collect()
}

/// Those of them that no service knows.
fn unknown(names: Vec<String>) -> Vec<String> {
    let is_unknown = |name: &String| {
        // A value of whatever type: that of another type is another error.
        let environment = BTreeMap::from([(name.clone(), String::new())]);
        let loaded = Config::load(&Sources { file: None, environment });
        matches!(loaded, Err(ConfigError::UnknownKey { .. }))
    };
    names.into_iter().filter(is_unknown).collect()
}

#[test]
fn every_key_of_the_compose_file_exists() {
    let path = "deploy/compose.yaml";
    if Path::new(WORKSPACE).join(path).exists() {
        let names = variables(&serde_saphyr::from_str(&file(path)).unwrap());
        assert!(!names.is_empty());
        assert_eq!(unknown(names), Vec::<String>::new());
    }
}

#[test]
fn a_key_that_does_not_exist_is_found_in_a_compose_file() {
    let text = "services:
  a:
    environment:
      TIDELOG__GATEWAY__LISTEN: 0.0.0.0:8080
      TIDELOG__GATEWAY__LISTENS: 0.0.0.0:8080
  b:
    environment:
      - TIDELOG__INGEST__MAX_REPLICA=2
      - OTHER=1
";
    let found = unknown(variables(&serde_saphyr::from_str(text).unwrap()));
    assert_eq!(found, ["TIDELOG__GATEWAY__LISTENS", "TIDELOG__INGEST__MAX_REPLICA"]);
}
