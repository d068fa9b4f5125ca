//! The files that belong to monitoring, read.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The folder of the dashboard and the rules.
pub const MONITORING: &str = "deploy/monitoring";
/// The folder of the runbook.
pub const RUNBOOK: &str = "docs/operations/alerts";

/// A path from the root of the repository.
pub fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The text of a file.
pub fn text(path: &str) -> String {
    let text = std::fs::read_to_string(at(path));
    assert!(text.is_ok(), "{path}: {text:?}");
    text.unwrap()
}

/// A YAML file, parsed.
pub fn yaml(path: &str) -> Value {
    let value = serde_saphyr::from_str(&text(path));
    assert!(value.is_ok(), "{path}: {value:?}");
    value.unwrap()
}

/// Runs a program in the folder of the dashboard and the rules.
pub fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).current_dir(at(MONITORING)).output();
    assert!(output.is_ok(), "{program}: {output:?}. If it is missing: tools/install-prometheus");
    output.unwrap()
}

/// Fails with all findings at once.
pub fn assert_none(what: &str, findings: impl IntoIterator<Item = String>) {
    let findings: Vec<String> = findings.into_iter().collect();
    assert!(findings.is_empty(), "{what}:\n{}", findings.join("\n"));
}
