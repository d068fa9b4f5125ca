//! The repository as an image is made from it: its files and its packages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// The repository's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The text of a file, by its path from the root.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A YAML file, anchors and merges resolved.
pub fn yaml(path: &str) -> Value {
    parsed(&read(path))
}

/// A text of YAML.
pub fn parsed(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// What `cargo metadata` says of the workspace.
pub fn metadata() -> &'static Value {
    static METADATA: LazyLock<Value> = LazyLock::new(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
        let output = Command::new(cargo).current_dir(root()).args(arguments).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    });
    &METADATA
}

/// A package of the workspace.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its folder from the root.
    pub folder: String,
    /// Its programs.
    pub programs: Vec<String>,
    /// The folders of the packages that it is built from, tests aside.
    pub parts: Vec<String>,
}

/// Every package of the workspace.
pub fn packages() -> Vec<Package> {
    let list = metadata()["packages"].as_array().unwrap();
    list.iter().map(package).collect()
}

fn package(package: &Value) -> Package {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let folder = |path: &str| path.strip_prefix(root().to_str().unwrap()).unwrap()[1..].to_owned();
    let targets = package["targets"].as_array().unwrap().iter();
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    Package {
        name: text(&package["name"]),
        folder: folder(package["manifest_path"].as_str().unwrap().strip_suffix("/Cargo.toml").unwrap()),
        programs: targets
            .filter(|target| target["kind"][0] == "bin")
            .map(|target| text(&target["name"]))
            .collect(),
        parts: dependencies
            .filter(|dependency| dependency["kind"] != "dev")
            .filter_map(|dependency| dependency["path"].as_str().map(folder))
            .collect(),
    }
}

/// The packages that an installation runs: those with a program of the name.
pub fn installed() -> Vec<Package> {
    packages().into_iter().filter(|package| !package.programs.is_empty()).collect()
}

/// Their programs.
pub fn programs() -> BTreeSet<String> {
    let programs: BTreeSet<String> = installed().into_iter().flat_map(|package| package.programs).collect();
    assert!(programs.len() >= 5, "{programs:?}");
    programs
}
