//! Manifests of Kubernetes' extensions, against the schemas in `tests/data/crds`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use super::manifests::{id, text};
use super::programs::file;

/// The groups of APIs that are Kubernetes' own.
fn is_built_in(manifest: &Value) -> bool {
    let group = text(manifest, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
    ["", "apps", "autoscaling", "batch", "networking.k8s.io", "policy"].contains(&group)
}

/// The manifests of Kubernetes' own APIs, and the others.
pub fn parted(manifests: &[Value]) -> (Vec<Value>, Vec<Value>) {
    manifests.iter().cloned().partition(is_built_in)
}

/// The schema of each extension's kind. Each says itself that a field which it does not have is an error.
static SCHEMAS: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
    let kinds =
        ["Cluster", "Gateway", "HTTPRoute", "PodMonitor", "PrometheusRule", "ScaledObject", "ServiceMonitor"];
    let read = |kind| {
        let schema: Value = serde_json::from_str(&file(&format!("tests/data/crds/{kind}.json"))).unwrap();
        (kind, jsonschema::draft202012::new(&schema).unwrap())
    };
    kinds.map(read).into()
});

/// What the schemas say against the manifests of extensions.
pub fn findings(manifests: &[Value]) -> Vec<String> {
    let (_, custom) = parted(manifests);
    let mut findings = Vec::new();
    for manifest in &custom {
        let Some(schema) = SCHEMAS.get(text(manifest, "/kind")) else {
            findings.push(format!("{}: no schema in tests/data/crds", id(manifest)));
            continue;
        };
        findings.extend(
            schema
                .iter_errors(manifest)
                .map(|error| format!("{}: {}: {error}", id(manifest), error.instance_path())),
        );
    }
    findings
}

#[test]
fn an_unknown_field_is_an_error_in_every_schema() {
    for (kind, schema) in SCHEMAS.iter() {
        let file: Value = serde_json::from_str(&file(&format!("tests/data/crds/{kind}.json"))).unwrap();
        let version = file["properties"]["apiVersion"]["const"].clone();
        let manifest = serde_json::json!({
            "apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": {"noSuchField": 1},
        });
        let said: Vec<String> = schema.iter_errors(&manifest).map(|error| error.to_string()).collect();
        assert!(said.iter().any(|said| said.contains("noSuchField")), "{kind}: {said:?}");
    }
}
